"""What a comparison could have shown: detectable effects, non-inferiority, and rows that would tell.

The standard error is the width of the 95 % interval of a paired difference over 2 · 1.96; the rest is by the
normal distribution (Julious 2004, "Sample sizes for clinical trials with normal data"). Where M comparisons
are corrected, each is taken at the level 0.05 / M, which is Holm's strictest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from trainer.stats.intervals import Z95, Interval

LEVEL = 0.05  # of a two-sided test, for all comparisons together
POWER = 0.8


def simultaneous_level(comparisons: int) -> float:
    """Return the level of intervals that hold together with 95 % for so many comparisons (Bonferroni)."""
    return 1 - LEVEL / max(comparisons, 1)


def least_error(units: int) -> float:
    """Return the standard error of a paired difference over so many units, none of which differs: that of
    Bonett and Price (2012, doi:10.3102/1076998611411915), which takes one more to differ either way. A
    bootstrap, which only draws units that are there, would say 0."""
    return math.sqrt(2) / (units + 2)


def widened(interval: Interval, *, units: int, level: float = 0.95) -> Interval:
    """Return an interval of a paired difference over so many units that is no narrower than `least_error`
    allows at its level."""
    reach = float(ndtri((1 + level) / 2)) * least_error(units)
    value = interval.value
    return Interval(value, min(interval.low, value - reach), max(interval.high, value + reach))


def detectable_effect(low: Any, high: Any, *, comparisons: int = 1) -> Any:
    """Return the smallest true difference that a test like this one finds with `POWER`: 2.8 standard errors
    for one comparison; NaN where there is no interval, or where it has no width because no row differs.

    Args:
        low: of the 95 % interval of the observed difference, with ``high``; numbers, or arrays of them.
        comparisons: that are corrected together.
    """
    error = np.asarray(high - low, dtype=np.float64) / (2 * Z95)
    return np.where(error > 0, _reach(comparisons) * error, np.nan)[()]


def rows_to_tell(difference: Interval, *, margin: float, rows: int, comparisons: int = 1) -> float:
    """Return how many rows, in all, would show with `POWER` that a difference is above ``-margin``, or that
    it is not zero, whichever takes fewer; infinite where no number would.

    The true difference is taken to be the observed one, and its variance to fall with the number of rows.

    Args:
        difference: of one method less another, with its 95 % interval.
        margin: above 0, in the unit of the difference.
        rows: that it was observed on.
    """
    distance = max(abs(difference.value), difference.value + margin)
    if distance <= 0:
        return math.inf
    error = max((difference.high - difference.low) / (2 * Z95), least_error(rows))
    return rows * (_reach(comparisons) * error / distance) ** 2


def _reach(comparisons: int) -> float:
    return float(ndtri((1 + simultaneous_level(comparisons)) / 2) + ndtri(POWER))
