"""Units: rows that belong together (a patient's images, copies of one image), which are not independent.

A unit vector ``unit_n`` (int [N]) has the same number for rows of one unit. Intervals draw units and tests
swap them. Where every row is a unit of its own, everything is as without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit


@dataclass(frozen=True)
class Units:
    """The units of N rows."""

    of_n: np.ndarray  # int [N], from 0
    count: int

    @property
    def grouped(self) -> bool:
        """Whether any unit has several rows."""
        return self.count < len(self.of_n)

    def sums(self, value_n: np.ndarray) -> np.ndarray:
        """Return the sums over each unit's rows [U, …] of values [N, …]."""
        if not self.grouped:
            return value_n
        order = np.argsort(self.of_n, kind="stable")
        starts = np.flatnonzero(np.diff(self.of_n[order], prepend=-1))
        return np.add.reduceat(value_n[order], starts, axis=0)


def numbered(unit_n: np.ndarray | None, rows: int) -> Units:
    """Return units numbered from 0; None stands for every row by itself."""
    if unit_n is None:
        return Units(np.arange(rows), rows)
    known, of_n = np.unique(unit_n, return_inverse=True)
    return Units(np.arange(rows) if len(known) == rows else of_n, len(known))


def standard_error(value_n: np.ndarray, units: Units) -> float:
    """Return the standard error of the mean of values [N], units being drawn (the ultimate-cluster variance:
    Cochran 1977, "Sampling techniques", ch. 3); NaN with one unit."""
    return error_of_influences((value_n - np.mean(value_n)) / len(value_n), units)


def error_of_influences(influence_n: np.ndarray, units: Units) -> float:
    """Return the standard error of what rows [N] have this influence on, units being drawn; NaN with one."""
    if units.count < 2:
        return float("nan")
    total_u = units.sums(influence_n)
    return float(np.sqrt(units.count / (units.count - 1) * (total_u**2).sum()))


def effective_rows(value_n: np.ndarray, unit_n: np.ndarray | None) -> float:
    """Return how many independent rows the mean of values [N] is worth.

    That is N over the design effect, which is taken to be at least 1 (Rao & Scott 1992, "A simple method for
    the analysis of clustered binary data"), less what few units do not tell of it: the normal quantile over
    Student's, squared (Korn & Graubard 1998, "Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data"). Where no value differs there is nothing to estimate
    a design effect from: then every unit counts as one row. Without groups it is N.
    """
    units = numbered(unit_n, len(value_n))
    if not units.grouped:
        return float(len(value_n))
    spread = float(np.var(value_n))
    if spread == 0 or units.count < 2:
        return float(units.count)
    effect = max(1.0, standard_error(value_n, units) ** 2 * len(value_n) / spread)
    return len(value_n) / effect * float(ndtri(0.975) / stdtrit(units.count - 1, 0.975)) ** 2
