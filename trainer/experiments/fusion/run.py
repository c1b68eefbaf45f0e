"""Train heads on images and captions together, and compare the ways to join them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.core import text
from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.fusion.config import FuseConfig
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_rows,
    require_images,
    require_one_encoder,
)
from trainer.tracking.schema import Fused, Kind, MethodPairs

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from trainer.experiments.comparison import Comparison
    from trainer.experiments.hardware import Plan
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings
    from trainer.heads.fusion_heads import HeadOutput, ImageTextRows
    from trainer.tracking.writer import RunWriter

IMAGE, TEXT, JOINED, GATED, LATE = "image only", "text only", "concatenated", "gated", "late"
FORMS = "forms"  # folder of artifacts: what each form says, so that a killed run goes on
TELLING = 0.05  # share of captions that may name their class before a warning is given


@dataclass(frozen=True)
class Texts:
    """The captions as they are used."""

    vectors_ne: np.ndarray  # float32 [N, E]; zeros where there is none
    has_n: np.ndarray  # bool [N]
    names_class_n: np.ndarray  # bool [N]: the caption, before anything was hidden, names its own class
    cut: int
    names: dict[str, tuple[str, ...]]


def run(config: FuseConfig) -> Figures:
    """Run a comparison, or the rest of one. Returns its figures (`schema.Fused`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.features.text_features import check_texts

    require_at_least(config, seed=0, seeds=1)
    require_one_encoder(config, "Captions are encoded by the text tower of one.")
    plan = begin(config)
    manifest = read_rows(config)
    require_images(config, manifest, "Fusion needs images with captions.")
    if not any(manifest.caption):
        raise InputError(
            f"{config.data} has no captions. Give each image one: a column caption of a table, or a "
            "metadata.csv beside the images."
        )
    settings = encoder_settings(config, plan.device)
    check_texts(settings)
    features = encode_rows(config, manifest, settings, to_train=True)
    texts = read_texts(config, settings, features)
    report_texts(config, features, texts)
    return Fusion(config, plan, features, texts).run()


@dataclass
class Fusion(Experiment[FuseConfig]):
    """Five forms of heads on the same rows."""

    kind = Kind.FUSION
    module = "trainer.fuse"
    only_in_file = Fused.ONLY_IN_FILE

    texts: Texts

    @property
    def about(self) -> str:
        return f"5 forms × {self.config.seeds} seeds"

    def settings(self) -> Figures:
        return {
            "class names hidden": self.config.hide_class_names,
            "class names": {name: list(of_class) for name, of_class in self.texts.names.items()},
            "precision": self.plan.precision,
            "seeds": self.config.seeds,
            "seed": self.config.seed,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        done = super().on_record(summary, writer)
        return done and f"{done}\n\n{summary[Fused.ADVICE]}\n"

    def execute(self, writer: RunWriter) -> Figures:
        features, device = self.features, self.plan.device
        rows = {split: both(features, self.texts, split, device) for split in ("train", "val", "test")}
        forms, weight = all_forms(self.config, self.plan, features, rows, writer)
        return {
            **conclude(self.config, features, self.texts, forms, writer),
            Fused.WEIGHT: weight,
            **self.cost(),
            Fused.CLASSES: list(features.manifest.classes),
        }


# --- captions ---------------------------------------------------------------------------------


def read_texts(config: FuseConfig, settings: EncoderSettings, features: Features) -> Texts:
    """Return the captions with their vectors: of several captions of a row the mean, each of length 1.

    Raises:
        InputError: the encoder has no text tower; the file of names cannot be used; no caption is left.
    """
    import numpy as np

    from trainer.data import caption_leakage
    from trainer.data.table_columns import split_captions
    from trainer.features.prompts import read_class_names
    from trainer.features.text_features import encode_texts
    from trainer.stats.vectors import unit_rows

    manifest = features.manifest
    names = read_class_names(config.class_names, manifest.classes)
    of_classes = [
        tuple({*names[name], name.replace("_", " ")}) if name.strip("_ ") else names[name]
        for name in manifest.classes
    ]
    names_class_n = caption_leakage.mentions_own_class(manifest.caption, manifest.label_n, of_classes)
    caption = [tuple(split_captions(one)) for one in manifest.caption]
    if config.hide_class_names:
        caption = [
            tuple(one for one in caption_leakage.remove_class_names(several, of_classes) if one)
            for several in caption
        ]
    has_n = np.array([bool(several) for several in caption])
    if not has_n[manifest.rows("train")].any():
        raise InputError(
            f"No training row of {config.data} has a caption, so nothing can be learnt from text."
        )
    row_t = np.repeat(np.arange(len(caption)), [len(several) for several in caption])
    with bar("Encoding", "captions") as progress:
        texts = [one for several in caption for one in several]
        encoded = encode_texts(texts, settings, progress=progress.update)
    vectors_ne = np.zeros((len(caption), encoded.vectors_ne.shape[1]), dtype=np.float32)
    np.add.at(vectors_ne, row_t, unit_rows(encoded.vectors_ne))
    return Texts(unit_rows(vectors_ne), has_n, names_class_n, int(encoded.truncated_n.sum()), names)


def caption_counts(
    features: Features, texts: Texts
) -> tuple[dict[str, int], dict[str, int], dict[str, float]]:
    """Return for each split: rows, rows without a caption, share of its captions that name their class."""
    splits = {split: features.manifest.rows(split) for split in ("train", "val", "test")}
    had_n = [bool(one.strip()) for one in features.manifest.caption]
    named = {
        split: round(float(texts.names_class_n[rows].sum()) / max(sum(had_n[row] for row in rows), 1), 4)
        for split, rows in splits.items()
    }
    return (
        {split: len(rows) for split, rows in splits.items()},
        {split: int((~texts.has_n[rows]).sum()) for split, rows in splits.items()},
        named,
    )


def report_texts(config: FuseConfig, features: Features, texts: Texts) -> None:
    """Say what the captions are, and whether they give the answer away."""
    counts, without, named = caption_counts(features, texts)
    lacking = ", ".join(f"{without[split]} of {counts[split]} {split} rows" for split in counts)
    said = f"Without a caption, so classified by image only: {lacking}."
    if not any(without.values()):
        said = "All rows have captions."
    say(said + (f" {texts.cut} captions were truncated by the encoder." if texts.cut else ""))
    if max(named.values()) > TELLING:
        shares = ", ".join(f"{share:.0%} in {split}" for split, share in named.items())
        what = (
            "These names are hidden."
            if config.hide_class_names
            else "That leaks the label; run again with --hide-class-names to exclude it."
        )
        say(f"Warning: captions name their own class: {shares}. {what}")


# --- the forms --------------------------------------------------------------------------------


def both(features: Features, texts: Texts, split: str, device: str) -> ImageTextRows:
    """Return the rows of a split on the device."""
    import torch

    from trainer.heads.fusion_heads import ImageTextRows

    rows = features.manifest.rows(split)
    arrays = (features.vectors_nd, texts.vectors_ne, texts.has_n, features.manifest.label_n)
    return ImageTextRows(*(torch.as_tensor(one[rows]).to(device) for one in arrays))


def all_forms(
    config: FuseConfig, plan: Plan, features: Features, rows: dict[str, ImageTextRows], writer: RunWriter
) -> tuple[list[HeadOutput], float]:
    """Train what is not on record: image, text, concatenated, gated; then join the first two. Returns what
    each form says and the weight of the text in late fusion."""
    from trainer.heads import fusion_heads
    from trainer.heads.population import Population
    from trainer.heads.training_data import Split, TrainingData
    from trainer.search.study import head_seeds

    classes = len(features.manifest.classes)
    train, val, test = fusion_heads.balanced(rows["train"], [rows["val"], rows["test"]])
    dimensions = train.image_nd.shape[1]
    plans = {
        IMAGE: (lambda one: one.image_nd, fusion_heads.candidates()),
        TEXT: (lambda one: one.text_ne, fusion_heads.candidates()),
        JOINED: (lambda one: one.joined_nf, fusion_heads.candidates()),
        GATED: (lambda one: one.joined_nf, fusion_heads.candidates(gate_at=dimensions)),
    }

    def data_of(block: Callable[[ImageTextRows], torch.Tensor]) -> TrainingData:
        return TrainingData(Split(block(train), train.y_n), Split(block(val), val.y_n), classes=classes)

    seeds = head_seeds(config.seed, config.seeds)
    slab_bytes = plan.slab_bytes(data_of(lambda one: one.joined_nf), seeds=config.seeds)
    found: dict[str, HeadOutput] = {}
    with bar("Training", "forms") as progress:
        for number, (name, (block, specs)) in enumerate(plans.items()):
            earlier = read_form(writer, name, train.image_nd.device)
            if earlier is None:
                population = Population(
                    specs, data_of(block), seeds=seeds, precision=plan.precision, slab_bytes=slab_bytes
                )
                earlier = fusion_heads.best_of(name, population, block(test), seeds=len(seeds))
                writer.file(f"{FORMS}/{name}.npz", form_to_bytes(earlier))
            found[name] = earlier
            progress.update(number + 1, len(plans))
    late, weight = fusion_heads.late_fusion(found[IMAGE], found[TEXT], val, test, classes=classes)
    falling = [
        fusion_heads.with_image_fallback(found[name], found[IMAGE], val, test, classes=classes)
        for name in (JOINED, GATED)
    ]
    return [found[IMAGE], found[TEXT], *falling, late], weight


def form_to_bytes(said: HeadOutput) -> bytes:
    """Serialise the outputs of a form, to resume from."""
    import numpy as np

    buffer = io.BytesIO()
    words = json.dumps({"how": said.how, "val_f1_macro": said.val_f1_macro})
    np.savez(
        buffer,
        words=np.array(words),
        val_snc=said.val_snc.cpu().numpy(),
        test_snc=said.test_snc.cpu().numpy(),
    )
    return buffer.getvalue()


def read_form(writer: RunWriter, name: str, device: torch.device) -> HeadOutput | None:
    """Return the recorded outputs of a form; None where there are none."""
    import numpy as np
    import torch

    from trainer.heads.fusion_heads import HeadOutput

    data = writer.read_file(f"{FORMS}/{name}.npz")
    if data is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        words = json.loads(str(arrays["words"]))
        val_snc, test_snc = (torch.from_numpy(arrays[key]).to(device) for key in ("val_snc", "test_snc"))
    return HeadOutput(name, words["how"], words["val_f1_macro"], val_snc, test_snc)


# --- the end ----------------------------------------------------------------------------------


def conclude(
    config: FuseConfig, features: Features, texts: Texts, forms: list[HeadOutput], writer: RunWriter
) -> Figures:
    """Choose on validation, compare on test rows, log. Returns figures."""
    import numpy as np

    from trainer.experiments.comparison import Comparison, Method

    methods = [Method(form.name, form.how, form.val_f1_macro, form.test_snc.cpu().numpy()) for form in forms]
    chosen = int(np.argmax([method.val_f1_macro for method in methods]))
    of_image, of_text = 0, 1
    part = of_image if methods[of_image].val_f1_macro >= methods[of_text].val_f1_macro else of_text
    forms_first = sorted(range(2, len(methods)), key=lambda place: place != chosen)
    pairs = [(place, one) for place in forms_first for one in (part, 1 - part)] + [(of_text, of_image)]
    comparison = Comparison(methods, pairs, features.manifest, chosen=chosen, seed=config.seed)
    comparison.tell("Image, text, and both")
    said = advice(comparison, chosen=chosen, part=part)
    counts, without, named = caption_counts(features, texts)
    if max(named.values()) > TELLING and not config.hide_class_names:
        said += (
            f"\n{named['test']:.0%} of the test captions name their class. Run again with --hide-class-names "
            "to exclude this."
        )
    say(f"\n{said}\n")
    comparison.log(writer)
    of_methods, of_pairs = comparison.figures()
    writer.metrics(comparison.metrics())
    return {
        Fused.COUNTS: counts,
        Fused.WITHOUT_CAPTION: without,
        Fused.NAMED: named,
        Fused.HIDDEN: config.hide_class_names,
        Fused.CUT: texts.cut,
        Fused.CHOSEN: methods[chosen].name,
        **comparison.drawn(),
        Fused.METHODS: of_methods,
        Fused.PAIRS: of_pairs,
        Fused.ADVICE: said,
    }


def advice(comparison: Comparison, *, chosen: int, part: int) -> str:
    """Return the conclusion, a line each, the verdict first: the form chosen on validation rows against the
    better of its parts there."""
    from trainer.experiments.comparison import ends_of

    names = [method.name for method in comparison.methods]
    if chosen < 2:
        return f"Use {names[chosen]}: no fusion is better on validation rows.\n{comparison.verdict(1, 0)}"
    row = comparison.row(chosen, part)
    ends, p = ends_of(row), row[MethodPairs.EFFECT_P_HOLM]
    effect = text.interval(row[MethodPairs.EFFECT], ends, text.change)
    if not text.significant(ends, p):
        verdict = f"No fusion is shown to beat {names[part]}: {names[chosen]} {effect}, {text.p_equals(p)}."
    elif row[MethodPairs.EFFECT] > 0:
        verdict = f"Use {names[chosen]}: macro-F1 {effect} over {names[part]}, {text.p_equals(p)}."
    else:
        verdict = f"Use {names[part]}: {names[chosen]} is worse, macro-F1 {effect}, {text.p_equals(p)}."
    lines = [
        verdict,
        comparison.could_show(chosen, part),
        comparison.verdict(chosen, 1 - part),
        f"{names[chosen]} was chosen on validation rows ({comparison.methods[chosen].how}).",
    ]
    return "\n".join(line for line in lines if line)
