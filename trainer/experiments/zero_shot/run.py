"""Classify by class names, and compare with heads trained on few images."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.core import text
from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_labelled_rows,
    recipe_of,
    require_images,
    require_one_encoder,
)
from trainer.experiments.zero_shot.config import ZeroShotConfig
from trainer.tracking.schema import (
    Artifact,
    FewShot,
    FewShotScores,
    Kind,
    Predictions,
    Summary,
    ZeroShot,
)

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from trainer.experiments.comparison import Comparison, Method
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings
    from trainer.heads.closed_form import ClosedForm
    from trainer.heads.few_shot_training import FewShotTask
    from trainer.stats.few_shot import Crossing
    from trainer.stats.paired_bootstrap import Resampled
    from trainer.tracking.writer import RunWriter

ZERO_SHOT, NAMES = "zero-shot", "zero-shot, names alone"
TRAINED, SHARED, STARTED = "trained head", "trained head, shared space", "head started from text"
CLOSED: dict[str, ClosedForm] = {  # on the features that trained heads learn from
    "discriminant (GDA)": "gda",
    "ridge regression": "ridge",
    "nearest class mean": "mean",
    "nearest neighbours": "neighbours",
}
SANITY = ("nearest class mean", "nearest neighbours")  # shown, not tested: they share none of the 5 %
SWEEPS = "the sweep's head"
ALL = -1  # in the record, the draw that is all training rows


def run(config: ZeroShotConfig) -> Figures:
    """Run a comparison, or the rest of one. Returns its figures (`schema.ZeroShot`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    require_at_least(config, seed=0, draws=2, margin=0)
    require_one_encoder(config, "Zero-shot takes the class names through the text tower of one.")
    if not config.shots or min(config.shots) < 1 or list(config.shots) != sorted(set(config.shots)):
        raise InputError(f"--shots is {config.shots}; give rising numbers, each at least 1, such as 1 2 4 8.")
    from trainer.features import prompts
    from trainer.features.text_features import check_texts

    plan = begin(config)
    templates = prompts.read_templates(config.templates)
    manifest = read_labelled_rows(config)
    require_images(config, manifest, "Zero-shot needs images, and an encoder that knows texts.")
    recipe_of(config)  # before anything is encoded
    names = prompts.read_class_names(config.class_names, manifest.classes or ("a class",))
    warn_of_codes(prompts.codes(names))
    settings = encoder_settings(config, plan.device, space="shared")
    check_texts(settings)
    features = encode_rows(config, manifest, settings, to_train=True)
    pooled_nd, calls = encode_pooled(config, settings, features)
    prompted = Prompted(templates, names, *encode_class_names(settings, features, templates, names))
    swept = head_of_sweep(config, features) if config.head is not None else None
    return ZeroShotStudy(config, plan, features, prompted, pooled_nd, calls, swept).run()


def warn_of_codes(codes: list[str]) -> None:
    """Say that zero-shot reads names that are no words."""
    if codes:
        say(
            f"Warning: {len(codes)} class names look like codes, such as {codes[0]!r}, which no text encoder "
            "knows: zero-shot will look worse than it is. Give names in words with --class-names."
        )


@dataclass(frozen=True)
class Prompted:
    """The classes as texts, and their vectors."""

    templates: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    classes_ce: np.ndarray  # float32 [C, E], by all templates
    alone_ce: np.ndarray  # float32 [C, E], by the first name alone


@dataclass
class ZeroShotStudy(Experiment[ZeroShotConfig]):
    """Zero-shot against heads trained on few images and on all."""

    kind = Kind.ZERO_SHOT
    module = "trainer.zeroshot"
    only_in_file = ZeroShot.ONLY_IN_FILE

    prompted: Prompted  # as the features in the space of images and texts
    pooled_nd: np.ndarray  # the same rows as the image tower itself gives them
    pooled_calls: int  # of the encoder
    swept: Method | None  # a sweep's head

    @property
    def about(self) -> str:
        shots = ", ".join(map(str, self.config.shots))
        return f"{self.config.draws} draws of {shots} images per class"

    @property
    def encoder_calls(self) -> int:
        return super().encoder_calls + self.pooled_calls

    def settings(self) -> Figures:
        return {
            "templates": list(self.prompted.templates),
            "class names": {name: list(of_class) for name, of_class in self.prompted.names.items()},
            "shots": list(self.config.shots),
            "head": self.config.head,
            "seed": self.config.seed,
            **({"features": list(self.config.features)} if self.config.features != ("pooled",) else {}),
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        margin = self.config.margin
        same = summary.get(ZeroShot.MARGIN, margin) == margin
        if not same or summary.get(ZeroShot.DRAWS, 0) < self.config.draws:
            return None
        return (
            f"Study {writer.study}: all of its {summary[ZeroShot.DRAWS]} draws are on record.\n"
            f"\n{summary[ZeroShot.ADVICE]}\n"
        )

    def execute(self, writer: RunWriter) -> Figures:
        features, prompted = self.features, self.prompted
        named, subjects, scale = prepared(
            features, self.pooled_nd, prompted.classes_ce, prompted.alone_ce, self.plan.device
        )
        record, subjects = few_shot_record(self.config, subjects, features, writer)
        methods = named + trained_methods(self.config, features, subjects, record)
        if self.swept is not None:
            methods.append(self.swept)
        return {
            **conclude(self.config, features, subjects, record, methods, writer),
            ZeroShot.TEMPLATES: list(prompted.templates),
            ZeroShot.CLASS_NAMES: {name: list(of_class) for name, of_class in prompted.names.items()},
            ZeroShot.SCALE: round(scale, 3),
            **self.cost(),
            ZeroShot.CLASSES: list(self.manifest.classes),
        }


# --- before training --------------------------------------------------------------------------


def encode_pooled(
    config: ZeroShotConfig, settings: EncoderSettings, features: Features
) -> tuple[np.ndarray, int]:
    """Return the same rows as the image tower itself gives them, which heads usually learn from; and its
    calls."""
    from trainer.features.extract import extract

    # what was bad is gone
    pooled = dataclasses.replace(
        settings,
        space=recipe_of(config),
        max_bad=1.0,
        drop_duplicates=False,
        measure=False,
    )
    with bar("Encoding for heads", "images") as progress:
        own = extract(features.manifest, pooled, progress=progress.update)
    if own.manifest.sample_id != features.manifest.sample_id:
        raise InputError(f"{config.data} changed while it was read. Run the command again.")
    return own.vectors_nd, own.report.encoder_calls


def encode_class_names(
    settings: EncoderSettings,
    features: Features,
    templates: tuple[str, ...],
    names: dict[str, tuple[str, ...]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vector of each class [C, E], by all templates and by its first name alone."""
    from trainer.features import prompts
    from trainer.features.text_features import encode_texts

    def encode(texts: list[str]) -> np.ndarray:
        return encode_texts(texts, settings).vectors_ne

    of_classes = [names[name] for name in features.manifest.classes]
    return (
        prompts.class_vectors(of_classes, templates, encode),
        prompts.class_vectors([of_class[:1] for of_class in of_classes], prompts.NAME_ONLY, encode),
    )


def head_of_sweep(config: ZeroShotConfig, features: Features) -> Method:
    """Return the test predictions of the best head of a sweep.

    Raises:
        InputError: there is no such sweep, it has no answers, or it is of other data.
    """
    import numpy as np
    import yaml

    from trainer.experiments.comparison import Method
    from trainer.stats.intervals import confusion_matrix, f1_macro
    from trainer.tracking.reader import RunFiles

    assert config.head is not None
    files, manifest = RunFiles(config.tracking_uri, config.head), features.manifest
    if files.trial is not None:
        raise InputError(f"--head {config.head} is a single trial. Pass its sweep, {files.sweep}.")
    digest = yaml.safe_load(files.read(Artifact.CONFIG))["identity"]["data digest"]
    if digest != manifest.digest:
        raise InputError(f"--head {config.head} was trained on other data than {config.data} is now.")
    answers = files.table(Artifact.PREDICTIONS)
    classes = json.loads(files.read(Artifact.SUMMARY)).get(Summary.CLASSES)
    if not classes:
        raise InputError(f"--head {config.head} does not predict classes. Pass a sweep of classes.")
    best = answers[answers[Predictions.HEAD] == "best"].set_index(Predictions.SAMPLE_ID)
    number = {name: index for index, name in enumerate(classes)}
    found = {}
    for split in ("val", "test"):
        ids = [manifest.sample_id[row] for row in manifest.rows(split)]
        if not set(ids) <= set(best.index) or list(manifest.classes) != classes:
            raise InputError(f"--head {config.head} has no answer to some {split} rows of {config.data}.")
        found[split] = best.loc[ids]
    label_n, pred_n = (
        found["val"][column].map(number).to_numpy(int) for column in (Predictions.LABEL, Predictions.PRED)
    )
    val = float(f1_macro(confusion_matrix(label_n, pred_n, classes=len(classes))))
    trial = int(best[Predictions.TRIAL].iloc[0])
    probability_nc = np.stack(found["test"][Predictions.PROBS].to_list())
    return Method(SWEEPS, f"trial {trial} of run {config.head[:8]}", val, probability_nc[None])


# --- the methods, and the few-shot curve ------------------------------------------------------


def prepared(
    features: Features, pooled_nd: np.ndarray, classes_ce: np.ndarray, alone_ce: np.ndarray, device: str
) -> tuple[list[Method], list[FewShotTask], float]:
    """Return the two zero-shot methods, what heads of each kind learn from, and the scale of the cosines."""
    import torch
    from scipy.special import softmax

    from trainer.experiments.comparison import Method
    from trainer.heads.few_shot_training import FewShotTask
    from trainer.heads.training_data import Linear, Split
    from trainer.stats.few_shot import fitted_scale
    from trainer.stats.intervals import confusion_matrix, f1_macro
    from trainer.stats.vectors import unit_rows

    manifest = features.manifest
    shared_nd = unit_rows(features.vectors_nd)
    train, val, test = (manifest.rows(split) for split in ("train", "val", "test"))
    classes = len(manifest.classes)
    methods, scale = [], 1.0
    for name, vectors_ce in ((NAMES, alone_ce), (ZERO_SHOT, classes_ce)):
        cosine_nc = shared_nd @ vectors_ce.T
        scale = fitted_scale(cosine_nc[val], manifest.label_n[val])
        confusion = confusion_matrix(manifest.label_n[val], cosine_nc[val].argmax(1), classes=classes)
        how = f"cosines × {scale:.3g}"
        methods.append(
            Method(name, how, float(f1_macro(confusion)), softmax(scale * cosine_nc[test], axis=1)[None])
        )

    def subject(
        name: str, x_nd: np.ndarray, start: Linear | None = None, closed_form: ClosedForm | None = None
    ) -> FewShotTask:
        train_x, val_x, test_x = (torch.as_tensor(x_nd[rows]).to(device) for rows in (train, val, test))
        train_y, val_y = (torch.as_tensor(manifest.label_n[rows]).to(device) for rows in (train, val))
        learn, judge = Split(train_x, train_y), Split(val_x, val_y)
        return FewShotTask(name, learn, judge, test_x, classes, start, closed_form)

    weight_cd = torch.as_tensor(scale * classes_ce).to(device)
    start = Linear(weight_cd, weight_cd.new_zeros(classes))
    subjects = [subject(TRAINED, pooled_nd), subject(SHARED, shared_nd), subject(STARTED, shared_nd, start)]
    subjects += [subject(name, pooled_nd, closed_form=kind) for name, kind in CLOSED.items()]
    return methods[::-1], subjects, scale


def few_shot_record(
    config: ZeroShotConfig, subjects: list[FewShotTask], features: Features, writer: RunWriter
) -> tuple[pd.DataFrame, list[FewShotTask]]:
    """Return FEW_SHOT_SCORES: validation macro-F1 of every draw, kind, number of shots and strength; what
    is missing is trained, a draw at a time. And the kinds: a study goes on with those that it began with."""
    import numpy as np
    import pandas as pd

    from trainer.heads.few_shot_training import scores

    found = writer.read_table(Artifact.FEW_SHOT_SCORES)
    record = pd.DataFrame() if found is None else found
    done = set(record[FewShotScores.DRAW]) if len(record) else set()
    missing = [draw for draw in (ALL, *range(config.draws)) if draw not in done]
    if done:
        begun = set(record[FewShotScores.KIND])
        subjects = [subject for subject in subjects if subject.name in begun]
        say(f"Resuming {writer.study}: {len(done - {ALL})} of {config.draws} draws are on record.")
    with bar("Few-shot heads", "draws") as progress:
        for number, draw in enumerate(missing):
            kept_ln = chosen_rows(config, features, draw)
            shots = [0] if draw == ALL else list(config.shots)
            frames = [
                pd.DataFrame(
                    {
                        FewShotScores.DRAW: draw,
                        FewShotScores.KIND: subject.name,
                        FewShotScores.SHOTS: np.repeat(shots, len(subject.strengths)),
                        FewShotScores.L2: np.tile(subject.strengths, len(shots)),
                        FewShotScores.VAL_F1_MACRO: scores(subject, kept_ln).ravel(),
                    }
                )
                for subject in subjects
            ]
            record = pd.concat([record, *frames], ignore_index=True)
            writer.table(Artifact.FEW_SHOT_SCORES, record)
            progress.update(number + 1, len(missing))
    return record, subjects


def chosen_rows(config: ZeroShotConfig, features: Features, draw: int) -> np.ndarray:
    """Return bool [L, N]: the training rows of each number of shots in a draw; of `ALL` all of them."""
    import numpy as np

    from trainer.stats.few_shot import nested_choice

    manifest = features.manifest
    label_n = manifest.label_n[manifest.rows("train")]
    if draw == ALL:
        return np.ones((1, len(label_n)), dtype=bool)
    classes = len(manifest.classes)
    return nested_choice(label_n, classes=classes, shots=config.shots, seed=config.seed, draw=draw)


def chosen_strength(record: pd.DataFrame, kind: str, shots: int) -> tuple[float, float]:
    """Return the strength best on validation rows, mean over draws, the strongest of equals; and that
    mean."""
    rows = record[(record[FewShotScores.KIND] == kind) & (record[FewShotScores.SHOTS] == shots)]
    means = rows.groupby(FewShotScores.L2)[FewShotScores.VAL_F1_MACRO].mean()
    best = max(means.index, key=lambda l2: (means[l2] if math.isfinite(means[l2]) else -1.0, l2))
    return float(best), float(means[best])


# --- the end: test rows are answered ----------------------------------------------------------


def how(subject: FewShotTask, strength: float) -> str:
    """Return what was chosen, in words."""
    return {
        None: f"l2 {strength:.2g}",
        "gda": f"shrinkage {strength:.2g}",
        "ridge": "strength by leave-one-out",
        "mean": "nothing to choose",
        "neighbours": f"{strength:.0f} neighbours",
    }[subject.closed_form]


def trained_methods(
    config: ZeroShotConfig, features: Features, subjects: list[FewShotTask], record: pd.DataFrame
) -> list[Method]:
    """Return the answers of each kind of head, trained on all rows."""
    from trainer.experiments.comparison import Method
    from trainer.heads.few_shot_training import heads

    methods = []
    for subject in subjects:
        l2, val = chosen_strength(record, subject.name, 0)
        (head,) = heads(subject, chosen_rows(config, features, ALL), [l2])
        probability_nc = head.probabilities(subject.test_x_nd).cpu().numpy()
        methods.append(Method(subject.name, how(subject, l2), val, probability_nc[None]))
    return methods


def conclude(
    config: ZeroShotConfig,
    features: Features,
    subjects: list[FewShotTask],
    record: pd.DataFrame,
    methods: list[Method],
    writer: RunWriter,
) -> Figures:
    """Answer the test rows, compare, log. Returns figures."""
    from trainer.experiments.comparison import Comparison

    manifest = features.manifest
    place = {method.name: index for index, method in enumerate(methods)}
    others = [
        place[TRAINED],
        *(index for name, index in place.items() if name not in (TRAINED, ZERO_SHOT, *SANITY)),
    ]
    pairs = [(index, place[ZERO_SHOT]) for index in others] + [(place[STARTED], place[SHARED])]
    comparison = Comparison(methods, pairs, manifest, seed=config.seed)
    answered = few_shot_answers(config, features, subjects, record, comparison)
    curve, crossings = few_shot(config, features, subjects, answered)
    comparison.tell("Zero-shot and trained heads")
    report_few_shot(curve)
    said = advice(comparison, place, curve, crossings, margin=config.margin)
    say(f"\n{said}\n")
    writer.table(Artifact.FEW_SHOT, curve)
    comparison.log(writer)
    of_methods, of_pairs = comparison.figures()
    writer.metrics(comparison.metrics())
    return {
        ZeroShot.COUNTS: {split: len(manifest.rows(split)) for split in ("train", "val", "test")},
        **comparison.drawn(),
        ZeroShot.METHODS: of_methods,
        ZeroShot.PAIRS: of_pairs,
        ZeroShot.DRAWS: config.draws,
        ZeroShot.MARGIN: config.margin,
        ZeroShot.CROSSING: {
            kind: {
                "shots": finite(found.shots),
                "ci95": [finite(found.low), finite(found.high)],
                "within": round(found.within, 4),
                **({} if kind in SANITY else {"as_good_from": finite(found.as_good_from)}),
            }
            for kind, found in crossings.items()
        },
        ZeroShot.ADVICE: said,
    }


@dataclass(frozen=True)
class Curve:
    """Answers of few-shot heads to the test rows, drawn several times. 0 shots stand for all rows."""

    strengths: dict[tuple[str, int], tuple[float, float]]  # (kind, shots) → L2, validation macro-F1
    pred_asn: np.ndarray  # int64 [1 + kinds × L, draws, N]: zero-shot, then kind by kind
    rows_l: list[int]  # training rows, mean over draws
    per_class_l: list[int]  # shots; of all rows the median over classes
    unit_n: np.ndarray  # of the test rows, see `trainer.stats.units`


def few_shot_answers(
    config: ZeroShotConfig,
    features: Features,
    subjects: list[FewShotTask],
    record: pd.DataFrame,
    comparison: Comparison,
) -> Curve:
    """Train each kind of head on each draw and let it answer the test rows."""
    import numpy as np

    from trainer.heads.few_shot_training import heads

    manifest = features.manifest
    by_name = {method.name: method.probability_snc[0].argmax(1) for method in comparison.methods}
    levels, draws = [*config.shots, 0], config.draws
    strengths = {
        (subject.name, shots): chosen_strength(record, subject.name, shots)
        for subject in subjects
        for shots in levels
    }
    shape = (1 + len(subjects) * len(levels), draws, len(manifest.rows("test")))
    pred_asn = np.empty(shape, dtype=np.int64)
    pred_asn[0] = by_name[ZERO_SHOT]
    sizes_l = np.zeros(len(levels))
    with bar("Few-shot answers", "draws") as progress:
        for draw in range(draws):
            kept_ln = chosen_rows(config, features, draw)
            sizes_l[:-1] += kept_ln.sum(1) / draws
            for number, subject in enumerate(subjects):
                l2_l = [strengths[subject.name, shots][0] for shots in config.shots]
                first = 1 + number * len(levels)
                for level, head in enumerate(heads(subject, kept_ln, l2_l)):
                    pred_asn[first + level, draw] = head.logits(subject.test_x_nd).argmax(1).cpu().numpy()
                pred_asn[first + len(levels) - 1, draw] = by_name[subject.name]
            progress.update(draw + 1, draws)
    label_n = manifest.label_n[manifest.rows("train")]
    sizes_l[-1] = len(label_n)
    per_class = [*config.shots, int(np.median(np.bincount(label_n, minlength=len(manifest.classes))))]
    return Curve(strengths, pred_asn, [round(size) for size in sizes_l], per_class, comparison.unit_n)


def few_shot(
    config: ZeroShotConfig, features: Features, subjects: list[FewShotTask], curve: Curve
) -> tuple[pd.DataFrame, dict[str, Crossing]]:
    """Return FEW_SHOT, and where each kind of head overtakes zero-shot. Arms are kinds × shots, seeds are
    draws."""
    import numpy as np
    import pandas as pd

    from trainer.stats.few_shot import crossing
    from trainer.stats.paired_bootstrap import PredictionSet, holm, share_interval, swap_test
    from trainer.stats.paired_comparison import PairedComparison
    from trainer.stats.power import simultaneous_level, widened
    from trainer.tracking.tables import with_ends

    manifest, levels, per_class = features.manifest, [*config.shots, 0], curve.per_class_l
    answers = PredictionSet(
        manifest.label_n[manifest.rows("test")], curve.pred_asn, len(manifest.classes), unit_n=curve.unit_n
    )
    compared = PairedComparison(answers, seed=config.seed)
    zero = compared.arm(0)["f1_macro"]
    level_of_all = simultaneous_level(sum(one.name not in SANITY for one in subjects) * len(levels))

    def lower_end(difference: Resampled) -> float:
        interval = difference.interval(level_of_all)
        return widened(interval, units=answers.units.count, level=level_of_all).low

    rows, crossings = [], {}
    for number, subject in enumerate(subjects):
        differences, tested = [], subject.name not in SANITY
        for level, shots in enumerate(levels):
            arm = 1 + number * len(levels) + level
            score = compared.arm(arm)["f1_macro"]
            differences.append(score.minus(zero))
            l2, val = curve.strengths[subject.name, shots]
            rows.append(
                {
                    FewShot.KIND: subject.name,
                    FewShot.SHOTS: per_class[level],
                    FewShot.ALL: shots == 0,
                    FewShot.ROWS: curve.rows_l[level],
                    FewShot.DRAWS: 1 if shots == 0 else config.draws,
                    FewShot.L2: l2,
                    FewShot.VAL_F1_MACRO: val,
                    **with_ends(FewShot.F1_MACRO, share_interval(score)),
                    **with_ends(FewShot.EFFECT, differences[-1].interval()),
                    FewShot.EFFECT_P: swap_test(answers, arm, 0, seed=config.seed).p if tested else np.nan,
                }
            )
        count = len(levels) if per_class[-1] > per_class[-2] else len(levels) - 1
        crossings[subject.name] = crossing(
            np.array([float(one.value) for one in differences[:count]]),
            np.stack([one.draws for one in differences[:count]], axis=1),
            per_class[:count],
            low_l=np.array([lower_end(one) for one in differences[:count]]),
            margin=config.margin,
        )
    table = pd.DataFrame(rows)
    table[FewShot.EFFECT_P_HOLM] = holm(table[FewShot.EFFECT_P].to_numpy())
    return table, crossings


def finite(shots: float) -> float | None:
    """Return the number for JSON, None for infinity."""
    return round(shots, 3) if math.isfinite(shots) else None


def report_few_shot(curve: pd.DataFrame) -> None:
    """Print the curve as a table."""
    from rich.table import Table

    from trainer.experiments.comparison import show

    table = Table(title="Few-shot: test macro-F1, means over draws", title_justify="left")
    for head in ("images per class", "head", "macro-F1", "vs zero-shot", "p"):
        table.add_column(head, no_wrap=True)
    for row in curve.to_dict("records"):
        table.add_row(
            f"{'all, ' if row[FewShot.ALL] else ''}{row[FewShot.SHOTS]}",
            row[FewShot.KIND],
            text.figure(row, FewShot.F1_MACRO),
            text.figure(row, FewShot.EFFECT, text.change),
            text.p_value(row[FewShot.EFFECT_P_HOLM]),
        )
    show(table)


def advice(
    comparison: Comparison,
    place: dict[str, int],
    curve: pd.DataFrame,
    crossings: dict[str, Crossing],
    *,
    margin: float,
) -> str:
    """Return the conclusion, a line each, the verdict first."""
    most = int(curve[FewShot.SHOTS].max())
    pairs = [(place[TRAINED], place[ZERO_SHOT]), (place[STARTED], place[SHARED])]
    lines = [verdict(crossings[TRAINED], most, margin=margin)]
    for pair in pairs:
        lines += [f"With all training rows: {comparison.verdict(*pair)}", comparison.could_show(*pair)]
    lines += [crossing_text(kind, crossings[kind], most, margin=margin) for kind in (TRAINED, STARTED)]
    return "\n".join(line for line in lines if line)


def verdict(found: Crossing, most: int, *, margin: float) -> str:
    """Return from how many images on a trained head is as good as zero-shot, in one line."""
    if math.isfinite(found.as_good_from):
        return (
            f"From {_images(found.as_good_from)} per class on a trained head matches zero-shot "
            f"(less than {margin:g} below)."
        )
    if math.isfinite(found.shots):
        at, low, high = (_shots(one, most) for one in (found.shots, found.low, found.high))
        return f"A trained head overtakes zero-shot at {at} images per class (95 %: {low} to {high})."
    return f"Up to {most} images per class, a trained head is not shown to match zero-shot."


def _shots(value: float, most: int) -> str:
    if value <= 1:
        return "≤ 1"
    return f"{value:.1f}" if math.isfinite(value) else f"more than {most}"


def _images(count: float) -> str:
    return f"{count:.0f} {'image' if count == 1 else 'images'}"


def crossing_text(kind: str, found: Crossing, most: int, *, margin: float) -> str:
    """Return where the mean of a kind of head overtakes zero-shot, with its interval, and from where on it is
    shown to match it, in one line."""
    if not math.isfinite(found.shots):
        where = "its mean stays below zero-shot"
    elif found.shots < 1.05:
        where = "its mean is not below zero-shot from 1 image per class on"
    else:
        where = f"its mean overtakes zero-shot at {_shots(found.shots, most)} images per class"
    if math.isfinite(found.as_good_from):
        shown = f"shown to match it (less than {margin:g} below) from {_images(found.as_good_from)} on"
    else:
        shown = f"not shown to match it (less than {margin:g} below) with the most images"
    ends = " to ".join(_shots(end, most) for end in (found.low, found.high))
    return f"{kind.capitalize()}: {where} (95 %: {ends}); {shown}."
