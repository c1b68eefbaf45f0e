"""Intervals beside every number."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from trainer.stats.units import effective_rows, numbered, standard_error

Z95 = float(ndtri(0.975))  # of the normal distribution


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def mean_over_seeds(score_s: np.ndarray, *, most: float = 1.0, least: float = 0.0) -> tuple[Interval, float]:
    """Return the mean of a score (``least`` to ``most``) over S seeds with Student's t-interval, and its
    standard error.

    The interval is cut to where a score can lie. With one seed there is none: low, high and standard
    error are NaN.
    """
    (mean, low, high), error = _student(score_s)
    return Interval(mean, float(np.clip(low, least, most)), float(np.clip(high, least, most))), error


def score_over_units_and_seeds(
    score: float, unit_error: float, seed_error: float, *, most: float = 1.0, least: float = 0.0
) -> Interval:
    """Return a score (``least`` to ``most``) with a normal 95 % interval for both sources of chance, cut to
    that range.

    Args:
        unit_error: standard error over rows, or groups of rows.
        seed_error: over seeds; NaN for one seed.
    """
    reach = Z95 * math.hypot(unit_error, 0.0 if math.isnan(seed_error) else seed_error)
    return Interval(score, max(score - reach, least), min(score + reach, most))


def paired_difference(score_a_s: np.ndarray, score_b_s: np.ndarray) -> Interval:
    """Return the mean of a - b over S pairs (two configurations, seed by seed) with Student's t-interval.

    The interval is that of the differences themselves (Student 1908, "The probable error of a mean",
    whose first example is such a pair of columns), so what both scores of a pair share does not widen
    it. With one pair there is none: low and high are NaN.
    """
    return mean_difference(np.asarray(score_a_s) - np.asarray(score_b_s))


def mean_difference(difference_n: np.ndarray, unit_n: np.ndarray | None = None) -> Interval:
    """Return the mean of N paired differences with Student's t-interval, over units of rows where
    `trainer.stats.units` are given; with one there is none: its bounds are NaN."""
    return _student(difference_n, unit_n)[0]


def _student(value_s: np.ndarray, unit_s: np.ndarray | None = None) -> tuple[Interval, float]:
    """Return the mean with Student's t-interval, and its standard error; NaN where one value has none."""
    mean, units = float(np.mean(value_s)), numbered(unit_s, len(value_s))
    count = units.count
    if count < 2:
        return Interval(mean, math.nan, math.nan), math.nan
    if units.grouped:
        error = standard_error(value_s, units)
    else:
        error = float(np.std(value_s, ddof=1)) / math.sqrt(count)
    reach = float(student_reach(error, count))
    return Interval(mean, mean - reach, mean + reach), error


def student_reach(error: np.ndarray | float, count: np.ndarray | int) -> np.ndarray:
    """Return half the width of Student's 95 % interval of means of ``count`` values with these standard
    errors."""
    return stdtrit(np.maximum(np.asarray(count) - 1, 1), 0.975) * error


def confusion_matrix(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> np.ndarray:
    """Return counts int64 [C, C], true class by row."""
    return np.bincount(label_n * classes + pred_n, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the accuracy of confusion matrices [..., C, C]."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum((-2, -1))


def f1_macro(confusion: np.ndarray) -> np.ndarray:
    """Return the macro-F1 of confusion matrices [..., C, C].

    The mean of 2·TP / (2·TP + FP + FN) over the classes that occur among labels or predictions, as
    scikit-learn's ``f1_score(average="macro", zero_division=0)``.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    either = confusion.sum(-1) + confusion.sum(-2)
    return ratio(2 * hits, either).sum(-1) / (either > 0).sum(-1)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return ``part / whole``, 0 where there is nothing to divide by: precision, recall and F1 of a class."""
    out = np.zeros(np.broadcast_shapes(np.shape(part), np.shape(whole)), np.result_type(part, np.float32))
    return np.divide(part, whole, out=out, where=np.asarray(whole) > 0)


def wilson(right: int, rows: int) -> Interval:
    """Return the share of right answers with Wilson's score interval (Wilson 1927,
    doi:10.1080/01621459.1927.10502953), which holds for few rows too; NaN without a row."""
    return wilson_of_share(right / rows, rows) if rows else Interval(math.nan, math.nan, math.nan)


def wilson_of_share(share: float, rows: float) -> Interval:
    """Return the same of a share of as many rows as the real ones are worth, which need not be a whole
    number."""
    z = Z95
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return Interval(share, max(centre - reach, 0.0), min(centre + reach, 1.0))


def wilson_of_groups(hit_n: np.ndarray, unit_n: np.ndarray | None) -> Interval:
    """Return the share of hits with Wilson's interval for as many rows as these are worth, units being drawn
    (see `trainer.stats.units.effective_rows`); NaN without a row. Without groups it is Wilson's interval as
    it is."""
    if not len(hit_n):
        return Interval(math.nan, math.nan, math.nan)
    return wilson_of_share(float(np.mean(hit_n)), effective_rows(hit_n, unit_n))


def spearman(x_n: np.ndarray, y_n: np.ndarray) -> Interval:
    """Return Spearman's rank correlation of N pairs, at least 4, neither constant, with its 95 % interval
    (Bonett and Wright 2000, doi:10.1007/BF02294183)."""
    from scipy.stats import spearmanr  # slow to import

    value = float(spearmanr(x_n, y_n).statistic)
    z = math.atanh(min(max(value, -0.999999), 0.999999))
    reach = Z95 * math.sqrt((1 + value**2 / 2) / (len(x_n) - 3))
    return Interval(value, math.tanh(z - reach), math.tanh(z + reach))
