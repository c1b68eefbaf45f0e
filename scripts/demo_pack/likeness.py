"""Images that are nearly the same: like in form and in colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from trainer.data.image_quality import perceptual_hash

MOST_BITS = 4  # of 64
LEAST_COSINE = 0.985


def thumb_vector(rgb: np.ndarray) -> np.ndarray:
    """float32 [768]: 16 × 16 colours, centred, of length 1."""
    small = np.asarray(Image.fromarray(rgb).resize((16, 16), Image.Resampling.BOX), dtype=np.float32).ravel()
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def near_duplicates(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """bool [len(a), len(b)] between two lists of images [H, W, 3]: like in form *and* in colour."""
    vectors_a, vectors_b = (np.stack([thumb_vector(one) for one in some]) for some in (a, b))
    return (hash_distance(a, b) <= MOST_BITS) & (vectors_a @ vectors_b.T >= LEAST_COSINE)


def hash_distance(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    """[len(a), len(b)]: how many of the 64 bits of the perceptual hashes differ."""
    signs_a, signs_b = (
        np.where(np.stack([perceptual_hash(one) for one in some]), 1, -1).astype(np.float32)
        for some in (a, b)
    )
    return (64 - signs_a @ signs_b.T) / 2
