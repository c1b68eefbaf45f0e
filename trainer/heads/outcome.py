"""What training one configuration returned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainer.stats.objective import F1, Objective

CURVE_METRICS = ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")


def curve_metrics(objective: Objective) -> tuple[str, ...]:
    """Return `CURVE_METRICS`, and the balanced accuracy where that is the objective; of numbers and of
    several labels their own."""
    if objective.labels:  # the mean average precision is not known by epoch
        known = (one.column for one in objective.family if one is not objective.leading)
        return ("train_loss", "val_loss", *known, "lr")
    if objective.numbers:
        return ("train_loss", "val_loss", *(one.column for one in objective.family), "lr")
    balanced = "val_balanced_accuracy"
    return (*CURVE_METRICS, balanced) if objective.column == balanced else CURVE_METRICS


def score_columns(objective: Objective) -> list[str]:
    """Return the names of the validation scores and losses among `curve_metrics`."""
    return [name for name in curve_metrics(objective) if name.startswith("val_")]


@dataclass(frozen=True)
class Outcome:
    """What training one configuration returned; arrays over its S seeds.

    ``score_of`` stands at each seed's best epoch (the first with its best score by the objective, or with its
    lowest validation loss where the objective is AUROC or mAP; for a spec that takes the last weights, the
    last).
    ``curves`` maps each of `curve_metrics` to [S, E], NaN after a seed has stopped. Validation loss
    is plain cross-entropy, whatever the training loss, so that configurations can be compared; of numbers the
    mean squared error of standardised ones. A logistic
    regression (``solver="lbfgs"``) has iterations for epochs, no learning rate, and all seeds alike.
    """

    best_epoch_s: np.ndarray  # int, from 1
    score_of: Mapping[str, np.ndarray]  # by the name of a curve of validation rows; and by the objective
    failed: bool  # the loss of some seed stopped being a number
    curves: dict[str, np.ndarray]
    objective: Objective = F1

    @property
    def score_s(self) -> np.ndarray:
        """Scores by the objective."""
        return self.score_of[self.objective.column]

    @property
    def val_f1_macro_s(self) -> np.ndarray:
        """Macro-F1 of classes."""
        return self.score_of["val_f1_macro"]

    @property
    def val_accuracy_s(self) -> np.ndarray:
        """Accuracy of classes."""
        return self.score_of["val_accuracy"]

    @property
    def val_loss_s(self) -> np.ndarray:
        """Validation loss."""
        return self.score_of["val_loss"]

    @property
    def log_loss(self) -> float:
        """Mean validation loss over seeds, which decides between equal scores."""
        return float(self.val_loss_s.mean())

    @property
    def epochs(self) -> int:
        """Epochs run by the longest seed."""
        return int(self.curves["val_loss"].shape[1])

    @property
    def score(self) -> float:
        """Mean over seeds of `score_s`; NaN where a seed failed."""
        return math.nan if self.failed else float(self.score_s.mean())
