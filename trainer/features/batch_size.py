"""Measure the fastest batch size of an encoder, with noise, and cache it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.core.json_cache import is_number, read_cache, write_cache
from trainer.features.backbone import OutOfMemory

if TYPE_CHECKING:
    from trainer.features.encoder import ImageEncoder

CANDIDATES = (16, 32, 64, 128, 256, 512, 1024)
BUDGET_S = 3.0
MIN_SPEEDUP = 1.05  # required speed-up of a larger batch


def cached_batch_size(encoder: ImageEncoder, key: str, cache_file: Path, *, images: int) -> int:
    """Return the fastest batch size of an encoder on its device, measured once.

    It is cached because the last bit of a vector can depend on it: a resumed run must give the same vectors.

    Args:
        key: identifies the encoder and its compute type.
        cache_file: JSON file.
        images: number of images to encode.
    """
    values = read_cache(cache_file, lambda size: isinstance(size, int) and is_number(size, least=1))
    name = f"{key} on {encoder.device_name}"
    if name not in values:
        if images <= CANDIDATES[0]:
            return CANDIDATES[0]  # too few to be worth measuring
        values[name] = fastest_batch_size(encoder)
        write_cache(cache_file, values)
    return values[name]


def fastest_batch_size(encoder: ImageEncoder) -> int:
    """Try growing batches of noise until one is not faster, does not fit, or time is up."""
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    best, best_rate = CANDIDATES[0], 0.0
    encoder.forward(_noise(rng, encoder, CANDIDATES[0]))  # warm-up
    for size in CANDIDATES:
        noise = _noise(rng, encoder, size)
        try:
            encoder.forward(noise)  # warm-up: kernels are selected by size
            called = time.perf_counter()
            encoder.forward(noise)
        except OutOfMemory:
            encoder.free_memory()
            break
        rate = size / (time.perf_counter() - called)
        if rate < MIN_SPEEDUP * best_rate:
            break
        best, best_rate = size, rate
        if time.perf_counter() - began > BUDGET_S:
            break
    return best


def _noise(rng: np.random.Generator, encoder: ImageEncoder, size: int) -> np.ndarray:
    return rng.integers(0, 256, (size, 3, *encoder.shape), dtype=np.uint8)
