"""Whether vectors can be trained on: they differ, and float32 can hold what is computed of them."""

from __future__ import annotations

import numpy as np

from trainer.core.errors import InputError
from trainer.data.manifest import Manifest
from trainer.stats.vectors import is_constant

LARGEST = 1e15  # sums of squares of more leave float32
LEAST_SPREAD = 1e-6  # variances of less are lost beside the terms that keep divisions finite
FARTHEST = 1e6  # distance from the training rows' mean, in units of their spread
ROWS_AT_ONCE = 4096


def check_vectors(manifest: Manifest, x_nd: np.ndarray, *, every_row: bool = False) -> str:
    """Return a notice of features that are constant in the training rows, or "".

    Args:
        x_nd: finite vectors [N, D] of the manifest's rows, with at least one row of train.
        every_row: all rows are for training, whatever their split.

    Raises:
        InputError: all training rows are alike, or differ by next to nothing; a row is out of all proportion
            to them.
    """
    train = np.arange(len(manifest)) if every_row else manifest.rows("train")
    centre_d, spread_d = _moments(x_nd, train)
    constant, widest = int(is_constant(centre_d, spread_d).sum()), float(spread_d.max())
    if constant == x_nd.shape[1]:
        raise InputError(
            f"{manifest.name}: the vectors of all {len(train):,} training rows, from "
            f"{manifest.sample_id[train[0]]} on, are the same to the precision of float32: there is nothing "
            "to learn from. If they should differ, subtract their mean before they are stored in float32."
        )
    if widest < LEAST_SPREAD:
        raise InputError(
            f"{manifest.name}: the vectors of the training rows, from {manifest.sample_id[train[0]]} on, "
            f"spread by {widest:.1g}, which is too little to compute with. Expected at least "
            f"{LEAST_SPREAD:g}: multiply all arrays by the same number."
        )
    for start in range(0, len(x_nd), ROWS_AT_ONCE):
        away_n = np.abs(x_nd[start : start + ROWS_AT_ONCE] - centre_d).max(1)
        if away_n.max() > FARTHEST * widest:
            raise InputError(
                f"{manifest.name}: the vector of {manifest.sample_id[start + int(away_n.argmax())]} is "
                f"{away_n.max() / widest:.1g} times as far from the mean of the training rows as these "
                "spread. Remove this row or compute its vector again."
            )
    if not constant:
        return ""
    return (
        f"Features: {constant:,} of {x_nd.shape[1]:,} are constant in the training rows, and nothing is "
        "learned from them."
    )


def _moments(x_nd: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of some rows: float64 [D] each; a few rows at a time."""
    parts = np.array_split(rows, -(-len(rows) // ROWS_AT_ONCE))
    centre_d = sum(x_nd[part].sum(0, dtype=np.float64) for part in parts) / len(rows)
    square_d = sum(np.square(x_nd[part] - centre_d).sum(0) for part in parts) / len(rows)
    return centre_d, np.sqrt(square_d)
