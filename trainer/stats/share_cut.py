"""How much of an image is cut away."""

from __future__ import annotations

import numpy as np


def shares_cut(field_n6: np.ndarray) -> np.ndarray:
    """Return the share of each image's area that lies outside of a part of it: float32 [N], 0…1, NaN if
    unknown.

    Args:
        field_n6: float [N, 4 or more]: left, top, right and bottom as shares of the image's width and height;
            outside of 0…1 there is no image.
    """
    start_n2, end_n2 = np.maximum(field_n6[:, :2], 0), np.minimum(field_n6[:, 2:4], 1)
    return np.clip(1 - (end_n2 - start_n2).prod(axis=1), 0, 1).astype(np.float32)
