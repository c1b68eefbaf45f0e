"""How the labelled rows that are not test judge heads: by a part that is held out, or fold by fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainer.heads.folded_population import judged_at_its_end
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import TrainingData
from trainer.stats.objective import Objective


class Folds(NamedTuple):
    """Parts to train on, each with the rows that it leaves out.

    With one part, the validation rows are held out of all training. With several, every row is left out by
    one part (of each repeat), and a head is judged by what it says of the rows that it did not learn from.
    """

    parts: tuple[TrainingData, ...]
    judged: tuple[np.ndarray, ...]  # int64 [M] of each part: its validation rows, among the learning rows
    learning: TrainingData  # all of the rows, to learn from once everything is chosen; nothing to validate on
    unit_n: np.ndarray  # int64 [N] of the learning rows: see `trainer.stats.units`

    @property
    def judged_rows(self) -> np.ndarray:
        """All judged rows in order, among the learning rows: int64 [M]."""
        return np.unique(np.concatenate(self.judged))

    @property
    def judged_labels(self) -> np.ndarray:
        """Their labels: int64 [M]; numbers float64, several labels bool [M, C]."""
        return self.learning.train.y_n.cpu().numpy()[self.judged_rows]

    @property
    def objective(self) -> Objective:
        """The score that heads are chosen by."""
        return self.parts[0].objective

    @property
    def crossed(self) -> bool:
        """Whether every row is judged."""
        return len(self.parts) > 1

    def as_judged(self, spec: HeadSpec) -> HeadSpec:
        """Return a head as these parts judge it: of several, at the end of its schedule."""
        return judged_at_its_end(spec) if self.crossed else spec


def holdout(part: TrainingData, learning: TrainingData, unit_n: np.ndarray | None = None) -> Folds:
    """Return one part; the learning rows are its training rows, then its validation rows.

    Args:
        unit_n: see `Folds`; None: every row is its own.
    """
    return Folds((part,), (np.arange(part.rows, learning.rows),), learning, _units(learning, unit_n))


def crossed(learning: TrainingData, fold_rn: np.ndarray, unit_n: np.ndarray | None = None) -> Folds:
    """Return a part for each fold of each repeat.

    Args:
        fold_rn: int [R, N], the fold of each learning row in each repeat.
        unit_n: see `Folds`; None: every row is its own.
    """
    parts, judged = [], []
    for fold_n in fold_rn:
        for fold in range(int(fold_n.max()) + 1):
            out_n = fold_n == fold
            parts.append(learning.split(np.flatnonzero(~out_n), np.flatnonzero(out_n)))
            judged.append(np.flatnonzero(out_n))
    return Folds(tuple(parts), tuple(judged), learning, _units(learning, unit_n))


def _units(learning: TrainingData, unit_n: np.ndarray | None) -> np.ndarray:
    return np.arange(learning.rows) if unit_n is None else unit_n
