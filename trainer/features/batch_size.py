"""How many images an encoder takes at once: measured with noise, and remembered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.core.json_cache import read_cache, write_cache
from trainer.features.backbone import OutOfMemory

if TYPE_CHECKING:
    from trainer.features.encoder import ImageEncoder

TRIED = (16, 32, 64, 128, 256, 512, 1024)
BUDGET_S = 3.0
WORTH = 1.05  # a larger batch must be so many times as fast


def remembered_batch_size(encoder: ImageEncoder, key: str, memory: Path, *, most: int) -> int:
    """The batch size that was fastest for this encoder on this device; measured once, then remembered.

    It is remembered because a vector's last bit can depend on it: a run that is taken up again shall give
    what the uninterrupted one would have.

    Args:
        key: names the encoder and what it computes in.
        memory: a JSON file.
        most: images there are.
    """
    known = read_cache(memory)
    name = f"{key} on {encoder.device_name}"
    if not isinstance(known.get(name), int) or known[name] < 1:
        if most <= TRIED[0]:
            return TRIED[0]  # not worth the measuring
        known[name] = fastest_batch_size(encoder)
        write_cache(memory, known)
    return known[name]


def fastest_batch_size(encoder: ImageEncoder) -> int:
    """Try growing batches of noise until one is not worth it, does not fit, or a few seconds are over."""
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    best, best_rate = TRIED[0], 0.0
    encoder.forward(_noise(rng, encoder, TRIED[0]))  # the first call of all is slow
    for size in TRIED:
        noise = _noise(rng, encoder, size)
        try:
            encoder.forward(noise)  # the first call of a size is slow, too: kernels are chosen
            called = time.perf_counter()
            encoder.forward(noise)
        except OutOfMemory:
            encoder.forget()
            break
        rate = size / (time.perf_counter() - called)
        if rate < WORTH * best_rate:
            break
        best, best_rate = size, rate
        if time.perf_counter() - began > BUDGET_S:
            break
    return best


def _noise(rng: np.random.Generator, encoder: ImageEncoder, size: int) -> np.ndarray:
    return rng.integers(0, 256, (size, 3, *encoder.shape), dtype=np.uint8)
