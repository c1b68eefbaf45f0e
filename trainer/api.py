"""The Python API: data, features, a search for the best head, and what earlier runs recorded.

    >>> import trainer as hr
    >>> data = hr.load_dataset("images")                        # a folder with a sub-folder per class
    >>> features = hr.extract_features(data, encoder="demo")
    >>> result = hr.run_sweep(features, trials=4, seeds=2)      # in memory, without MLflow
    >>> result.predict(features.x).shape
    (36, 3)

Progress goes to stderr, as in the commands. Input that cannot be used raises `InputError`, which says what to
do.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from trainer.core.config import DataConfig, Recipe
from trainer.core.errors import InputError
from trainer.core.locations import default_cache_dir, default_tracking_uri
from trainer.experiments.sweep.config import SweepConfig
from trainer.stats.intervals import Interval
from trainer.stats.objective import Objective, objective_named
from trainer.storing.copies import check_cache_dir
from trainer.tracking.schema import (
    Artifact,
    Curves,
    MethodClasses,
    MethodPairs,
    Methods,
    Predictions,
    Summary,
    Trials,
    TrialState,
)

if TYPE_CHECKING:
    import altair as alt

    from trainer.data.manifest import Manifest
    from trainer.experiments.split_answers import ClassAnswers, LabelAnswers, NumberAnswers
    from trainer.features.extract import Features
    from trainer.serving.predictor import RecordedHead
    from trainer.tracking.reader import RunFiles

__all__ = [
    "BestTrial",
    "Dataset",
    "FeatureTable",
    "LoggedRun",
    "RunComparison",
    "ScoreComparison",
    "SweepResult",
    "compare",
    "extract_features",
    "load_dataset",
    "open_run",
    "run_sweep",
]
FLAGS = (
    *("space", "timeout", "target", "objective", "pruner", "at_once", "precision", "fresh_seeds"),
    *("validate", "folds", "repeats", "refit", "coverage"),
)
LABEL_FLAGS = ("label_separator", "label_columns", "label_conflicts", "unlabelled")


Kind = Literal["class", "number", "labels"]


# --- data and features ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _RowsConfig(DataConfig):
    """What labels are, besides the flags of the data."""

    target: Kind | None = None

    @property
    def label_kind(self) -> Kind | None:
        return self.target

    @property
    def takes_several_labels(self) -> bool:
        return self.target in (None, "labels")


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled rows in the splits train, val and test. ``len(dataset)`` is their number."""

    config: DataConfig
    manifest: Manifest

    def __len__(self) -> int:
        return len(self.manifest)

    def __repr__(self) -> str:
        return f"Dataset({self.config.data!r}, {len(self)} rows, {_what(self.manifest)}, {self.counts})"

    @property
    def target(self) -> Kind:
        """What is learned: a "class", a "number", or several "labels" per image."""
        return self.manifest.target

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of every class index and of every axis C; () of other targets."""
        return _classes(self.manifest)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of axis C, where an image may have several; else ()."""
        return self.manifest.labels

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: len(self.manifest.rows(split)) for split in ("train", "val", "test")}

    def frame(self) -> pd.DataFrame:
        """One row per image: ``sample_id, split, label, caption, group``; "" where there is none."""
        return _rows(self.manifest).assign(caption=self.manifest.caption, group=self.manifest.group)


@dataclass(frozen=True, repr=False)
class FeatureTable:
    """Rows with their vectors. Corrupt files have left the rows and are in ``quarantined``."""

    config: DataConfig
    features: Features

    def __len__(self) -> int:
        return len(self.features.manifest)

    def __repr__(self) -> str:
        return f"FeatureTable({len(self)} rows × {self.x.shape[1]}, {self.features.report.encoder})"

    @property
    def x(self) -> np.ndarray:
        """Vectors, float32 [N, D], not scaled."""
        return self.features.vectors_nd

    @property
    def y(self) -> np.ndarray:
        """Class indices, int64 [N], -1 where a row has no label; or numbers, float64 [N]; or which of several
        labels each row has, bool [N, C]."""
        return self.features.manifest.learned_n

    @property
    def target(self) -> Kind:
        """What is learned: a "class", a "number", or several "labels" per image."""
        return self.features.manifest.target

    @property
    def split(self) -> np.ndarray:
        """ "train", "val" or "test", text [N]."""
        return self.features.manifest.split_n

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Unique names of the N rows: the relative path of a file."""
        return self.features.manifest.sample_id

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by class index; () of other targets."""
        return _classes(self.features.manifest)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of axis C, where an image may have several; else ()."""
        return self.features.manifest.labels

    @property
    def quarantined(self) -> pd.DataFrame:
        """Files that cannot be used: ``path, reason``."""
        return pd.DataFrame(self.features.report.quarantined, columns=["path", "reason"])

    def frame(self) -> pd.DataFrame:
        """One row per image: ``sample_id, split, label``, then the D numbers of its vector, ``x0, x1 …``."""
        vectors = pd.DataFrame(self.x, columns=[f"x{d}" for d in range(self.x.shape[1])])
        return pd.concat([_rows(self.features.manifest), vectors], axis=1)


def _classes(manifest: Manifest) -> tuple[str, ...]:
    return manifest.classes if manifest.target == "class" else ()


def _what(manifest: Manifest) -> str:
    counted = {"class": f"{len(manifest.classes)} classes", "labels": f"{len(manifest.labels)} labels"}
    return counted.get(manifest.target, "numbers")


def _rows(manifest: Manifest) -> pd.DataFrame:
    names = np.array([*manifest.classes, ""], dtype=object)  # "" at -1
    return pd.DataFrame(
        {
            Predictions.SAMPLE_ID: manifest.sample_id,
            Predictions.SPLIT: manifest.split_n,
            Predictions.LABEL: names[manifest.label_n],
        }
    )


def load_dataset(
    data: str | Path,
    *,
    seed: int = 0,
    groups: str | None = None,
    allow_leaks: bool = False,
    columns: Mapping[str, str] | None = None,
    target: Kind | None = None,
    **flags: Any,
) -> Dataset:
    """Read the rows that ``--data`` of a command reads. Images are hashed, not decoded.

    Args:
        data: ``demo``; a folder of images, a table, tar shards or ready features; ``hf:owner/name``.
        seed: draws the splits that the data does not bring.
        groups: regular expression; what it finds in a name, such as a patient, stays in one split.
        allow_leaks: accept an image or a group that is in train and in test.
        columns: names of columns by role (image, label, caption, group); None: found by their names.
        target: what a label is: "class", "number", or "labels" (several per image). None: several where they
            are lists or a flag says so, a number where it evidently is one, else a class.
        flags: ``label_separator`` (text between the labels of an image, such as ``|``), ``label_columns``
            (names of columns of 0 and 1, one per label) and ``label_conflicts`` (if copies of an image have
            different labels: "warn", which is the default, "drop" all of its rows, or "refuse" the data);
            ``unlabelled`` (name of the folders, beside class folders, whose images have no label).

    Raises:
        InputError: there is no such data, it cannot be read as rows, a label is no number, a group is in two
            splits, or copies with different labels are refused.

    Example:
        >>> data = hr.load_dataset("images")
        >>> len(data), data.counts, data.classes
        (36, {'train': 24, 'val': 6, 'test': 6}, ('cat', 'dog', 'horse'))
    """
    from trainer.experiments.inputs import read_rows

    unknown = sorted(set(columns or {}) - {"image", "label", "caption", "group"})
    if unknown:
        raise InputError(f"columns has {unknown[0]!r}; it takes image, label, caption and group.")
    if unknown := sorted(set(flags) - set(LABEL_FLAGS)):
        raise InputError(
            f"load_dataset has no argument {unknown[0]!r}; it takes target and {', '.join(LABEL_FLAGS)}."
        )
    if target not in (None, *get_args(Kind)):
        raise InputError(f"target is {target!r}; it must be one of {', '.join(get_args(Kind))}.")
    if isinstance(of_labels := flags.get("label_columns"), Sequence) and not isinstance(of_labels, str):
        flags["label_columns"] = ",".join(of_labels)
    flags |= {f"{role}_column": column for role, column in (columns or {}).items()}
    config = _RowsConfig(
        data=str(data), seed=seed, groups=groups, allow_leaks=allow_leaks, target=target, **flags
    )
    return Dataset(config, read_rows(config))


def extract_features(
    data: Dataset,
    encoder: str | None = None,
    *,
    features: Recipe = "pooled",
    cache_dir: str | Path | None = None,
    device: str = "auto",
    **flags: Any,
) -> FeatureTable:
    """Give every row its vector, from the cache or from the encoder. Each image is encoded once.

    Args:
        encoder: ``demo``, a Hugging Face id or a local folder; several joined by ``+`` are concatenated.
            None: ``demo`` for the data ``demo``, else openai/clip-vit-base-patch32. Ready features need none.
        features: what an image's vector is: "pooled", "cls4" or "cls4+patch", as the command line has them.
        cache_dir: where vectors are kept; None: ``.cache/headroom`` in the working directory (of a checkout:
            in the checkout). It may be a bucket: ``s3://bucket/prefix``.
        device: "auto", "cpu" or "cuda".
        flags: ``drop_duplicates`` (of rows with the same image keep one, a test row if there is one) and
            ``max_bad`` (share of files, 0 to 1, that may be corrupt; 0.05).

    Raises:
        InputError: the encoder cannot be had; an image is in train and in test.
        TooManyBadFiles: more files than ``max_bad`` are corrupt.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> features.x.shape, features.y.shape, list(features.frame().columns[:4])
        ((36, 256), (36,), ['sample_id', 'split', 'label', 'x0'])
    """
    from trainer.experiments.inputs import encode_rows, encoder_settings

    unknown = sorted(set(flags) - {"drop_duplicates", "max_bad"})
    if unknown:
        raise InputError(
            f"extract_features has no argument {unknown[0]!r}; it takes drop_duplicates and max_bad."
        )
    if not 0 <= flags.get("max_bad", 0) <= 1:
        raise InputError(f"max_bad is {flags['max_bad']}; it must be a share between 0 and 1.")
    if features not in get_args(Recipe):
        raise InputError(f"features is {features!r}; it must be one of {', '.join(get_args(Recipe))}.")
    config = dataclasses.replace(
        data.config,
        encoder=encoder,
        features=(features,),
        cache_dir=Path(cache_dir) if cache_dir is not None else default_cache_dir(),
        device=_device(device),
        **flags,
    )
    check_cache_dir(config.cache_dir)
    settings = encoder_settings(config, config.device)
    return FeatureTable(config, encode_rows(config, data.manifest, settings, to_train=False))


def _device(name: str) -> Any:
    from trainer.features.backbone import pick_device

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {name!r}; it must be auto, cpu or cuda.")
    return pick_device(name)


# --- a search ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class BestTrial:
    """The best trial by the objective. Scores have 95 % intervals.

    Attributes:
        val_score: by the objective, the mean over seeds; the interval is NaN for one seed.
        scores: by the names of the summary: of numbers ``val_r2, test_r2, test_mae, test_rmse`` and
            ``test_spearman``, of several labels ``val_map, test_map, test_f1_macro_labels`` and
            ``test_f1_micro_labels``, of classes the three below. Test scores are those of the final head, the
            intervals over test rows, or groups of them.
    """

    trial: int
    params: Mapping[str, Any]
    val_score: Interval
    scores: Mapping[str, Interval]

    @property
    def val_f1_macro(self) -> Interval:
        """Macro-F1, as ``val_score``. Raises InputError for a target that is no class."""
        return self._of_classes("val_f1_macro")

    @property
    def test_f1_macro(self) -> Interval:
        """Macro-F1 of the final head on test rows. Raises InputError for a target that is no class."""
        return self._of_classes(Summary.TEST_F1_MACRO)

    @property
    def test_accuracy(self) -> Interval:
        """Accuracy of the final head on test rows. Raises InputError for a target that is no class."""
        return self._of_classes(Summary.TEST_ACCURACY)

    def _of_classes(self, name: str) -> Interval:
        if name not in self.scores:
            raise InputError(f"This search has no {name}. best.scores has {', '.join(self.scores)}.")
        return self.scores[name]


@dataclass(frozen=True, repr=False)
class SweepResult:
    """What a search found.

    Attributes:
        trials: one row per trial, columns as `trials.parquet` of the storage schema has them.
        curves: one row per trial, seed, epoch, split and metric (`curves.parquet`).
        predictions: one row per head and sample (`predictions.parquet`).
        summary: the figures that the sweep command prints (`summary.json`).
        run_id: of the run in MLflow; None for a search in memory.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    predictions: pd.DataFrame
    summary: Mapping[str, Any]
    head: RecordedHead
    run_id: str | None = None

    def __repr__(self) -> str:
        best = self.best
        return f"SweepResult({len(self.trials)} trials, best {best.trial}: {best.val_score.value:.3f})"

    @property
    def objective(self) -> Objective:
        """The score that trials were chosen by."""
        return objective_named(self.summary.get(Summary.OBJECTIVE, ""))

    @cached_property
    def best(self) -> BestTrial:
        """The best trial with its scores."""
        from trainer.search.trial_log import params_of

        number, objective = self.summary[Summary.BEST_TRIAL], self.objective
        row = self.trials[self.trials[Trials.TRIAL] == number].iloc[0]
        tested = {
            "class": (Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY),
            "number": (Summary.TEST_R2, Summary.TEST_MAE, Summary.TEST_RMSE, Summary.TEST_SPEARMAN),
            "labels": (Summary.TEST_MAP, Summary.TEST_F1_MACRO_LABELS, Summary.TEST_F1_MICRO_LABELS),
        }[objective.target]
        leading = objective.leading.column
        scores = {leading: self._interval(Summary.BEST + leading)}
        scores |= {str(name): self._interval(name) for name in tested}
        score = self._interval(Summary.BEST + objective.column)
        return BestTrial(number, params_of(row.to_dict()), score, scores)

    def _interval(self, name: str) -> Interval:
        found = (self.summary[name], *self.summary[name + Summary.CI95])
        return Interval(*(math.nan if one is None else one for one in found))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """What the best head says of vectors [N, D] of the same encoder: probabilities of classes or of
        labels, float32 [N, C], or numbers, float32 [N].

        Raises:
            InputError: the vectors have another shape.
        """
        x = np.asarray(x, dtype=np.float32)
        width = self.summary[Summary.DIMENSION]
        if x.ndim != 2 or x.shape[1] != width:
            raise InputError(f"x has the shape {x.shape}; expected rows of {width} numbers.")
        said_nc = self.head.answers(x)
        return said_nc[:, 0] if self.head.numbers else said_nc

    def answers(self, split: str = "test") -> ClassAnswers | NumberAnswers | LabelAnswers:
        """What the best head says of the rows of a split, beside what is true: its ``scores``, ``frame()``
        and ``plot()`` fit the target. In a cross-validation it is out of fold, but of test rows.

        Raises:
            InputError: there is no such split.
        """
        from trainer.experiments.split_answers import answers_of_split

        return answers_of_split(self.predictions, self.summary, split)

    def frame(self) -> pd.DataFrame:
        """The completed trials, the best first."""
        complete = self.trials[self.trials[Trials.STATE] == TrialState.COMPLETE]
        return complete.sort_values(
            [self.objective.column, Trials.VAL_LOSS],
            ascending=[not self.objective.up, True],
            kind="stable",
            ignore_index=True,
        )

    def plot(self) -> alt.LayerChart:
        """Validation score of every trial and the best so far, as an Altair chart."""
        from dashboard.charts.progress import best_so_far
        from dashboard.frames import trials

        objective = self.objective
        return best_so_far(trials.best_so_far(self.trials, objective), title=objective.title)


def run_sweep(
    features: FeatureTable,
    *,
    trials: int = 64,
    seeds: int = 3,
    tracking_uri: str | None = None,
    study: str | None = None,
    **flags: Any,
) -> SweepResult:
    """Search for the best head, as the command ``sweep`` does.

    Args:
        trials: configurations to try.
        seeds: how many times each is trained.
        tracking_uri: MLflow store to log to, such as ``sqlite:///mlruns/mlflow.db``. None: nothing is logged,
            and MLflow is not needed.
        study: name of the study in that store; one that exists is resumed.
        flags: ``space`` (path of a YAML file), ``timeout`` (seconds), ``target``, ``objective``, ``pruner``,
            ``at_once``, ``precision``, ``fresh_seeds``, ``validate``, ``folds``, ``repeats``,
            ``refit``, ``coverage``: as the command has them.

    Raises:
        InputError: no head can be trained on this data; a flag makes no sense, such as a ``target`` other
            than the one that the data were loaded with.
        NoResultError: no trial completed.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> result = hr.run_sweep(features, trials=4, seeds=2)
        >>> len(result.trials), 0 <= result.best.test_accuracy.value <= 1
        (4, True)
    """
    unknown = sorted(set(flags) - set(FLAGS))
    if unknown:
        raise InputError(f"run_sweep has no argument {unknown[0]!r}; it takes {', '.join(FLAGS)}.")
    shared = {one.name: getattr(features.config, one.name) for one in dataclasses.fields(DataConfig)}
    if flags.get("space") is not None:
        flags["space"] = Path(flags["space"])
    config = SweepConfig(**{**shared, **flags}, trials=trials, seeds=seeds, study=study)
    config = _with_target(config, features, logged=tracking_uri is not None)
    if tracking_uri is None:
        return _search_in_memory(config, features.features)
    from trainer.experiments.sweep import run

    summary = run.run(dataclasses.replace(config, tracking_uri=tracking_uri))
    return _result_of(open_run(summary[Summary.RUN_ID], tracking_uri))


def _with_target(config: SweepConfig, features: FeatureTable, *, logged: bool) -> SweepConfig:
    """Return the flags with what the labels of the features are."""
    kind, asked = features.target, features.config.label_kind
    if config.label_kind not in (None, kind):
        raise InputError(
            f"run_sweep's target is {config.label_kind!r}, and the data were loaded with {_of_kind(kind)}. "
            f"Load them so: load_dataset(…, target={config.label_kind!r})."
        )
    if config.target is None and (asked is not None or kind != "class"):
        return dataclasses.replace(config, target=kind)
    if config.enough is not None and asked is not None and logged:
        raise InputError(
            f"target is the score {config.enough:g}, and the data were loaded with target={asked!r}: a "
            "command takes one of both. Leave one out, or pass no tracking_uri."
        )
    return config


def _of_kind(kind: Kind) -> str:
    return {"class": "classes", "number": "numbers", "labels": "several labels per image"}[kind]


def _search_in_memory(config: SweepConfig, features: Features) -> SweepResult:
    from trainer.core.console import bar, say
    from trainer.core.stopwatch import Stopwatch
    from trainer.data.manifest import check_trainable
    from trainer.data.unlabelled import labelled_rows
    from trainer.data.vector_range import check_vectors
    from trainer.experiments.hardware import Plan
    from trainer.experiments.sweep import trials as steps
    from trainer.experiments.sweep.memory_plan import trials_that_fit
    from trainer.experiments.sweep.validation import folds_of, plan_validation
    from trainer.search.space import load_space
    from trainer.search.trial_log import TrialLog

    steps.check(config)
    features = features.take(labelled_rows(features.manifest))
    config = steps.for_labels(config, features.manifest)
    check_trainable(features.manifest)
    if notice := check_vectors(features.manifest, features.vectors_nd):
        say(notice)
    objective = objective_named(config.objective)
    space = load_space(config.space, target=features.manifest.target)
    trial_log = TrialLog(objective=objective)
    plan, validation = Plan.of(config), plan_validation(config, features.manifest, None)
    folds = folds_of(features, validation, plan.device, objective)
    at_once = trials_that_fit(config, space, folds, rows=len(features.manifest))
    settings = steps.search_settings(dataclasses.replace(config, at_once=at_once), plan, folds)
    with bar("Searching", "trials") as progress:
        for _ in steps.run_trials(config, settings, space, folds, trial_log, Stopwatch()):
            progress.update(len(trial_log.finished), config.trials)
    selection = steps.select(config, plan, folds, trial_log)
    answers = steps.evaluation_of(config, features, selection)
    return SweepResult(
        trials=trial_log.trials,
        curves=trial_log.curves,
        predictions=answers.predictions(),
        summary=steps.summarise(config, plan, folds, trial_log, selection.expected, answers),
        head=answers.recorded_head(),
    )


# --- runs on record ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class LoggedRun:
    """A sweep in MLflow. Tables are read when they are asked for."""

    run_id: str
    files: RunFiles

    def __repr__(self) -> str:
        return f"LoggedRun({self.run_id!r})"

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The figures that the command printed, with more (`summary.json`)."""
        return json.loads(self.files.read(Artifact.SUMMARY))

    def trials(self) -> pd.DataFrame:
        """One row per trial."""
        return self.files.table(Artifact.TRIALS)

    def curves(self) -> pd.DataFrame:
        """One row per trial, seed, epoch, split ("train", "val") and metric ("loss", "f1_macro" …)."""
        return self.files.table(Artifact.CURVES)

    def predictions(self) -> pd.DataFrame:
        """One row per logged head and sample: label, prediction, confidence, probabilities [C]; of a number
        that is predicted ``target`` and ``number``, of several labels ``true_labels`` and
        ``label_probabilities``."""
        return self.files.table(Artifact.PREDICTIONS)

    def frame(self) -> pd.DataFrame:
        """The predictions of the best head, as `predictions` has them."""
        return _of_best(self.predictions())

    def answers(self, split: str = "test") -> ClassAnswers | NumberAnswers | LabelAnswers:
        """What the best head says of a split, as `SweepResult.answers`."""
        from trainer.experiments.split_answers import answers_of_split

        return answers_of_split(self.predictions(), self.summary, split)

    def confusion(self, split: str = "test") -> pd.DataFrame:
        """Counts [C, C] of the best head on a split: true class by row, predicted class by column.

        Raises:
            InputError: there is no such split, or the run predicts a number or several labels.
        """
        if not self.summary.get(Summary.CLASSES):
            what = "several labels" if self.summary.get(Summary.TARGET) == "labels" else "a number"
            raise InputError(f"This run predicts {what}, and has no confusion matrix.")
        rows = self.frame()
        rows = rows[rows[Predictions.SPLIT] == split]
        if rows.empty:
            raise InputError(f"There is no row in the split {split!r}; splits are train, val and test.")
        classes = self.summary[Summary.CLASSES]
        counts = pd.crosstab(rows[Predictions.LABEL], rows[Predictions.PRED])
        return counts.reindex(index=classes, columns=classes, fill_value=0)

    def plot_curves(self, metric: str | None = None, split: str = "val") -> alt.Chart:
        """A line per trial, the mean over its seeds by epoch, as an Altair chart.

        Args:
            metric: None: macro-F1 of classes, R² of numbers, macro-F1 at 0.5 of several labels.

        Raises:
            InputError: the curves have no such metric and split.
        """
        import altair as alt

        curves = self.curves()
        if metric is None:
            known = set(curves[Curves.METRIC])
            family = objective_named(self.summary.get(Summary.OBJECTIVE, "")).family
            metric = next((one.metric for one in family if one.metric in known), "loss")
        chosen = curves[(curves[Curves.METRIC] == metric) & (curves[Curves.SPLIT] == split)]
        if chosen.empty:
            pairs = sorted(set(zip(curves[Curves.SPLIT], curves[Curves.METRIC], strict=True)))
            named = ", ".join(" ".join(pair) for pair in pairs)
            raise InputError(f"There are no curves of {split} {metric}. There are: {named}.")
        means = chosen.groupby([Curves.TRIAL, Curves.EPOCH], as_index=False)[Curves.VALUE].mean()
        y = alt.Y(f"{Curves.VALUE}:Q", title=f"{split} {metric}", scale=alt.Scale(zero=False))
        return (
            alt.Chart(means)
            .mark_line(opacity=0.5)
            .encode(x=f"{Curves.EPOCH}:Q", y=y, detail=f"{Curves.TRIAL}:N", tooltip=list(means.columns))
        )


def open_run(run_id: str, tracking_uri: str | None = None) -> LoggedRun:
    """A finished sweep, by its id in MLflow.

    Args:
        tracking_uri: the store; None: ``HEADROOM_TRACKING_URI``, else ``MLFLOW_TRACKING_URI``, else
            ``mlruns/mlflow.db`` in the working directory (of a checkout: in the checkout).

    Raises:
        InputError: there is no such run, or it is not a sweep.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> store = "sqlite:///mlruns/mlflow.db"
        >>> result = hr.run_sweep(features, trials=2, seeds=1, tracking_uri=store)
        >>> run = hr.open_run(result.run_id, store)
        >>> run.confusion("test").shape, int(run.confusion("test").to_numpy().sum())
        ((3, 3), 6)
    """
    from trainer.tracking.reader import RunFiles

    files = RunFiles(tracking_uri or default_tracking_uri(), run_id)
    return LoggedRun(files.sweep, files)


def _result_of(run: LoggedRun) -> SweepResult:
    from trainer.serving.batch_predict import load_best_head

    return SweepResult(
        run.trials(), run.curves(), run.predictions(), run.summary, load_best_head(run.files), run.run_id
    )


def _of_best(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions[Predictions.HEAD] == "best"].reset_index(drop=True)


# --- two runs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunComparison:
    """The best heads of two runs on the same test rows.

    Attributes:
        rows: test rows that both runs have.
        difference: macro-F1 of the first less the second, with a 95 % bootstrap interval over rows, or
            over groups of rows.
        p: two-sided p-value of that difference, by swapping the answers to each row or group.
        accuracy_difference: the same of the accuracy.
    """

    rows: int
    f1_macro_a: float
    f1_macro_b: float
    difference: Interval
    p: float
    accuracy_difference: Interval
    by_class: pd.DataFrame = field(repr=False)

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05."""
        return self.p < 0.05

    def frame(self) -> pd.DataFrame:
        """F1 of each class by either head: ``label, f1_a, f1_b, difference, low, high, p, p_holm``."""
        return self.by_class


@dataclass(frozen=True)
class ScoreComparison:
    """The best heads of two runs of numbers, or of several labels per image, on the same test rows.

    Attributes:
        rows: test rows that both runs have.
        score: what ``a``, ``b`` and ``difference`` are: "r2", or "map" (mean average precision).
        difference: the first less the second, with a 95 % interval over rows, or over groups of rows.
        p: two-sided p-value of that difference, of the same standard error.
        by_score: a row per score: ``score, a, b, difference, low, high, p``.
        by_label: of several labels the same of the average precision of each: ``label``, …, ``p_holm``; None
            of numbers.
    """

    rows: int
    score: str
    a: float
    b: float
    difference: Interval
    p: float
    by_score: pd.DataFrame = field(repr=False)
    by_label: pd.DataFrame | None = field(default=None, repr=False)

    @property
    def significant(self) -> bool:
        """Whether p is below 0.05."""
        return self.p < 0.05

    def frame(self) -> pd.DataFrame:
        """``by_label`` where images have several labels, else ``by_score``."""
        return self.by_score if self.by_label is None else self.by_label


def compare(a: SweepResult | LoggedRun, b: SweepResult | LoggedRun) -> RunComparison | ScoreComparison:
    """Compare the best heads of two runs, row by row on the test rows that both have.

    Returns a `RunComparison` of classes, else a `ScoreComparison`.

    Raises:
        InputError: they share no test row, a row has two labels, or the runs predict different things.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> a = hr.run_sweep(features, trials=2, seeds=1)
        >>> comparison = hr.compare(a, a)
        >>> comparison.rows, comparison.difference.value, comparison.p, comparison.significant
        (6, 0.0, 1.0, False)
    """
    from trainer.tracking.compared_runs import answers_of, compared

    names = ("The first run", "The second run")
    frames = [_best_answers(one) for one in (a, b)]
    if not all(Predictions.PRED in one for one in frames):
        return _compare_scores(names, frames, [one.summary for one in (a, b)])
    found = compared(
        [
            answers_of(name, frame.assign(**{Predictions.HEAD: name}), name)
            for name, frame in zip(names, frames, strict=True)
        ],
        base=1,
    )
    if not found.rows:
        raise InputError("The two runs share no test row: compare runs on the same data.")
    pair, (f1_a, f1_b) = found.pairs.iloc[0], found.scores[Methods.F1_MACRO]
    columns = {
        MethodClasses.CLASS: "label",
        MethodClasses.F1: "f1_a",
        MethodClasses.F1_AGAINST: "f1_b",
        MethodClasses.EFFECT: "difference",
        MethodClasses.EFFECT + Methods.LOW: "low",
        MethodClasses.EFFECT + Methods.HIGH: "high",
        MethodClasses.EFFECT_P: "p",
        MethodClasses.EFFECT_P_HOLM: "p_holm",
    }
    return RunComparison(
        rows=found.rows,
        f1_macro_a=float(f1_a),
        f1_macro_b=float(f1_b),
        difference=_interval_of(pair, MethodPairs.EFFECT),
        p=float(pair[MethodPairs.EFFECT_P]),
        accuracy_difference=_interval_of(pair, MethodPairs.ACCURACY),
        by_class=found.classes[[*columns]].rename(columns=columns),
    )


def _compare_scores(
    names: Sequence[str], frames: Sequence[pd.DataFrame], summaries: Sequence[Mapping[str, Any]]
) -> ScoreComparison:
    from trainer.tracking.compared_runs import RunAnswers
    from trainer.tracking.compared_scores import compared_scores

    runs = [RunAnswers(name, frame) for name, frame in zip(names, frames, strict=True)]
    (pair,) = compared_scores(runs, summaries, base=1)
    leading = pair.scores.iloc[0]
    return ScoreComparison(
        pair.rows,
        *(str(leading["score"]), float(leading["a"]), float(leading["b"])),
        Interval(*(float(leading[name]) for name in ("difference", "low", "high"))),
        float(leading["p"]),
        pair.scores,
        pair.labels,
    )


def _interval_of(row: pd.Series, name: str) -> Interval:
    return Interval(*(float(row[name + end]) for end in ("", Methods.LOW, Methods.HIGH)))


def _best_answers(run: SweepResult | LoggedRun) -> pd.DataFrame:
    return run.frame() if isinstance(run, LoggedRun) else _of_best(run.predictions)
