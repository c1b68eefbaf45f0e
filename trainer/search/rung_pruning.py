"""Which trials to prune at a rung, in time that does not grow with the number of trials on record.

The rules are Optuna's, whose pruners read every trial of the study at each decision.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

Pruner = Literal["median", "halving", "none"]

RUNG_FACTOR = 3  # of a rung's trials halving lets the best third go on; rungs are this factor apart
LEAST_COMPLETE = 8  # complete trials before the median of their scores prunes


class RungPruning:
    """Scores by rung, higher is better, and what they decide.

    - median: a trial is pruned whose best score so far is below the median of the complete trials at that
      rung (Golovin et al. 2017, section 3.2.2), as by ``optuna.pruners.MedianPruner``.
    - halving: only the best third of all trials that have reached the rung so far goes on (Li et al. 2020,
      asynchronous successive halving), as by ``optuna.pruners.SuccessiveHalvingPruner``.
    """

    def __init__(self, pruner: Pruner) -> None:
        self.pruner = pruner
        self._complete = 0
        self._scores: defaultdict[int, list[float]] = defaultdict(list)  # by rung, in ascending order
        self._best: dict[int, float] = {}  # of each running trial, so far

    def report(self, number: int, score: float, epoch: int) -> bool:
        """Take the score of a running trial at a rung. Returns whether the trial is to be pruned."""
        best = self._best[number] = max(score, self._best.get(number, -math.inf))
        if self.pruner == "halving":
            scores = self._scores[epoch]
            insort(scores, score)
            going_on = max(len(scores) // RUNG_FACTOR, 1)
            return score < scores[-going_on]
        if self.pruner == "none" or self._complete < LEAST_COMPLETE or not self._scores[epoch]:
            return False
        return best < _median(self._scores[epoch])

    def end(self, number: int, rungs: Mapping[int, float], *, complete: bool) -> None:
        """Take a trial that has ended, in this process, with its scores at the ``rungs`` that it reached."""
        self._best.pop(number, None)
        self._complete += complete
        if complete and self.pruner == "median":
            self._add(rungs)

    def recall(self, rungs: Mapping[int, float], *, complete: bool) -> None:
        """Take a trial that has ended in an earlier process."""
        self._complete += complete
        if complete or self.pruner == "halving":
            self._add(rungs)

    def _add(self, rungs: Mapping[int, float]) -> None:
        for epoch, score in rungs.items():
            insort(self._scores[epoch], score)


def _median(ascending: list[float]) -> float:
    middle = len(ascending) // 2
    return ascending[middle] if len(ascending) % 2 else (ascending[middle - 1] + ascending[middle]) / 2
