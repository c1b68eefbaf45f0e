"""Compare encoders by the same linear probe, with cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.encoder_comparison.config import EncodersConfig
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_labelled_rows,
    recipe_of,
    require_images,
)
from trainer.tracking.schema import Artifact, EncoderCosts, EncodersCompared, Kind

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np

    from trainer.experiments.comparison import Comparison, Method
    from trainer.experiments.encoder_comparison.recommendation import Recommendation
    from trainer.features.encoder_cost import Cost
    from trainer.features.extract import Features
    from trainer.tracking.writer import RunWriter

SHARE = 0.9  # of the training rows that each probe sees
COSTS = "costs.json"  # artifact: what was measured of each encoder, so that a killed run goes on


def run(config: EncodersConfig) -> Figures:
    """Run a comparison, or the rest of one. Returns its figures (`schema.EncodersCompared`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    require_at_least(config, seed=0, seeds=1, margin=0)
    check_encoders(config)
    plan = begin(config)
    manifest = read_labelled_rows(config)
    require_images(config, manifest, "Comparing encoders needs the images.")
    read = []
    for encoder in config.encoders:
        say(f"\n{encoder}")
        settings = encoder_settings(config, plan.device, encoder=encoder)
        read.append(encode_rows(config, manifest, settings, to_train=True))
    return EncoderComparison(config, plan, read[0], read).run()


@dataclass
class EncoderComparison(Experiment[EncodersConfig]):
    """The same linear probe on each encoder's vectors of the same rows."""

    kind = Kind.ENCODERS
    module = "trainer.encoders"
    only_in_file = EncodersCompared.ONLY_IN_FILE

    read: list[Features]  # of each encoder

    @property
    def about(self) -> str:
        return f"{len(self.read)} encoders × {self.config.seeds} probes"

    @property
    def encoder(self) -> str:
        return ", ".join(one.report.encoder for one in self.read)

    @property
    def encoder_calls(self) -> int:
        return sum(one.report.encoder_calls for one in self.read)

    def settings(self) -> Figures:
        return {
            "seeds": self.config.seeds,
            "seed": self.config.seed,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        margin = self.config.margin
        if summary.get(EncodersCompared.MARGIN, margin) != margin:
            return None  # concluded again
        done = super().on_record(summary, writer)
        return done and f"{done}\n\n{summary[EncodersCompared.ADVICE]}\n"

    def execute(self, writer: RunWriter) -> Figures:
        config, device = self.config, self.plan.device
        costs = measure_costs(config, device, writer)
        methods = [
            train_probe(config, name, one, device) for name, one in zip(names(config), self.read, strict=True)
        ]
        return {
            **conclude(config, self.read, costs, methods, writer),
            **self.cost(),
            EncodersCompared.CLASSES: list(self.manifest.classes),
        }


def check_encoders(config: EncodersConfig) -> None:
    """Raise InputError for flags that make no comparison."""
    if config.encoder is not None:
        raise InputError("--encoder names a single encoder; name those to compare with --encoders.")
    if len(set(config.encoders)) < len(config.encoders):
        raise InputError("--encoders names an encoder twice. Name each once.")
    if len(config.encoders) < 2:
        raise InputError(
            "--encoders needs two encoders or more to compare, such as: --encoders demo path/to/model"
        )


def names(config: EncodersConfig) -> list[str]:
    """Return what the tables call the encoders: the ends of their names, or all of them where ends repeat."""
    from trainer.features.hub import encoder_names
    from trainer.features.key import BETWEEN

    def end(encoder: str) -> str:
        return BETWEEN.join(name.rstrip("/").rpartition("/")[2] for name in encoder_names(encoder))

    ends = [end(encoder) for encoder in config.encoders]
    return ends if len(set(ends)) == len(ends) else list(config.encoders)


# --- cost and probe ---------------------------------------------------------------------------


def measure_costs(config: EncodersConfig, device: str, writer: RunWriter) -> list[Cost]:
    """Return what each encoder costs, from the record where it was measured before.

    Of encoders that are joined, each is measured by itself.
    """
    from trainer.features.backbone import pick_dtype
    from trainer.features.encoder_cost import Cost, cost_of, sum_of
    from trainer.features.hub import encoder_names, resolve

    dtype = pick_dtype(config.dtype, device)
    size = None if config.batch_size == "auto" else config.batch_size
    known = json.loads(writer.read_file(COSTS) or "{}")
    single = list(dict.fromkeys(name for encoder in config.encoders for name in encoder_names(encoder)))
    with bar("Measuring", "encoders") as progress:
        for number, encoder in enumerate(single):
            progress.update(number, len(single), encoder)
            if encoder not in known:
                cost = cost_of(
                    resolve(encoder), device=device, dtype=dtype, space=recipe_of(config), batch_size=size
                )
                known[encoder] = list(cost)
                writer.file(COSTS, json.dumps(known).encode())
        progress.update(len(single), len(single))
    return [sum_of([Cost(*known[name]) for name in encoder_names(encoder)]) for encoder in config.encoders]


def choices(label_n: np.ndarray, *, seeds: int, seed: int) -> np.ndarray:
    """Return random choices of training rows, bool [S, N]: `SHARE` of each class, at least one row."""
    import numpy as np

    kept_sn = np.zeros((seeds, len(label_n)), dtype=bool)
    for index in range(seeds):
        random = np.random.default_rng([seed, index])
        for one in np.unique(label_n):
            rows = np.flatnonzero(label_n == one)
            kept_sn[index, random.choice(rows, max(1, round(SHARE * len(rows))), replace=False)] = True
    return kept_sn


def train_probe(config: EncodersConfig, name: str, features: Features, device: str) -> Method:
    """Return the tuned linear probe on one encoder: its strength is the best for all choices of rows
    together."""
    import numpy as np
    import torch

    from trainer.experiments.comparison import Method
    from trainer.heads import few_shot_training
    from trainer.heads.metrics import f1_macro
    from trainer.heads.training_data import Split

    manifest = features.manifest
    x_nd = torch.as_tensor(features.vectors_nd).to(device)
    y_n = torch.as_tensor(manifest.label_n).to(device)
    train, val, test = (
        torch.as_tensor(manifest.rows(split)).to(device) for split in ("train", "val", "test")
    )
    subject = few_shot_training.FewShotTask(
        name, Split(x_nd[train], y_n[train]), Split(x_nd[val], y_n[val]), x_nd[test], len(manifest.classes)
    )
    kept_sn = choices(manifest.label_n[manifest.rows("train")], seeds=config.seeds, seed=config.seed)
    scores = np.nan_to_num(few_shot_training.scores(subject, kept_sn), nan=-1.0).mean(0)
    strength = few_shot_training.STRENGTHS[int(scores.argmax())]
    heads = few_shot_training.heads(subject, kept_sn, [strength] * config.seeds)
    val_f1 = np.mean(
        [
            float(f1_macro(h.logits(x_nd[val]).argmax(1)[None], y_n[val], classes=subject.classes))
            for h in heads
        ]
    )
    probabilities = torch.stack([head.probabilities(subject.test_x_nd) for head in heads])
    how = f"logistic regression, l2 {strength:.2g}"
    return Method(name, how, float(val_f1), probabilities.cpu().numpy())


# --- the end ----------------------------------------------------------------------------------


def conclude(
    config: EncodersConfig,
    read: list[Features],
    costs: list[Cost],
    methods: list[Method],
    writer: RunWriter,
) -> Figures:
    """Choose on validation, compare on test rows, log. Returns figures."""
    import numpy as np

    from trainer.experiments.comparison import Comparison

    manifest = read[0].manifest
    chosen = int(np.argmax([method.val_f1_macro for method in methods]))
    pairs = [(chosen, other) for other in range(len(methods)) if other != chosen]
    comparison = Comparison(methods, pairs, manifest, chosen=chosen, seed=config.seed)
    comparison.tell("Linear probe on each encoder")
    rows = table(config, read, costs)
    report_costs(rows)
    found = recommended(comparison, costs, chosen=chosen, margin=config.margin)
    said = advice(comparison, found, chosen=chosen)
    say(f"\n{said}\n")
    import pandas as pd

    writer.table(Artifact.ENCODERS, pd.DataFrame(rows))
    comparison.log(writer)
    writer.metrics(comparison.metrics())
    of_methods, of_pairs = comparison.figures()
    return {
        EncodersCompared.COUNTS: {split: len(manifest.rows(split)) for split in ("train", "val", "test")},
        EncodersCompared.SEEDS: config.seeds,
        EncodersCompared.MARGIN: config.margin,
        EncodersCompared.CHOSEN: methods[chosen].name,
        EncodersCompared.RECOMMENDED: found.name,
        EncodersCompared.RECOMMENDATION: found.verdict,
        **comparison.drawn(),
        EncodersCompared.METHODS: of_methods,
        EncodersCompared.PAIRS: of_pairs,
        EncodersCompared.ENCODERS: rows,
        EncodersCompared.ADVICE: said,
    }


def table(config: EncodersConfig, read: list[Features], costs: list[Cost]) -> list[dict[str, Any]]:
    """Return rows of ENCODERS."""
    return [
        {
            EncoderCosts.ENCODER: name,
            EncoderCosts.KEY: one.report.encoder,
            EncoderCosts.DEVICE: cost.device,
            EncoderCosts.DIMENSION: cost.dimension,
            EncoderCosts.PARAMETERS: cost.parameters,
            EncoderCosts.SIDE: cost.side,
            EncoderCosts.BATCH_SIZE: cost.batch_size,
            EncoderCosts.IMAGES_PER_S: round(cost.images_per_s, 2),
            EncoderCosts.PEAK_BYTES: cost.peak_bytes,
            EncoderCosts.ENCODED_S: round(one.report.elapsed_s, 3) if one.report.encoded else 0.0,
            EncoderCosts.ENCODED: one.report.encoded,
        }
        for name, one, cost in zip(names(config), read, costs, strict=True)
    ]


def report_costs(rows: list[dict[str, Any]]) -> None:
    """Print what each encoder costs."""
    from rich.table import Table

    from trainer.experiments.comparison import show

    shown = Table(title=f"Cost on {rows[0][EncoderCosts.DEVICE]}", title_justify="left")
    for head in ("encoder", "images/s", "peak memory", "weights", "dimension", "pixels", "time to features"):
        shown.add_column(head, no_wrap=True)
    for row in rows:
        took = f"{row[EncoderCosts.ENCODED_S]:.1f} s for {row[EncoderCosts.ENCODED]}"
        shown.add_row(
            row[EncoderCosts.ENCODER],
            f"{row[EncoderCosts.IMAGES_PER_S]:.1f}",
            f"{row[EncoderCosts.PEAK_BYTES] / 2**20:.0f} MiB",
            f"{row[EncoderCosts.PARAMETERS] / 1e6:.1f} M",
            str(row[EncoderCosts.DIMENSION]),
            str(row[EncoderCosts.SIDE]),
            took if row[EncoderCosts.ENCODED] else "cached",
        )
    show(shown)


def recommended(comparison: Comparison, costs: list[Cost], *, chosen: int, margin: float) -> Recommendation:
    """Return which encoder to use: see `recommend`."""
    from trainer.experiments.encoder_comparison.recommendation import Rival, recommend
    from trainer.stats.intervals import Interval

    rivals = []
    for (_, other), pair in comparison.pairs.items():  # the best less another
        value, low, high = pair.f1_macro
        rivals.append(
            Rival(
                comparison.methods[other].name,
                costs[other].images_per_s,
                Interval(-value, -high, -low),
                -pair.simultaneous.high,
                -pair.simultaneous.low,
            )
        )
    best = comparison.methods[chosen].name
    rows = len(comparison.rows)
    return recommend(best, costs[chosen].images_per_s, rivals, margin=margin, rows=rows)


def advice(comparison: Comparison, found: Recommendation, *, chosen: int) -> str:
    """Return which encoder to use, and what is known of the differences, a line each."""
    methods = comparison.methods
    lines = [found.verdict, f"Best on validation: {methods[chosen].name}."]
    for other in range(len(methods)):
        if other != chosen:
            lines += [comparison.verdict(chosen, other), comparison.could_show(chosen, other)]
    return "\n".join(line for line in [*lines, *found.open_questions] if line)
