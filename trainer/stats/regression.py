"""Scores of predicted numbers, with what each row adds to them; strata and intervals of numbers.

Targets are float [N]; answers have a column, [N, 1], as those of classifiers have one for each class.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from trainer.stats.conformal import COVERAGES, conformal_quantile
from trainer.stats.influence import Linearised, of_mean
from trainer.stats.intervals import Interval
from trainer.stats.units import error_of_influences, numbered

STRATA = 10  # into which numbers are divided, for splits and folds that are alike
LEAST_IN_STRATUM = 20  # rows: 14, 3 and 3 of them in train, val and test


def strata(target_n: np.ndarray) -> np.ndarray:
    """Return which of at most `STRATA` ranges of as many rows each number lies in: int64 [N], from 0.

    Equal numbers are in one range.
    """
    count = max(1, min(STRATA, len(target_n) // LEAST_IN_STRATUM))
    edges = np.quantile(target_n, np.arange(1, count) / count) if len(target_n) else []
    return np.searchsorted(edges, target_n, side="right").astype(np.int64)


def _errors(target_n: np.ndarray, answer_n1: np.ndarray) -> np.ndarray:
    return target_n - answer_n1[:, 0].astype(np.float64)


def unexplained(target_n: np.ndarray, answer_n1: np.ndarray) -> np.ndarray:
    """Return the squared error of each row in units of the targets' variance, [N]: its mean is 1 - R²."""
    variance = float(np.var(target_n))
    return _errors(target_n, answer_n1) ** 2 / (variance or 1.0)


def of_r2(target_n: np.ndarray, answer_n1: np.ndarray) -> Linearised:
    """Return R², the share of the targets' variance that is explained, as scikit-learn's ``r2_score``; NaN
    where all targets are equal.

    With R² = 1 - E / T, where E sums squared errors and T squared distances from the mean target, a row of
    error e and distance d adds (d² · E / T - e²) / T.
    """
    squared_n = _errors(target_n, answer_n1) ** 2
    apart_n = (target_n - target_n.mean()) ** 2
    total = apart_n.sum()
    if not total > 0:
        return Linearised(float("nan"), np.zeros(len(target_n)))
    left = float(squared_n.sum() / total)
    return Linearised(1 - left, (left * apart_n - squared_n) / total)


def of_mae(target_n: np.ndarray, answer_n1: np.ndarray) -> Linearised:
    """Return the mean absolute error."""
    return of_mean(np.abs(_errors(target_n, answer_n1)))


def of_rmse(target_n: np.ndarray, answer_n1: np.ndarray) -> Linearised:
    """Return the root of the mean squared error."""
    mean = of_mean(_errors(target_n, answer_n1) ** 2)
    root = float(np.sqrt(mean.value))
    return Linearised(root, mean.influence_n / (2 * root) if root else mean.influence_n)


def spearman_of_units(target_n: np.ndarray, answer_n: np.ndarray, unit_n: np.ndarray) -> Interval:
    """Return Spearman's rank correlation with its 95 % interval over units; NaN where either is constant.

    The influence of a row is that on the mean product of the two shares of rows below: its own product, and
    what it adds to the shares of the rows above it (a U-statistic: Hoeffding 1948, "A class of statistics
    with asymptotically normal distribution"). The interval is Student's, of Fisher's z.
    """
    from scipy.stats import rankdata  # slow to import

    rows = len(target_n)
    if np.ptp(target_n) == 0 or np.ptp(answer_n) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    u_n, v_n = ((rankdata(one) - 0.5) / rows for one in (target_n, answer_n))
    spread = float(u_n.std() * v_n.std())
    value = float(np.clip(((u_n - u_n.mean()) * (v_n - v_n.mean())).mean() / spread, -1, 1))
    adds_n = u_n * v_n + _mean_above(u_n, v_n) + _mean_above(v_n, u_n)
    error = error_of_influences((adds_n - adds_n.mean()) / (rows * spread), numbered(unit_n, rows))
    if abs(value) == 1:
        return Interval(value, value, value)
    reach = float(stdtrit(max(len(np.unique(unit_n)) - 1, 1), 0.975)) * error / (1 - value**2)
    z = np.arctanh(value)
    return Interval(value, float(np.tanh(z - reach)), float(np.tanh(z + reach)))


def _mean_above(key_n: np.ndarray, value_n: np.ndarray) -> np.ndarray:
    """Return of each row the sum of values over rows with a larger key, half of equal ones, over N."""
    _, place_n = np.unique(key_n, return_inverse=True)
    total_k = np.bincount(place_n, value_n)
    above_k = total_k.sum() - np.cumsum(total_k)
    return (above_k + total_k / 2)[place_n] / len(key_n)


def half_widths(target_n: np.ndarray, answer_n1: np.ndarray, unit_n: np.ndarray) -> dict[float, float]:
    """Return for each of `COVERAGES` how far from an answer the true number is at most with that probability;
    infinite where the rows are too few.

    Split-conformal intervals (Lei et al. 2018, "Distribution-free predictive inference for regression") of
    the absolute errors of rows that the head did not learn from.
    """
    score_n = -np.abs(_errors(target_n, answer_n1))  # low is unusual
    return {one: -conformal_quantile(score_n, unit_n, 1 - one) for one in COVERAGES}
