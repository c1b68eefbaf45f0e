"""Compare two photos as a verification did: the cosine of their features, and who of the known is near."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from trainer.core.errors import InputError
from trainer.data.bit_depth import FULL, scaled
from trainer.data.decode import DecodeError, decode, thumbnail
from trainer.features.concatenation import concatenate_vectors
from trainer.features.encoder import ImageEncoder
from trainer.serving.explain import MAX_UPLOAD_PIXELS, SHOWN_SIDE
from trainer.serving.predictor import encode_prepared, encoders_used, folders_of, prepare_image
from trainer.stats.vectors import unit_rows


class Photo(NamedTuple):
    """A photo that was asked about."""

    reason: str  # why it cannot be used, else ""; the other fields are then empty
    image: bytes  # WebP, to be shown
    unit_d: np.ndarray  # its features, of length 1
    near: list[tuple[int, float]]  # known photos and cosine, nearest first


class PairVerifier:
    """The encoders and the known photos of a verification. Thread-safe, one photo at a time."""

    def __init__(self, encoder: str, vectors: bytes, *, bits: int | None = FULL) -> None:
        """Read the known photos; the encoders are loaded on first use.

        Args:
            encoder: as the run records it, see `encoder_text`.
            vectors: `Artifact.VECTORS`.
            bits: that 16-bit images use, as of the run.

        Raises:
            InputError: the vectors are damaged, or no encoder made them.
        """
        self._used, self._bits = encoders_used(encoder), bits
        if not self._used:
            raise InputError("This run used precomputed features, so new photos cannot be encoded.")
        try:
            self._known_nd = unit_rows(load(vectors)["vectors"].astype(np.float32))
        except (SafetensorError, KeyError) as error:
            raise InputError(f"The recorded vectors cannot be read: {error}.") from error
        self._lock = threading.Lock()

    def photo(self, data: bytes, *, neighbours: int = 1) -> Photo:
        """Encode a photo and look for it among the known ones.

        Raises:
            InputError: an encoder is not available, or makes other vectors than those on record.
        """
        with self._lock:
            try:
                image = data if self._bits == FULL else scaled(data, self._bits, max_pixels=MAX_UPLOAD_PIXELS)
                inputs = [prepare_image(one, image, max_pixels=MAX_UPLOAD_PIXELS) for one in self._encoders]
                shown = thumbnail(decode(image, min_side=2 * SHOWN_SIDE), SHOWN_SIDE)
            except DecodeError as error:
                return Photo(error.reason, b"", np.empty(0), [])
            parts = [encode_prepared(one, [own]) for one, own in zip(self._encoders, inputs, strict=True)]
        (unit_d,) = unit_rows(concatenate_vectors(parts))
        if not np.isfinite(unit_d).all():
            return Photo("the encoder gave it a vector with NaN or infinite numbers", b"", np.empty(0), [])
        if unit_d.shape != self._known_nd.shape[1:]:
            raise InputError(
                "The encoder makes vectors of another length than those on record. Verify again."
            )
        cosine_n = self._known_nd @ unit_d
        best = np.argsort(-cosine_n, kind="stable")[:neighbours]
        return Photo("", shown, unit_d, [(int(row), float(cosine_n[row])) for row in best])

    @cached_property
    def _encoders(self) -> list[ImageEncoder]:
        return [
            ImageEncoder(folder, device="auto", dtype=one.dtype, space=one.recipe)
            for folder, one in zip(folders_of(self._used), self._used, strict=True)
        ]


def score(one: Photo, other: Photo) -> float:
    """Return the cosine of two photos that can be used, as a verification's raw method scores a pair."""
    return float(one.unit_d.astype(np.float64) @ other.unit_d.astype(np.float64))
