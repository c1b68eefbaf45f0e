"""What the trainings of one configuration came to, as a sweep's record has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.experiments.finetuning.training import METRICS, TrainingProgress
from trainer.heads.outcome import Outcome


def outcome_of(standings: Sequence[TrainingProgress]) -> Outcome:
    """Return one standing per seed, each with at least one epoch behind it; seeds that have none are left
    out."""
    known = [one for one in standings if one.curves["val_loss"]]
    epochs = max(len(one.curves["val_loss"]) for one in known)
    curves = {name: np.full((len(known), epochs), np.nan) for name in METRICS}
    for seed, one in enumerate(known):
        for name in METRICS:
            curves[name][seed, : len(one.curves[name])] = one.curves[name]
    best = np.array([max(one.best_epoch, 1) for one in known])
    at = np.arange(len(known)), best - 1
    return Outcome(
        best_epoch_s=best,
        score_of={name: curves[name][at] for name in ("val_f1_macro", "val_accuracy", "val_loss")},
        failed=any(one.failed for one in known),
        curves=curves,
    )
