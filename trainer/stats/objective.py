"""The objective of a search: the score that trials and heads are chosen by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.stats.influence import (
    Linearised,
    of_accuracy,
    of_auroc,
    of_balanced_accuracy,
    of_f1_macro,
    of_log_loss,
)
from trainer.stats.intervals import Interval

Measure = Callable[[np.ndarray, np.ndarray], Linearised]


@dataclass(frozen=True)
class Objective:
    """A score of probabilities [N, C] against labels int64 [N].

    Stored and shown values are the score itself. Inside a search more is better: see `utility`.
    """

    name: str  # as ``--objective`` has it
    title: str  # for people
    column: str  # the stored name of a trial's score
    metric: str  # how stored names end of the score on other rows: held_out_…, expected_…, test_…
    of: Measure  # the score of labels and probabilities
    up: bool = True  # higher is better
    of_predictions: bool = True  # all that matters is which class of a row has the largest value

    def utility(self, score: float) -> float:
        """Return what a search maximises: the score, or its negative where lower is better."""
        return score if self.up else -score

    @property
    def most(self) -> float:
        """The upper end of the score; the lower one is 0."""
        return 1.0 if self.up else np.inf

    def interval(self, score: Linearised, unit_n: np.ndarray) -> Interval:
        """Return a score with its 95 % interval over units, within what it can be."""
        if self.up:
            return score.interval(unit_n)
        return Interval(*(max(end, 0.0) for end in score.difference_interval(unit_n)))


def _predicted(of: Callable[..., Linearised]) -> Measure:
    return lambda label_n, probability_nc: of(
        label_n, probability_nc.argmax(1), classes=probability_nc.shape[1]
    )


F1 = Objective("f1", "macro-F1", "val_f1_macro", "f1_macro", _predicted(of_f1_macro))
ACCURACY = Objective("accuracy", "accuracy", "val_accuracy", "accuracy", _predicted(of_accuracy))
BALANCED = Objective(
    *("balanced", "balanced accuracy", "val_balanced_accuracy", "balanced_accuracy"),
    _predicted(of_balanced_accuracy),
)
AUROC = Objective("auroc", "AUROC", "val_auroc", "auroc", of_auroc, of_predictions=False)
NLL = Objective("nll", "log-loss", "val_loss", "log_loss", of_log_loss, up=False, of_predictions=False)
OBJECTIVES = {one.name: one for one in (F1, ACCURACY, BALANCED, AUROC, NLL)}


def objective_named(name: str) -> Objective:
    """Return the objective of that name; of any other, such as f1+size, macro-F1."""
    return OBJECTIVES.get(name, F1)
