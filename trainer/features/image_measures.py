"""What images measure, kept as vectors are: by content, under a key of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainer.data.decode import DECODE_POLICY, Decoded, decode_sized
from trainer.data.image_quality import MEASURE_NAMES, SIDE, measure_image
from trainer.features.key import EncoderKey, digest_of
from trainer.features.preprocessing import LEAST
from trainer.features.store import FeatureStore

MEASURES_VERSION = "1"  # raise it when the code of trainer.data.image_quality changes what comes out


def measures_store(root: Path) -> FeatureStore:
    """Where the measures of all images are, whichever encoder they were read for.

    Raises:
        InputError: the folder cannot be made or written.
    """
    fields = {
        "measures": list(MEASURE_NAMES),
        "side": SIDE,
        "least": LEAST,
        "decode_policy": DECODE_POLICY,
        "measures_version": MEASURES_VERSION,
        "stored_dtype": "float32",
    }
    return FeatureStore(root, EncoderKey(fields, digest_of(fields)))


def measures_of(data: bytes, decoded: Decoded, *, least: int | None) -> np.ndarray:
    """float64 [M] of one image that was decoded with ``least``. Undecodable as :func:`decode_sized`."""
    if least != LEAST:  # for an encoder that wants more: what is measured must not depend on it
        decoded = decode_sized(data, least=LEAST)
    return measure_image(decoded.image_hwc, size=(decoded.width, decoded.height))


def lookup_measures(store: FeatureStore | None, content: tuple[str, ...]) -> np.ndarray:
    """float32 [N, M]; NaN where an image was not measured, and everywhere without a store."""
    measures_nm = np.full((len(content), len(MEASURE_NAMES)), np.nan, dtype=np.float32)
    if store is not None and len(store):
        found_n, found_nm = store.lookup(content)
        measures_nm[found_n] = found_nm
    return measures_nm
