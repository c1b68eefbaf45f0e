"""Assign rows to folds for cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from trainer.stats.multilabel import strata_of_labels
from trainer.stats.regression import strata


def assign_folds(
    label_n: np.ndarray, unit_n: np.ndarray, *, folds: int, repeats: int, seed: int
) -> np.ndarray:
    """Return the fold of each row in each repeat: int64 [R, N] in 0 … F-1.

    Classes are spread evenly over the folds; rows of one unit stay in one fold.

    Args:
        label_n: int64 [N]; float64 where numbers are predicted, whose `strata` count as classes then; bool
            [N, C] of several labels per row, whose `strata_of_labels` do.
        unit_n: int64 [N], equal for rows that are never divided.
        folds: F, at least 2 and at most the number of units.
    """
    if label_n.dtype.kind == "f":
        label_n = strata(label_n)
    if label_n.ndim == 2:
        label_n = strata_of_labels(label_n)
    _, unit_n, size_u = np.unique(unit_n, return_inverse=True, return_counts=True)
    divided = StratifiedKFold if size_u.max() == 1 else StratifiedGroupKFold  # the second is much slower
    fold_rn = np.zeros((repeats, len(label_n)), dtype=np.int64)
    for repeat in range(repeats):
        with warnings.catch_warnings():  # that a class has fewer rows than there are folds
            warnings.simplefilter("ignore", UserWarning)
            by = divided(n_splits=folds, shuffle=True, random_state=seed * 1000 + repeat)
            try:
                parts = list(by.split(label_n, label_n, unit_n))
            except ValueError:  # every class has fewer rows than there are folds
                parts = list(_by_unit(unit_n, folds, seed=seed * 1000 + repeat))
        for fold, (_, rows) in enumerate(parts):
            fold_rn[repeat, rows] = fold
    return fold_rn


def _by_unit(unit_n: np.ndarray, folds: int, *, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    fold_u = np.random.default_rng(seed).permutation(int(unit_n.max()) + 1) % folds
    return [(np.flatnonzero(fold_u[unit_n] != f), np.flatnonzero(fold_u[unit_n] == f)) for f in range(folds)]
