"""Several labels per image: what a head says of rows, figures of each label, and what is missed with what.

Pure frames: no files, no Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.charts.precisions import precision_rows
from trainer.stats import label_tables
from trainer.stats.intervals import Interval, ratio, wilson_of_groups
from trainer.stats.multilabel import HALF, judged_labels, label_losses, of_f1_macro_at, of_f1_micro_at
from trainer.stats.objective import LABEL_F1, MAP, MICRO_F1
from trainer.tracking.schema import Predictions, Summary

LOG_LOSS, COUNT = "log-loss", "number of labels"
TRUE, SAID, RIGHT, MISSED, WRONG = "true", "said", "right", "missed", "wrongly said"  # labels of a row
NEITHER = "neither"  # a label that a row does not have, and that was not said
STATES = (NEITHER, RIGHT, MISSED, WRONG)
OF_LABELS = "states of labels"
JOINED = ", "
NO_LABELS = "none"


class LabelAnswers(NamedTuple):
    """What a head says of N rows about C labels."""

    rows: pd.DataFrame  # PREDICTIONS, numbered from 0
    names: list[str]  # of the labels
    label_nc: np.ndarray  # bool [N, C]
    probability_nc: np.ndarray  # float64 [N, C]
    threshold_c: np.ndarray  # float64 [C]: a label is said from there on

    @property
    def said_nc(self) -> np.ndarray:
        """Which labels are said: bool [N, C]."""
        return self.probability_nc >= self.threshold_c

    @property
    def unit_n(self) -> np.ndarray:
        """See `trainer.stats.units`."""
        return self.rows[Predictions.UNIT].to_numpy()

    def take(self, kept_n: np.ndarray) -> LabelAnswers:
        """Return the rows of a mask, or of indices, in that order."""
        rows = self.rows[kept_n] if kept_n.dtype == bool else self.rows.iloc[kept_n]
        return self._replace(
            rows=rows.reset_index(drop=True),
            label_nc=self.label_nc[kept_n],
            probability_nc=self.probability_nc[kept_n],
        )


class LabelScores(NamedTuple):
    """Figures of a head on some rows, with 95 % intervals over rows, or groups of them."""

    mean: Interval  # mAP
    f1_macro: Interval  # at the thresholds
    f1_micro: Interval
    chance: float  # the mAP of one answer to all rows


def answers(predictions: pd.DataFrame, summary: Mapping[str, Any], *, head: str, split: str) -> LabelAnswers:
    """Return what a head says of the rows of a split, from PREDICTIONS and SUMMARY of a sweep of labels."""
    asked = (predictions[Predictions.HEAD] == head) & (predictions[Predictions.SPLIT] == split)
    return of_run(predictions[asked].reset_index(drop=True), summary)


def of_rows(rows: pd.DataFrame, names: Sequence[str], thresholds: Sequence[float]) -> LabelAnswers:
    """Return what is said of rows of PREDICTIONS.

    Args:
        names: in the order of the probabilities.
        thresholds: of each name; where there are not as many, `HALF` for all.
    """
    at = {name: c for c, name in enumerate(names)}
    label_nc = np.zeros((len(rows), len(names)), dtype=bool)
    for n, known in enumerate(rows[Predictions.TRUE_LABELS]):
        label_nc[n, [at[name] for name in known if name in at]] = True
    probability_nc = np.empty((len(rows), len(names)))
    for n, given in enumerate(rows[Predictions.LABEL_PROBABILITIES]):
        probability_nc[n] = given
    usual = len(thresholds) != len(names)
    threshold_c = np.full(len(names), HALF) if usual else np.asarray(thresholds, dtype=float)
    return LabelAnswers(rows, list(names), label_nc, probability_nc, threshold_c)


def of_run(rows: pd.DataFrame, summary: Mapping[str, Any]) -> LabelAnswers:
    """`of_rows` with names and thresholds of a sweep's SUMMARY."""
    return of_rows(rows, summary.get(Summary.LABEL_NAMES, []), summary.get(Summary.THRESHOLDS, []))


def said_names(answered: LabelAnswers) -> list[tuple[str, ...]]:
    """Return the names of the labels that are said of each row."""
    return [
        tuple(name for name, said in zip(answered.names, said_c, strict=True) if said)
        for said_c in answered.said_nc
    ]


def scores(answered: LabelAnswers) -> LabelScores:
    """Return mAP, F1 at the thresholds, and the mAP of chance."""
    label_nc, unit_n = answered.label_nc, answered.unit_n
    judged = judged_labels(label_nc)
    return LabelScores(
        MAP.interval(MAP.of(label_nc, answered.probability_nc), unit_n),
        LABEL_F1.interval(of_f1_macro_at(label_nc, answered.said_nc), unit_n),
        MICRO_F1.interval(of_f1_micro_at(label_nc, answered.said_nc), unit_n),
        float(label_nc[:, judged].mean()) if judged.any() else float("nan"),
    )


def _counts(answered: LabelAnswers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each label is said rightly, is there, and is said: int64 [C] each."""
    said_nc = answered.said_nc
    return (answered.label_nc & said_nc).sum(0), answered.label_nc.sum(0), said_nc.sum(0)


def per_label(answered: LabelAnswers) -> pd.DataFrame:
    """One row per label, the lowest average precision first, those without one last.

    `precision_rows`, and ``said, right, threshold, precision, recall`` with the ends of Wilson's intervals,
    and ``f1``. What there is no row for is null.
    """
    hits_c, true_c, said_c = _counts(answered)
    precision, recall = (
        [_share(answered, c, of_nc) for c in range(len(answered.names))]
        for of_nc in (answered.said_nc, answered.label_nc)
    )
    ranked = precision_rows(answered.names, answered.label_nc, answered.probability_nc, answered.unit_n)
    frame = ranked.assign(
        said=said_c,
        right=hits_c,
        threshold=answered.threshold_c,
        **_with_ends("precision", precision),
        **_with_ends("recall", recall),
        f1=np.where(true_c + said_c > 0, ratio(2 * hits_c, true_c + said_c), np.nan),
    )
    return frame.sort_values("ap", kind="stable", na_position="last", ignore_index=True)


def _share(answered: LabelAnswers, c: int, of_nc: np.ndarray) -> Interval:
    """Share of the rows of a mask on which a label is both there and said."""
    of_n = of_nc[:, c]
    hit_n = answered.label_nc[:, c] & answered.said_nc[:, c]
    return wilson_of_groups(hit_n[of_n], answered.unit_n[of_n])


def _with_ends(name: str, intervals: list[Interval]) -> dict[str, np.ndarray]:
    found_c3 = np.array(intervals, dtype=float).reshape(-1, 3)
    return {name: found_c3[:, 0], f"{name}_low": found_c3[:, 1], f"{name}_high": found_c3[:, 2]}


# --- Pairs of labels --------------------------------------------------------------------------


class LabelPairs(NamedTuple):
    """Pairs of different labels, at most so many of them."""

    cells: pd.DataFrame  # ``label, other, n, of, share`` = n / of, of pairs that occur
    names: list[str]  # of the labels, in their order


def together(answered: LabelAnswers, most: int) -> LabelPairs:
    """Return on how many of the rows with a label another one is there, too; of the most frequent labels."""
    counted_cc = label_tables.co_occurrence(answered.label_nc)
    whole_c = np.diagonal(counted_cc).copy()
    return _pairs(counted_cc, whole_c, answered.names, _largest(whole_c, most))


def missed(answered: LabelAnswers, most: int, *, there: bool) -> LabelPairs:
    """Return on how many of the rows on which a label was missed another one was said wrongly (``there``: was
    there, too); of the labels that this happened to most often."""
    found = label_tables.missed_with(answered.label_nc, answered.said_nc)
    counted_cc = found.there_cc if there else found.wrong_cc
    often_c = found.missed_c + counted_cc.sum(0)
    return _pairs(counted_cc, found.missed_c, answered.names, _largest(often_c, most))


def _largest(count_c: np.ndarray, most: int) -> np.ndarray:
    """Which labels have the largest counts, at most so many, in the order of the names: int64."""
    return np.sort(np.argsort(-count_c, kind="stable")[:most])


def _pairs(counted_cc: np.ndarray, whole_c: np.ndarray, names: list[str], kept: np.ndarray) -> LabelPairs:
    share_cc = label_tables.shares(counted_cc, whole_c)
    found = [
        (names[i], names[j], int(counted_cc[i, j]), int(whole_c[i]), float(share_cc[i, j]))
        for i in kept
        for j in kept
        if i != j and counted_cc[i, j]
    ]
    cells = pd.DataFrame(found, columns=["label", "other", "n", "of", "share"])
    return LabelPairs(cells, [names[c] for c in kept])


# --- Rows -------------------------------------------------------------------------------------


def with_words(answered: LabelAnswers) -> pd.DataFrame:
    """The rows with `LOG_LOSS` and, in words, which labels are `TRUE`, `SAID`, `RIGHT`, `MISSED`, `WRONG`."""
    label_nc, said_nc = answered.label_nc, answered.said_nc
    masks = {
        TRUE: label_nc,
        SAID: said_nc,
        RIGHT: label_nc & said_nc,
        MISSED: label_nc & ~said_nc,
        WRONG: said_nc & ~label_nc,
    }
    losses = label_losses(answered.probability_nc, label_nc)
    columns = {name: [listed(answered.names, mask_c) for mask_c in mask] for name, mask in masks.items()}
    return answered.rows.assign(**{LOG_LOSS: losses}, **columns)


def listed(names: Sequence[str], mask_c: np.ndarray) -> str:
    """The names of a mask in words; "" for none of them."""
    return JOINED.join(names[int(c)] for c in np.flatnonzero(mask_c))


def worst(answered: LabelAnswers, label: str | None = None, state: str | None = None) -> np.ndarray:
    """Return the numbers of the rows, the largest log-loss first: of all, or of those on which a label is in
    a state.

    Args:
        state: `MISSED`, `WRONG` or `RIGHT`; None: any but `NEITHER`. Without a label: of any label.
    """
    kept_n = np.ones(len(answered.rows), dtype=bool)
    if label is not None or state is not None:
        of_nc = states(answered)
        matches_nc = of_nc > 0 if state is None else of_nc == STATES.index(state)
        of_c = slice(None) if label is None else [answered.names.index(label)]
        kept_n = np.any(matches_nc[:, of_c], axis=1)
    losses_n = label_losses(answered.probability_nc, answered.label_nc)
    order_n = np.argsort(-losses_n, kind="stable")
    return order_n[kept_n[order_n]]


def states(answered: LabelAnswers) -> np.ndarray:
    """Return for each row and label which of `STATES` it is: int64 [N, C]."""
    label_nc, said_nc = answered.label_nc, answered.said_nc
    return np.select([label_nc & said_nc, label_nc, said_nc], [1, 2, 3], 0)


def as_points(answered: LabelAnswers) -> pd.DataFrame:
    """Return PREDICTIONS of labels as a map shows them: labels in words as ``label`` and ``pred``, no
    confidence, `LOG_LOSS`, `COUNT`, and `states` of each row as lists in `OF_LABELS`."""
    rows = with_words(answered)
    rows[Predictions.LABEL] = rows[TRUE].replace("", NO_LABELS)
    rows[Predictions.PRED] = rows[SAID].replace("", NO_LABELS)
    rows[Predictions.CONFIDENCE] = np.nan
    rows[OF_LABELS] = pd.Series(list(states(answered)), index=rows.index, dtype=object)
    return rows.assign(**{COUNT: answered.label_nc.sum(1)})


def state_by_sample(points: pd.DataFrame, c: int) -> pd.Series:
    """Return which of `STATES` label number ``c`` is in, by sample, from `as_points` of one head."""
    found = [STATES[int(of_c[c])] for of_c in points[OF_LABELS]]
    return pd.Series(found, index=points[Predictions.SAMPLE_ID], dtype=object)


def numbers(points: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return by sample what `as_points` of one head has in numbers: `LOG_LOSS`, and what probability each
    label has."""
    of_sample = points.drop_duplicates(Predictions.SAMPLE_ID).set_index(Predictions.SAMPLE_ID)
    given_nc = np.array(of_sample[Predictions.LABEL_PROBABILITIES].tolist(), dtype=float)
    columns = {f"probability of {name}": given_nc[:, c] for c, name in enumerate(names)}
    return pd.DataFrame({LOG_LOSS: of_sample[LOG_LOSS], **columns}, index=of_sample.index)
