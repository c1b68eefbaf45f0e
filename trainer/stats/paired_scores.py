"""One score of two methods on the same rows, and the difference: for any score that can be linearised."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from trainer.stats.influence import Linearised
from trainer.stats.intervals import Interval


class ScoreDifference(NamedTuple):
    """A score of two methods on the same rows."""

    one: float
    other: float
    difference: Interval  # the first less the second, 95 % over units
    p: float  # two-sided; 1 where no row differs


def score_difference(one: Linearised, other: Linearised, unit_n: np.ndarray) -> ScoreDifference:
    """Compare two methods row by row.

    Interval and p are Student's, with one standard error over units (see `trainer.stats.influence`), so a p
    below 0.05 and an interval without 0 are the same thing. NaN bounds and p where a score is NaN, or of one
    unit.

    Args:
        one: the score of the first method; the influences of both are of the same N rows.
        unit_n: int [N], see `trainer.stats.units`.
    """
    apart = one - other
    error, units = apart.standard_error(unit_n), len(np.unique(unit_n))
    if math.isnan(apart.value) or math.isnan(error):
        nothing = Interval(apart.value, math.nan, math.nan)
        return ScoreDifference(one.value, other.value, nothing, math.nan)
    if error > 0:
        p = float(2 * stdtr(units - 1, -abs(apart.value) / error))
    else:
        p = 1.0 if apart.value == 0 else 0.0
    return ScoreDifference(one.value, other.value, apart.difference_interval(unit_n), p)
