"""What a logged head says of the rows of one split, beside what is true: a class, a number, or labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.core.errors import InputError
from trainer.stats.intervals import Interval, confusion_matrix, wilson_of_groups
from trainer.stats.macro_f1 import macro_f1_interval
from trainer.stats.multilabel import of_f1_macro_at, of_f1_micro_at
from trainer.stats.objective import LABEL_F1, MAE, MAP, MICRO_F1, R2, RMSE
from trainer.stats.regression import spearman_of_units
from trainer.tracking.schema import Predictions, Summary

if TYPE_CHECKING:
    import altair as alt

RESIDUAL = "residual"
TRUE, PROBABILITY, PREDICTED = "true", "probability", "predicted"  # columns below each label


class ClassScores(NamedTuple):
    """Scores of classes, with 95 % intervals over rows or groups."""

    f1_macro: Interval
    accuracy: Interval


class NumberScores(NamedTuple):
    """Scores of numbers, with 95 % intervals over rows or groups; MAE and RMSE in units of the number."""

    r2: Interval
    mae: Interval
    rmse: Interval
    spearman: Interval


class LabelScores(NamedTuple):
    """Scores of several labels per image, with 95 % intervals over rows or groups."""

    map: Interval  # mean average precision, of the labels that have rows with and without them
    f1_macro: Interval  # this and the next at the thresholds of the head
    f1_micro: Interval


@dataclass(frozen=True, repr=False)
class _SplitAnswers:
    rows: pd.DataFrame  # PREDICTIONS of the best head, numbered from 0
    split: str

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} {self.split} rows)"

    @property
    def sample_ids(self) -> list[str]:
        """Names of the N rows."""
        return self.rows[Predictions.SAMPLE_ID].tolist()

    @property
    def unit_n(self) -> np.ndarray:
        """Which rows belong together, see `trainer.stats.units`: int [N]."""
        if Predictions.UNIT not in self.rows:  # of a version that did not know
            return np.arange(len(self.rows))
        return self.rows[Predictions.UNIT].to_numpy()


@dataclass(frozen=True, repr=False)
class ClassAnswers(_SplitAnswers):
    """Classes of the rows of a split, true and predicted."""

    classes: tuple[str, ...]

    @property
    def scores(self) -> ClassScores:
        """Macro-F1 and accuracy."""
        label_n, pred_n = self._indices()
        f1 = macro_f1_interval(label_n, pred_n, classes=len(self.classes), unit_n=self.unit_n, seed=0)
        return ClassScores(f1, wilson_of_groups(label_n == pred_n, self.unit_n))

    def frame(self) -> pd.DataFrame:
        """One row per image: ``sample_id, label, pred, confidence, probs`` (in the order of ``classes``)."""
        names = (Predictions.SAMPLE_ID, Predictions.LABEL, Predictions.PRED)
        return self.rows[[*names, Predictions.CONFIDENCE, Predictions.PROBS]].copy()

    def plot(self) -> alt.LayerChart:
        """The confusion matrix, as an Altair chart."""
        from trainer.charts.confusion import count_matrix

        counts = confusion_matrix(*self._indices(), classes=len(self.classes))
        return count_matrix(counts, self.classes, title=f"n = {len(self)} {self.split} rows")

    def _indices(self) -> tuple[np.ndarray, np.ndarray]:
        index = {name: c for c, name in enumerate(self.classes)}
        label_n, pred_n = (
            self.rows[column].map(index).to_numpy(dtype=np.int64)
            for column in (Predictions.LABEL, Predictions.PRED)
        )
        return label_n, pred_n


@dataclass(frozen=True, repr=False)
class NumberAnswers(_SplitAnswers):
    """Numbers of the rows of a split, true and predicted."""

    @property
    def true_n(self) -> np.ndarray:
        """True numbers, float64 [N]."""
        return self.rows[Predictions.TARGET].to_numpy(dtype=np.float64)

    @property
    def predicted_n(self) -> np.ndarray:
        """Predicted numbers, float64 [N]."""
        return self.rows[Predictions.NUMBER].to_numpy(dtype=np.float64)

    @property
    def scores(self) -> NumberScores:
        """R², MAE, RMSE and Spearman's rank correlation."""
        target_n, answer_n1, unit_n = self.true_n, self.predicted_n[:, None], self.unit_n
        r2, mae, rmse = (one.interval(one.of(target_n, answer_n1), unit_n) for one in (R2, MAE, RMSE))
        return NumberScores(r2, mae, rmse, spearman_of_units(target_n, self.predicted_n, unit_n))

    def frame(self) -> pd.DataFrame:
        """One row per image: ``sample_id, target`` (true), ``number`` (predicted), ``residual`` (predicted
        less true)."""
        names = [Predictions.SAMPLE_ID, Predictions.TARGET, Predictions.NUMBER]
        return self.rows[names].assign(**{RESIDUAL: self.predicted_n - self.true_n})

    def plot(self) -> alt.LayerChart:
        """Predicted against true numbers, as an Altair chart."""
        from trainer.charts import numbers

        rows = pd.DataFrame(
            {"sample_id": self.sample_ids, numbers.TRUE: self.true_n, numbers.PREDICTED: self.predicted_n}
        )
        tooltip = ["sample_id:N", f"{numbers.TRUE}:Q", f"{numbers.PREDICTED}:Q"]
        return numbers.against_true(rows, numbers.extent_of(self.true_n, self.predicted_n), tooltip=tooltip)


@dataclass(frozen=True, repr=False)
class LabelAnswers(_SplitAnswers):
    """Which of C labels the rows of a split have, and what the head says of each."""

    labels: tuple[str, ...]
    threshold_c: np.ndarray  # float64 [C], probabilities from which a label is predicted

    @property
    def true_nc(self) -> np.ndarray:
        """Which labels the rows have, bool [N, C]."""
        at = {name: c for c, name in enumerate(self.labels)}
        has_nc = np.zeros((len(self), len(self.labels)), dtype=bool)
        for row, names in enumerate(self.rows[Predictions.TRUE_LABELS]):
            has_nc[row, [at[name] for name in names]] = True
        return has_nc

    @property
    def probability_nc(self) -> np.ndarray:
        """The probability of each label, float32 [N, C]."""
        given = self.rows[Predictions.LABEL_PROBABILITIES].tolist()
        return np.array(given, dtype=np.float32).reshape(len(self), len(self.labels))

    @property
    def predicted_nc(self) -> np.ndarray:
        """Which labels are predicted: those at or above their threshold, bool [N, C]."""
        return self.probability_nc >= self.threshold_c

    @property
    def scores(self) -> LabelScores:
        """The mAP, and macro- and micro-F1 at the thresholds."""
        true_nc, predicted_nc, unit_n = self.true_nc, self.predicted_nc, self.unit_n
        return LabelScores(
            MAP.interval(MAP.of(true_nc, self.probability_nc), unit_n),
            LABEL_F1.interval(of_f1_macro_at(true_nc, predicted_nc), unit_n),
            MICRO_F1.interval(of_f1_micro_at(true_nc, predicted_nc), unit_n),
        )

    def by_label(self) -> pd.DataFrame:
        """One row per label: ``label, n`` (rows that have it), ``ap, ap_low, ap_high`` (average precision,
        NaN without rows of both kinds), ``chance`` (the share of rows that have it), ``threshold``."""
        from trainer.charts.precisions import precision_rows

        rows = precision_rows(self.labels, self.true_nc, self.probability_nc, self.unit_n)
        return rows.assign(threshold=self.threshold_c)

    def frame(self) -> pd.DataFrame:
        """One row per image, named by its ``sample_id``; for each label the columns ``true, probability,
        predicted`` below its name, so that ``frame["cat"]`` are those of a label."""
        parts = {TRUE: self.true_nc, PROBABILITY: self.probability_nc, PREDICTED: self.predicted_nc}
        columns = {
            (name, part): value_nc[:, c]
            for c, name in enumerate(self.labels)
            for part, value_nc in parts.items()
        }
        names = ["label", "answer"]
        found = pd.DataFrame(columns, index=pd.Index(self.sample_ids, name=Predictions.SAMPLE_ID))
        return found.set_axis(pd.MultiIndex.from_tuples(columns, names=names), axis="columns")

    def plot(self) -> alt.LayerChart:
        """The average precision of each label, the worst first, as an Altair chart.

        Raises:
            InputError: no label has rows with it and rows without it.
        """
        from trainer.charts.precisions import worst_precisions

        title = f"n = {len(self)} {self.split} rows"
        chart = worst_precisions(self.by_label(), title=title)
        if chart is None:
            raise InputError(f"No label has {self.split} rows with it and without it, so none has a score.")
        return chart


def answers_of_split(
    predictions: pd.DataFrame, summary: Mapping[str, Any], split: str
) -> ClassAnswers | NumberAnswers | LabelAnswers:
    """Return the answers of a sweep's best head, of whichever kind they are.

    Args:
        predictions: PREDICTIONS of a sweep or a fine-tuning.
        summary: its SUMMARY.

    Raises:
        InputError: the split has no rows.
    """
    best = predictions[Predictions.HEAD] == "best"
    rows = predictions[best & (predictions[Predictions.SPLIT] == split)].reset_index(drop=True)
    if rows.empty:
        raise InputError(f"There is no row in the split {split!r}; splits are train, val and test.")
    if Predictions.NUMBER in rows:
        return NumberAnswers(rows, split)
    if Predictions.LABEL_PROBABILITIES in rows:
        threshold_c = np.array(summary[Summary.THRESHOLDS], dtype=np.float64)
        return LabelAnswers(rows, split, tuple(summary[Summary.LABEL_NAMES]), threshold_c)
    return ClassAnswers(rows, split, tuple(summary[Summary.CLASSES]))
