"""Join the vectors of several encoders to one vector per image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.stats.vectors import unit_rows


def concatenate_vectors(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 [N, D₁ + D₂ + …] of the encoders' vectors [N, Dᵢ]; those of one encoder as they are.

    Each vector is first divided by its norm, because encoders differ in scale by orders of magnitude: so all
    weigh alike, the cosine of two images is the mean of the encoders' cosines, and nothing has to be learned
    or recorded.
    """
    return parts[0] if len(parts) == 1 else np.concatenate([unit_rows(part_nd) for part_nd in parts], axis=1)
