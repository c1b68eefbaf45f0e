"""Vectors as rows of an array."""

from __future__ import annotations

import numpy as np


def unit_rows(vectors_nd: np.ndarray) -> np.ndarray:
    """Return the rows [N, D] divided by their Euclidean norms, in their floating type; zeros stay zeros."""
    length_n1 = np.linalg.norm(vectors_nd, axis=1, keepdims=True)
    return vectors_nd / np.where(length_n1 > 0, length_n1, 1)
