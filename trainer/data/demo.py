"""The demo: 1,797 handwritten digits that come with scikit-learn. Nothing to download."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from trainer.data.manifest import Manifest, build
from trainer.data.split import complete_splits

ENLARGE = 4  # 8 × 8 pixels are too few to look at


def read(*, seed: int) -> Manifest:
    """Digits 0 to 9 with their 64 pixels, scaled to 0…1, as features. All splits are drawn by ``seed``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    label_n = digits.target.astype(np.int64)
    n = len(label_n)
    images = [_png(pixels_hw) for pixels_hw in digits.images]
    split_n, made = complete_splits(np.full(n, ""), label_n, ("",) * n, seed=seed, name="demo")
    return build(
        name="demo",
        sample_id=[f"digit/{i:04d}" for i in range(n)],
        label=[str(digit) for digit in label_n],
        split=split_n,
        content=[hashlib.sha256(image).hexdigest() for image in images],
        images=images,
        features_nd=(digits.data / 16.0).astype(np.float32),
        made_splits=made,
    )


def _png(pixels_hw: np.ndarray) -> bytes:
    """[8, 8] of 0…16 → a grey PNG of 32 × 32."""
    grey_hw = np.round(pixels_hw * (255 / 16)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.kron(grey_hw, np.ones((ENLARGE, ENLARGE), np.uint8))).save(buffer, format="PNG")
    return buffer.getvalue()
