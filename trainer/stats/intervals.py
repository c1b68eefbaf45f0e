"""Intervals beside every number."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def mean_over_seeds(score_s: np.ndarray) -> tuple[Interval, float]:
    """Mean of a score (0 to 1) over S seeds with Student's t-interval, and its standard error.

    The interval is cut to where a score can lie. With one seed there is none: low, high and standard
    error are NaN.
    """
    (mean, low, high), error = _student(score_s)
    return Interval(mean, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))), error


def paired_difference(score_a_s: np.ndarray, score_b_s: np.ndarray) -> Interval:
    """Mean of a - b over S pairs (two configurations, seed by seed) with Student's t-interval.

    The interval is that of the differences themselves (Student 1908, "The probable error of a mean",
    whose first example is such a pair of columns), so what both scores of a pair share does not widen
    it. With one pair there is none: low and high are NaN.
    """
    return mean_difference(np.asarray(score_a_s) - np.asarray(score_b_s))


def mean_difference(difference_n: np.ndarray) -> Interval:
    """Mean of N paired differences with Student's t-interval; with one there is none: its bounds are NaN."""
    return _student(difference_n)[0]


def _student(value_s: np.ndarray) -> tuple[Interval, float]:
    """Mean with Student's t-interval, and its standard error; NaN where one value has none."""
    mean, count = float(np.mean(value_s)), len(value_s)
    if count < 2:
        return Interval(mean, math.nan, math.nan), math.nan
    error = float(np.std(value_s, ddof=1)) / math.sqrt(count)
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    return Interval(mean, mean - reach, mean + reach), error


def confusion_matrix(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> np.ndarray:
    """Counts int64 [C, C], true class by row."""
    return np.bincount(label_n * classes + pred_n, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Accuracy of confusion matrices [..., C, C]."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))


def f1_macro(confusion: np.ndarray) -> np.ndarray:
    """Macro-F1 of confusion matrices [..., C, C].

    The mean of 2·TP / (2·TP + FP + FN) over the classes that occur among labels or predictions, as
    scikit-learn's ``f1_score(average="macro", zero_division=0)``.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    either = confusion.sum(-1) + confusion.sum(-2)
    f1 = np.divide(2 * hits, either, out=np.zeros(hits.shape), where=either > 0)
    return f1.sum(-1) / (either > 0).sum(-1)


def wilson(right: int, rows: int) -> Interval:
    """Share of right answers with Wilson's score interval (Wilson 1927), which holds for few rows too."""
    return wilson_of_share(right / rows, rows)


def wilson_of_share(share: float, rows: float) -> Interval:
    """The same of a share of as many rows as the real ones are worth, which need not be a whole number."""
    z = float(stats.norm.ppf(0.975))
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return Interval(share, max(centre - reach, 0.0), min(centre + reach, 1.0))


def bootstrap_f1_macro(confusion: np.ndarray, *, seed: int, draws: int = 2000) -> Interval:
    """Macro-F1 of a confusion matrix [C, C] of counts, with a percentile-bootstrap interval over rows.

    Resampling N rows with replacement is a multinomial draw over the cells of the confusion matrix
    (Efron & Tibshirani 1993, ch. 6, applied to counts), which costs cells instead of rows.
    """
    cells, rows, classes = np.flatnonzero(confusion), int(confusion.sum()), len(confusion)
    counts = np.random.default_rng(seed).multinomial(rows, confusion.flat[cells] / rows, size=draws)
    scores = np.empty(draws)
    chunk = max(1, 20_000_000 // classes**2)  # matrices held at once
    for start in range(0, draws, chunk):
        part = counts[start : start + chunk]
        drawn = np.zeros((len(part), classes * classes), dtype=np.int64)
        drawn[:, cells] = part
        scores[start : start + chunk] = f1_macro(drawn.reshape(-1, classes, classes))
    return _interval(f1_macro(confusion), scores)


def bootstrap_auroc(positive_n: np.ndarray, score_n: np.ndarray, *, seed: int, draws: int = 1000) -> Interval:
    """Area under the ROC curve with a percentile-bootstrap interval; rows are drawn within each class."""
    random = np.random.default_rng(seed)
    yes, no = np.flatnonzero(positive_n), np.flatnonzero(~positive_n.astype(bool))
    target = np.r_[np.ones(len(yes)), np.zeros(len(no))]
    areas = [
        roc_auc_score(target, score_n[np.r_[random.choice(yes, len(yes)), random.choice(no, len(no))]])
        for _ in range(draws)
    ]
    return _interval(roc_auc_score(positive_n, score_n), np.asarray(areas))


def _interval(value: float | np.ndarray, draws: np.ndarray) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))
