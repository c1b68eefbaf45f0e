"""What training one configuration returned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CURVE_METRICS = ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")


@dataclass(frozen=True)
class Outcome:
    """What training one configuration returned; arrays over its S seeds.

    ``val_*`` stand at each seed's best epoch (the first with its highest validation macro-F1; for a spec that
    takes the last weights, the last).
    ``curves`` maps each of `CURVE_METRICS` to [S, E], NaN after a seed has stopped. Validation loss
    is plain cross-entropy, whatever the training loss, so that configurations can be compared. A logistic
    regression (``solver="lbfgs"``) has iterations for epochs, no learning rate, and all seeds alike.
    """

    best_epoch_s: np.ndarray  # int, from 1
    val_f1_macro_s: np.ndarray
    val_accuracy_s: np.ndarray
    val_loss_s: np.ndarray
    failed: bool  # the loss of some seed stopped being a number
    curves: dict[str, np.ndarray]

    @property
    def epochs(self) -> int:
        """Epochs run by the longest seed."""
        return int(self.curves["val_loss"].shape[1])

    @property
    def score(self) -> float:
        """Mean over seeds of the best validation macro-F1; NaN where a seed failed."""
        return math.nan if self.failed else float(self.val_f1_macro_s.mean())
