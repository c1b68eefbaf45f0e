"""Store image measures like vectors, by content, under their own key."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.decode import DECODE_POLICY, Decoded, decode_sized
from trainer.data.image_quality import MEASURE_NAMES, SIDE, measure_image
from trainer.features.key import EncoderKey, digest_of
from trainer.features.preprocessing import MIN_SIDE
from trainer.features.store import FeatureStore

MEASURES_VERSION = "1"  # increase when trainer.data.image_quality changes its results


def measures_store(root: Path, *, shared: bool = False) -> FeatureStore:
    """Return the store of the measures of all images, independent of the encoder.

    Raises:
        InputError: the folder cannot be created or written.
    """
    fields = {
        "measures": list(MEASURE_NAMES),
        "side": SIDE,
        "least": MIN_SIDE,
        "decode_policy": DECODE_POLICY,
        "measures_version": MEASURES_VERSION,
        "stored_dtype": "float32",
    }
    return FeatureStore(root, EncoderKey(fields, digest_of(fields)), shared=shared)


def measure_stored_image(data: bytes, decoded: Decoded, *, min_side: int | None) -> np.ndarray:
    """Measure an image that was decoded with ``min_side``: float64 [M]. Raises as :func:`decode_sized`."""
    if min_side != MIN_SIDE:  # measures must not depend on the encoder
        decoded = decode_sized(data, min_side=MIN_SIDE)
    return measure_image(decoded.image_hwc, size=(decoded.width, decoded.height))


def lookup_measures(store: FeatureStore | None, content: tuple[str, ...]) -> np.ndarray:
    """Return measures, float32 [N, M]; NaN for images that were not measured, or without a store."""
    measures_nm = np.full((len(content), len(MEASURE_NAMES)), np.nan, dtype=np.float32)
    if store is not None and len(store):
        found_n, found_nm = store.lookup(content)
        measures_nm[found_n] = found_nm
    return measures_nm
