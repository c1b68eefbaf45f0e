"""Methods that answer the same rows, compared in pairs."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trainer.stats.intervals import Z95, Interval
from trainer.stats.paired_bootstrap import PairedBootstrap, PredictionSet, Resampled, holm, swap_test
from trainer.stats.power import simultaneous_level, widened


class McNemar(NamedTuple):
    """Rows that only one of two methods has right."""

    only_one: int
    only_other: int
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
    p: float  # of macro-F1, by swapping the answers to each row
    accuracy: Interval
    mcnemar: McNemar
    by_class: list[ClassDifference]


def mcnemar(right_n: np.ndarray, other_right_n: np.ndarray) -> McNemar:
    """Return McNemar's test (1947) of bool [N] each: exact, two-sided, binomial over the rows that differ."""
    only_one = int((right_n & ~other_right_n).sum())
    only_other = int((~right_n & other_right_n).sum())
    return McNemar(only_one, only_other, float(sign_test(np.array(only_one), np.array(only_other))))


def sign_test(one_m: np.ndarray, other_m: np.ndarray) -> np.ndarray:
    """Return the exact two-sided p of M pairs of counts, if a row were as likely to count for either; 1
    without any."""
    from scipy.stats import binom  # slow to import

    return np.minimum(1.0, 2 * binom.cdf(np.minimum(one_m, other_m), one_m + other_m, 0.5))


def accuracy_difference(only_one: int, only_other: int, rows: int) -> Interval:
    """Return the accuracy of one method less another's on the same rows, from the rows that only one has
    right, with the interval of Bonett and Price (2012, doi:10.3102/1076998611411915)."""
    won, lost = (only_one + 1) / (rows + 2), (only_other + 1) / (rows + 2)
    middle = won - lost
    reach = Z95 * math.sqrt((won + lost - middle**2) / (rows + 2))
    value = (only_one - only_other) / rows
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
        """Return one method less another, row by row and head by head; McNemar's test is of their first
        heads.

        Args:
            comparisons: for so many together the simultaneous interval holds with 95 %. It has a width also
                where no row differs.
        """
        mine, theirs = self.arm(one), self.arm(other)
        test = swap_test(self.answers, one, other, seed=self.seed)
        right_n, other_right_n = (
            self.answers.pred_asn[arm, 0] == self.answers.label_n for arm in (one, other)
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
            widened(less.interval(level), rows=len(self.answers.label_n), level=level),
            test.p,
            mine["accuracy"].minus(theirs["accuracy"]).interval(),
            mcnemar(right_n, other_right_n),
            by_class,
        )
