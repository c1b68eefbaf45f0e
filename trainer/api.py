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
from collections.abc import Mapping
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
    from trainer.features.extract import Features
    from trainer.serving.predictor import RecordedHead
    from trainer.tracking.reader import RunFiles

__all__ = [
    "BestTrial",
    "Dataset",
    "FeatureTable",
    "LoggedRun",
    "RunComparison",
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


# --- data and features ------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled rows in the splits train, val and test. ``len(dataset)`` is their number."""

    config: DataConfig
    manifest: Manifest

    def __len__(self) -> int:
        return len(self.manifest)

    def __repr__(self) -> str:
        return f"Dataset({self.config.data!r}, {len(self)} rows, {len(self.classes)} classes, {self.counts})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of every class index and of every axis C."""
        return self.manifest.classes

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
        """Class indices, int64 [N]; -1 where a row has no label."""
        return self.features.manifest.label_n

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
        """Class names, by class index."""
        return self.features.manifest.classes

    @property
    def quarantined(self) -> pd.DataFrame:
        """Files that cannot be used: ``path, reason``."""
        return pd.DataFrame(self.features.report.quarantined, columns=["path", "reason"])

    def frame(self) -> pd.DataFrame:
        """One row per image: ``sample_id, split, label``, then the D numbers of its vector, ``x0, x1 …``."""
        vectors = pd.DataFrame(self.x, columns=[f"x{d}" for d in range(self.x.shape[1])])
        return pd.concat([_rows(self.features.manifest), vectors], axis=1)


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
    label_conflicts: Literal["warn", "drop", "refuse"] = "warn",
) -> Dataset:
    """Read the rows that ``--data`` of a command reads. Images are hashed, not decoded.

    Args:
        data: ``demo``; a folder of images, a table, tar shards or ready features; ``hf:owner/name``.
        seed: draws the splits that the data does not bring.
        groups: regular expression; what it finds in a name, such as a patient, stays in one split.
        allow_leaks: accept an image or a group that is in train and in test.
        columns: names of columns by role (image, label, caption, group); None: found by their names.
        label_conflicts: if copies of an image have different labels: "warn", "drop" all of its rows, or
            "refuse" the data.

    Raises:
        InputError: there is no such data, it cannot be read as rows, a group is in two splits, or copies with
            different labels are refused.

    Example:
        >>> data = hr.load_dataset("images")
        >>> len(data), data.counts, data.classes
        (36, {'train': 24, 'val': 6, 'test': 6}, ('cat', 'dog', 'horse'))
    """
    from trainer.experiments.inputs import read_rows

    unknown = sorted(set(columns or {}) - {"image", "label", "caption", "group"})
    if unknown:
        raise InputError(f"columns has {unknown[0]!r}; it takes image, label, caption and group.")
    flags: dict[str, Any] = {f"{role}_column": column for role, column in (columns or {}).items()}
    config = DataConfig(
        data=str(data),
        seed=seed,
        groups=groups,
        allow_leaks=allow_leaks,
        label_conflicts=label_conflicts,
        **flags,
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
            in the checkout).
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
    """The best trial by the objective. Scores have 95 % intervals."""

    trial: int
    params: Mapping[str, Any]
    val_f1_macro: Interval  # mean over seeds; the interval is NaN for one seed
    test_f1_macro: Interval  # of the final head, the interval over test rows, or groups of them
    test_accuracy: Interval
    val_score: Interval  # as val_f1_macro, by the objective of the search


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

        number = self.summary[Summary.BEST_TRIAL]
        row = self.trials[self.trials[Trials.TRIAL] == number].iloc[0]
        scores = (
            *(Summary.BEST_VAL_F1_MACRO, Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY),
            Summary.BEST + self.objective.column,
        )
        return BestTrial(number, params_of(row.to_dict()), *(self._interval(name) for name in scores))

    def _interval(self, name: str) -> Interval:
        low, high = (math.nan if end is None else end for end in self.summary[name + Summary.CI95])
        return Interval(self.summary[name], low, high)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 [N, C], of vectors [N, D] of the same encoder, by the best head.

        Raises:
            InputError: the vectors have another shape.
        """
        x = np.asarray(x, dtype=np.float32)
        width = self.summary[Summary.DIMENSION]
        if x.ndim != 2 or x.shape[1] != width:
            raise InputError(f"x has the shape {x.shape}; expected rows of {width} numbers.")
        return self.head.answers(x)

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
        InputError: no head can be trained on this data, such as one of numbers; a flag makes no sense.
        NoResultError: no trial completed.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> result = hr.run_sweep(features, trials=4, seeds=2)
        >>> len(result.trials), 0 <= result.best.test_accuracy.value <= 1
        (4, True)
    """
    from trainer.data.label_numbers import are_numbers

    unknown = sorted(set(flags) - set(FLAGS))
    if unknown:
        raise InputError(f"run_sweep has no argument {unknown[0]!r}; it takes {', '.join(FLAGS)}.")
    shared = {one.name: getattr(features.config, one.name) for one in dataclasses.fields(DataConfig)}
    if flags.get("space") is not None:
        flags["space"] = Path(flags["space"])
    config = SweepConfig(**{**shared, **flags}, trials=trials, seeds=seeds, study=study)
    manifest = features.features.manifest
    if config.label_kind in ("number", "labels") or are_numbers(manifest.classes, manifest.label_n):
        kind = config.label_kind or "number"
        what = "numbers" if kind == "number" else "several labels per image"
        raise InputError(
            f"run_sweep searches heads of classes. For {what} run `python -m trainer.sweep --target {kind}`; "
            "open_run reads what it recorded."
        )
    if tracking_uri is None:
        return _search_in_memory(config, features.features)
    from trainer.experiments.sweep import run

    summary = run.run(dataclasses.replace(config, tracking_uri=tracking_uri))
    return _result_of(open_run(summary[Summary.RUN_ID], tracking_uri))


def _search_in_memory(config: SweepConfig, features: Features) -> SweepResult:
    from trainer.core.console import bar, say
    from trainer.core.stopwatch import Stopwatch
    from trainer.data.manifest import check_trainable
    from trainer.data.unlabelled import labelled_rows
    from trainer.data.vector_range import check_vectors
    from trainer.experiments.evaluation import Evaluation
    from trainer.experiments.hardware import Plan
    from trainer.experiments.sweep import trials as steps
    from trainer.experiments.sweep.memory_plan import trials_that_fit
    from trainer.experiments.sweep.validation import folds_of, plan_validation
    from trainer.search.space import load_space
    from trainer.search.trial_log import TrialLog

    steps.check(config)
    features = features.take(labelled_rows(features.manifest))
    check_trainable(features.manifest)
    if notice := check_vectors(features.manifest, features.vectors_nd):
        say(notice)
    objective = objective_named(config.objective)
    space, trial_log = load_space(config.space), TrialLog(objective=objective)
    plan, validation = Plan.of(config), plan_validation(config, features.manifest, None)
    folds = folds_of(features, validation, plan.device, objective)
    at_once = trials_that_fit(config, space, folds, rows=len(features.manifest))
    settings = steps.search_settings(dataclasses.replace(config, at_once=at_once), plan, folds)
    with bar("Searching", "trials") as progress:
        for _ in steps.run_trials(config, settings, space, folds, trial_log, Stopwatch()):
            progress.update(len(trial_log.finished), config.trials)
    selection = steps.select(config, plan, folds, trial_log)
    answers = Evaluation(
        *(features, selection.finalists), seed=config.seed, coverage=config.coverage, objective=objective
    )
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
        that is predicted ``target`` and ``number``."""
        return self.files.table(Artifact.PREDICTIONS)

    def frame(self) -> pd.DataFrame:
        """The predictions of the best head."""
        return _of_best(self.predictions())

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

    def plot_curves(self, metric: str = "f1_macro", split: str = "val") -> alt.Chart:
        """A line per trial, the mean over its seeds by epoch, as an Altair chart.

        Raises:
            InputError: the curves have no such metric and split.
        """
        import altair as alt

        curves = self.curves()
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


def compare(a: SweepResult | LoggedRun, b: SweepResult | LoggedRun) -> RunComparison:
    """Compare the best heads of two runs, row by row on the test rows that both have.

    Raises:
        InputError: they share no test row, a row has two labels, or a run predicts no single class.

    Example:
        >>> features = hr.extract_features(hr.load_dataset("images"), encoder="demo")
        >>> a = hr.run_sweep(features, trials=2, seeds=1)
        >>> comparison = hr.compare(a, a)
        >>> comparison.rows, comparison.difference.value, comparison.p, comparison.significant
        (6, 0.0, 1.0, False)
    """
    from trainer.tracking.compared_runs import answers_of, compared

    names = ("The first run", "The second run")
    frames = (_best_answers(one) for one in (a, b))
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


def _interval_of(row: pd.Series, name: str) -> Interval:
    return Interval(*(float(row[name + end]) for end in ("", Methods.LOW, Methods.HIGH)))


def _best_answers(run: SweepResult | LoggedRun) -> pd.DataFrame:
    return run.frame() if isinstance(run, LoggedRun) else _of_best(run.predictions)
