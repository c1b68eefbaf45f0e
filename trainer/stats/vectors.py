"""Vectors as rows of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

ROUNDING = 2.0**-24  # of a number in float32, as a share of it
LEAST_SHARE = 1e-10  # of the widest spread; factors that make more of less leave float32


def unit_rows(vectors_nd: np.ndarray) -> np.ndarray:
    """Return the rows [N, D] divided by their Euclidean norms, in their floating type; zeros stay zeros."""
    length_n1 = np.linalg.norm(vectors_nd, axis=1, keepdims=True)
    return vectors_nd / np.where(length_n1 > 0, length_n1, 1)


def is_constant(centre_d: Any, spread_d: Any) -> Any:
    """Return which dimensions carry nothing that float32 can tell from rounding: bool [D].

    Args:
        centre_d, spread_d: mean and standard deviation of the rows, as NumPy arrays or as tensors.
    """
    return (spread_d <= ROUNDING * abs(centre_d)) | (spread_d <= LEAST_SHARE * spread_d.max())
