"""Methods that answer the same rows, compared in pairs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trainer.stats.intervals import Z95, Interval
from trainer.stats.paired_bootstrap import PairedBootstrap, PredictionSet, Resampled, holm, swap_test
from trainer.stats.power import simultaneous_level, widened
from trainer.stats.units import effective_rows, numbered


class McNemar(NamedTuple):
    """Rows that only one of two methods has right: of several heads each, means over the heads."""

    only_one: float
    only_other: float
    p: float


class ClassDifference(NamedTuple):
    """Of one class: its F1 by either method, the difference, and whether that may be chance."""

    f1: float
    f1_other: float
    effect: Interval
    p: float
    p_holm: float  # adjusted for the classes


class MethodDifference(NamedTuple):
    """One method less another."""

    f1_macro: Interval
    simultaneous: Interval  # of macro-F1, at the level that holds for several comparisons together
    p: float  # of macro-F1, by swapping the answers to each unit
    accuracy: Interval
    mcnemar: McNemar
    by_class: list[ClassDifference]


def mcnemar(right_sn: np.ndarray, other_right_sn: np.ndarray, unit_n: np.ndarray | None = None) -> McNemar:
    """Return McNemar's test (1947) of bool [N] each, exact and two-sided.

    It asks how often the difference in right answers would be as large if the two methods' answers to each
    unit were swapped at random: without groups and with one head each that is the binomial test of the rows
    that differ. Of several heads [S, N] all answers of a unit are swapped together, as in
    `trainer.stats.paired_bootstrap.swap_test`.
    """
    right_sn, other_right_sn = np.atleast_2d(right_sn), np.atleast_2d(other_right_sn)
    heads, rows = right_sn.shape
    lead_n = right_sn.sum(0) - other_right_sn.sum(0)
    only_one, only_other = (
        int((one & ~other).sum()) for one, other in ((right_sn, other_right_sn), (other_right_sn, right_sn))
    )
    p = sign_flip_test(numbered(unit_n, rows).sums(lead_n))
    if heads > 1:
        return McNemar(only_one / heads, only_other / heads, p)
    return McNemar(only_one, only_other, p)


def sign_test(one_m: np.ndarray, other_m: np.ndarray) -> np.ndarray:
    """Return the exact two-sided p of M pairs of counts, if a row were as likely to count for either; 1
    without any."""
    from scipy.stats import binom  # slow to import

    return np.minimum(1.0, 2 * binom.cdf(np.minimum(one_m, other_m), one_m + other_m, 0.5))


def sign_flip_test(lead_u: np.ndarray) -> float:
    """Return the exact two-sided p of a sum of integers [U]: how often it is as far from 0 if each has a
    random sign. Where all but zeros have one size it is `sign_test`; 1 where all are 0."""
    lead_u = lead_u[lead_u != 0]
    size_k, count_k = np.unique(np.abs(lead_u), return_counts=True)
    if len(size_k) < 2:
        return float(sign_test(np.array((lead_u > 0).sum()), np.array((lead_u < 0).sum())))
    from scipy.stats import binom  # slow to import

    chance_t = np.ones(1)  # of each sum of the sizes whose sign is positive
    for size, count in zip(size_k.tolist(), count_k.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance_t = np.convolve(chance_t, of_size)
    sum_t = 2 * np.arange(len(chance_t)) - (len(chance_t) - 1)
    return float(min(1.0, chance_t[np.abs(sum_t) >= abs(lead_u.sum())].sum()))


def accuracy_difference(
    right_n: np.ndarray, other_right_n: np.ndarray, unit_n: np.ndarray | None = None
) -> Interval:
    """Return the accuracy of one method less another's on the same rows, bool [N] each, N at least 1, with
    the interval of Bonett and Price (2012, doi:10.3102/1076998611411915) for as many rows as these are worth
    (see `trainer.stats.units.effective_rows`)."""
    lead_n = right_n.astype(np.float64) - other_right_n
    rows = effective_rows(lead_n, unit_n)
    won, lost = ((float((lead_n == sign).mean()) * rows + 1) / (rows + 2) for sign in (1, -1))
    middle = won - lost
    reach = Z95 * math.sqrt((won + lost - middle**2) / (rows + 2))
    value = float(lead_n.mean())
    return Interval(value, max(middle - reach, -1.0), min(middle + reach, 1.0))


class PairedComparison:
    """The methods of some answers, with the same bootstrap draws for all.

    Args:
        answers: arms are methods, seeds their heads.
        seed: decides draws and swaps.
    """

    def __init__(self, answers: PredictionSet, *, seed: int) -> None:
        self.answers, self.seed = answers, seed
        self._bootstrap = PairedBootstrap(answers, seed=seed)
        self._arms: dict[int, dict[str, Resampled]] = {}

    def arm(self, arm: int) -> dict[str, Resampled]:
        """Return every metric of one method; computed once."""
        if arm not in self._arms:
            self._arms[arm] = self._bootstrap.arm(arm)
        return self._arms[arm]

    def pair(self, one: int, other: int, *, comparisons: int = 1) -> MethodDifference:
        """Return one method less another, row by row and head by head.

        Args:
            comparisons: for so many together the simultaneous interval holds with 95 %. It has a width also
                where no row differs.
        """
        mine, theirs = self.arm(one), self.arm(other)
        test = swap_test(self.answers, one, other, seed=self.seed)
        right_sn, other_right_sn = (
            self.answers.pred_asn[arm] == self.answers.label_n for arm in (one, other)
        )
        p_holm = holm(test.p_c)
        by_class = [
            ClassDifference(
                float(mine["f1"].value[index]),
                float(theirs["f1"].value[index]),
                mine["f1"].of_class(index).minus(theirs["f1"].of_class(index)).interval(),
                float(test.p_c[index]),
                float(p_holm[index]),
            )
            for index in range(self.answers.classes)
        ]
        less, level = mine["f1_macro"].minus(theirs["f1_macro"]), simultaneous_level(comparisons)
        return MethodDifference(
            less.interval(),
            widened(less.interval(level), units=self.answers.units.count, level=level),
            test.p,
            mine["accuracy"].minus(theirs["accuracy"]).interval(),
            mcnemar(right_sn, other_right_sn, self.answers.unit_n),
            by_class,
        )
