"""The objective of a search: the score that trials and heads are chosen by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainer.stats.calibration import row_losses
from trainer.stats.influence import (
    Linearised,
    of_accuracy,
    of_auroc,
    of_balanced_accuracy,
    of_f1_macro,
    of_log_loss,
)
from trainer.stats.intervals import Interval
from trainer.stats.multilabel import label_losses, of_f1_macro_labels, of_f1_micro_labels, of_map
from trainer.stats.regression import of_mae, of_r2, of_rmse, unexplained

Measure = Callable[[np.ndarray, np.ndarray], Linearised]


@dataclass(frozen=True)
class Objective:
    """A score of probabilities [N, C] against labels int64 [N], of numbers [N, 1] against float64 [N], or of
    probabilities [N, C] of several labels per row against bool [N, C].

    Stored and shown values are the score itself. Inside a search more is better: see `utility`.
    """

    name: str  # as ``--objective`` has it
    title: str  # for people
    column: str  # the stored name of a trial's score
    metric: str  # how stored names end of the score on other rows: held_out_…, expected_…, test_…
    of: Measure  # the score of labels and answers
    up: bool = True  # higher is better
    of_predictions: bool = (
        True  # all that matters is which class of a row has the largest value, or the number
    )
    numbers: bool = False  # of a number that is predicted, not of classes
    labels: bool = False  # of several labels per row
    least: float = 0.0  # the lower end of the score

    def utility(self, score: float) -> float:
        """Return what a search maximises: the score, or its negative where lower is better."""
        return score if self.up else -score

    @property
    def target(self) -> Literal["class", "number", "labels"]:
        """What is predicted."""
        return "labels" if self.labels else "number" if self.numbers else "class"

    @property
    def most(self) -> float:
        """The upper end of the score."""
        return 1.0 if self.up else np.inf

    @property
    def in_units(self) -> bool:
        """Whether the score has the unit of the number that is predicted."""
        return self.numbers and not self.up

    @property
    def family(self) -> tuple[Objective, ...]:
        """The scores that are on record whatever the objective is, the leading one first."""
        if self.labels:
            return MAP, LABEL_F1, MICRO_F1
        return (R2, MAE, RMSE) if self.numbers else (F1, ACCURACY)

    @property
    def expected(self) -> tuple[Objective, ...]:
        """The scores that are estimated for new data: the family, but of several labels the leading one
        alone, because the others are taken at thresholds there."""
        return self.family[:1] if self.labels else self.family

    @property
    def leading(self) -> Objective:
        """Macro-F1, R², or mAP."""
        return self.family[0]

    def losses(self, answer_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
        """Return the loss of each row, which decides between equal scores and what an ensemble is made of:
        log-loss (of several labels summed over them), or squared error in units of the targets' variance."""
        if self.labels:
            return label_losses(answer_nc, label_n)
        return unexplained(label_n, answer_nc) if self.numbers else row_losses(answer_nc, label_n)

    def interval(self, score: Linearised, unit_n: np.ndarray) -> Interval:
        """Return a score with its 95 % interval over units, within what it can be."""
        if self.up and not self.numbers:
            return score.interval(unit_n)
        return Interval(*(min(max(end, self.least), self.most) for end in score.difference_interval(unit_n)))


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
R2 = Objective("r2", "R²", "val_r2", "r2", of_r2, numbers=True, least=-np.inf)
MAE = Objective("mae", "MAE", "val_mae", "mae", of_mae, up=False, numbers=True)
RMSE = Objective("rmse", "RMSE", "val_rmse", "rmse", of_rmse, up=False, numbers=True)
MAP = Objective("map", "mAP", "val_map", "map", of_map, of_predictions=False, labels=True)
LABEL_F1 = Objective(
    *("f1-labels", "macro-F1 at 0.5", "val_f1_macro_labels", "f1_macro_labels", of_f1_macro_labels),
    of_predictions=False,
    labels=True,
)
MICRO_F1 = Objective(
    *("f1-micro", "micro-F1 at 0.5", "val_f1_micro_labels", "f1_micro_labels", of_f1_micro_labels),
    of_predictions=False,
    labels=True,
)
OBJECTIVES = {
    one.name: one for one in (F1, ACCURACY, BALANCED, AUROC, NLL, R2, MAE, RMSE, MAP, LABEL_F1, MICRO_F1)
}


def objective_named(name: str) -> Objective:
    """Return the objective of that name; of any other, such as f1+size, macro-F1."""
    return OBJECTIVES.get(name, F1)
