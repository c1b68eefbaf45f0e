"""A slice of the rows against the rest: is the head wrong more often there?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

from trainer.stats.intervals import Interval, wilson_of_share
from trainer.stats.units import effective_rows

FEWEST_UNITS = 5  # groups in a slice, below which a design effect cannot be told from chance


class SliceFigures(NamedTuple):
    """A slice of the rows and the rest of them."""

    inside: Interval  # accuracy
    outside: Interval
    difference: Interval  # inside - outside
    p: float  # one-sided: that a slice drawn at random has as few right answers; NaN: too few groups


def slice_figures(
    right_n: np.ndarray, inside_n: np.ndarray, unit_n: np.ndarray | None = None
) -> SliceFigures:
    """Compare the accuracy of a slice with that of the rest.

    The interval of the difference is made of Wilson's intervals (Newcombe 1998, "Interval estimation for the
    difference between independent proportions", method 10). The p-value is that of Fisher's exact test
    against "no worse". With groups both are for as many rows as theirs are worth
    (`trainer.stats.units.effective_rows`); a slice of fewer than `FEWEST_UNITS` of them is not tested.

    Args:
        right_n: which of N rows are answered correctly, bool.
        inside_n: which belong to the slice, bool.
        unit_n: units of the rows, see `trainer.stats.units`.

    Raises:
        ValueError: all rows, or none, are in the slice.
    """
    if inside_n.all() or not inside_n.any():
        raise ValueError("all rows, or none, are in the slice; expected some inside and some outside")
    parts = [
        (right_n[rows_n].astype(np.float64), None if unit_n is None else unit_n[rows_n])
        for rows_n in (inside_n, ~inside_n)
    ]
    worth = [effective_rows(right, unit) for right, unit in parts]
    inside, outside = (
        wilson_of_share(float(right.mean()), rows) for (right, _), rows in zip(parts, worth, strict=True)
    )
    value = inside.value - outside.value
    below = math.hypot(inside.value - inside.low, outside.high - outside.value)
    above = math.hypot(inside.high - inside.value, outside.value - outside.low)
    difference = Interval(value, max(value - below, -1.0), min(value + above, 1.0))
    own = parts[0][1]
    if own is not None and len(np.unique(own)) < min(FEWEST_UNITS, len(own)):
        return SliceFigures(inside, outside, difference, math.nan)
    counts = [
        (int(rows), round(one.value * int(rows))) for rows, one in zip(worth, (inside, outside), strict=True)
    ]
    return SliceFigures(inside, outside, difference, _fisher_below(*counts[0], *counts[1]))


def _fisher_below(rows: int, right: int, other_rows: int, other_right: int) -> float:
    """Return the probability of at most ``right`` right answers among ``rows`` drawn from all, given how many
    there are in all (Fisher's exact test, one-sided)."""
    all_right, everyone = right + other_right, rows + other_rows
    k = np.arange(max(0, all_right - other_rows), right + 1)
    ways = _log_ways(rows, k) + _log_ways(other_rows, all_right - k) - _log_ways(everyone, all_right)
    return float(min(np.exp(logsumexp(ways)), 1.0))


def _log_ways(n: int, k: np.ndarray | int) -> np.ndarray:
    return gammaln(n + 1) - gammaln(np.asarray(k) + 1) - gammaln(n - np.asarray(k) + 1)
