"""Join the vectors of several encoders to one vector per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trainer.stats.vectors import unit_rows


def concatenate_vectors(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 [N, D₁ + D₂ + …] of the encoders' vectors [N, Dᵢ]; those of one encoder as they are.

    Each vector is first divided by its root mean square, because encoders differ in scale by orders of
    magnitude: so the numbers of all have one scale, the cosine of two images is the mean of the encoders'
    cosines weighted by their widths, and nothing has to be learned or recorded.
    """
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(
        [unit_rows(part_nd) * np.float32(math.sqrt(part_nd.shape[1])) for part_nd in parts], axis=1
    )
