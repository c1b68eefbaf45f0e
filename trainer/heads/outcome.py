"""What training one configuration returned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainer.stats.objective import F1, Objective

CURVE_METRICS = ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")


def curve_metrics(objective: Objective) -> tuple[str, ...]:
    """Return `CURVE_METRICS`, and the balanced accuracy where that is the objective."""
    balanced = "val_balanced_accuracy"
    return (*CURVE_METRICS, balanced) if objective.column == balanced else CURVE_METRICS


@dataclass(frozen=True)
class Outcome:
    """What training one configuration returned; arrays over its S seeds.

    ``val_*`` stand at each seed's best epoch (the first with its best score by the objective, or with its
    lowest validation loss where the objective is AUROC; for a spec that takes the last weights, the last).
    ``curves`` maps each of `curve_metrics` to [S, E], NaN after a seed has stopped. Validation loss
    is plain cross-entropy, whatever the training loss, so that configurations can be compared. A logistic
    regression (``solver="lbfgs"``) has iterations for epochs, no learning rate, and all seeds alike.
    """

    best_epoch_s: np.ndarray  # int, from 1
    val_f1_macro_s: np.ndarray
    val_accuracy_s: np.ndarray
    val_loss_s: np.ndarray
    failed: bool  # the loss of some seed stopped being a number
    curves: dict[str, np.ndarray]
    objective: Objective = F1
    other_score_s: np.ndarray | None = None  # by the objective, where it is none of the above

    @property
    def score_s(self) -> np.ndarray:
        """Scores by the objective."""
        if self.other_score_s is not None:
            return self.other_score_s
        known = {
            "val_f1_macro": self.val_f1_macro_s,
            "val_accuracy": self.val_accuracy_s,
            "val_loss": self.val_loss_s,
        }
        return known[self.objective.column]

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
