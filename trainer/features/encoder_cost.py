"""Measure the cost of an encoder (images per second, memory, size) in a separate process."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core import signals
from trainer.core.memory import peak_bytes
from trainer.features.families import Space

LEAST_S, LEAST_CALLS = 2.0, 3  # minimum duration of the measurement


class Cost(NamedTuple):
    """Cost of an image tower on a device."""

    device: str  # display name
    dimension: int
    parameters: int
    side: int  # pixels of a prepared image's height
    batch_size: int
    images_per_s: float
    peak_bytes: int


def cost_of(
    folder: Path, *, device: str, dtype: str, space: Space = "pooled", batch_size: int | None = None
) -> Cost:
    """Measure the image tower in ``folder`` with noise, in a new process.

    Reading and decoding are not included. Memory is the peak allocated by CUDA, or the growth of the process,
    which requires a process that has not encoded before.

    Args:
        batch_size: images per batch; None: the fastest of several.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=signals.end_with_parent) as pool:
        with signals.held():  # a pool of which a thread was half started cannot be shut down
            found = pool.submit(_measured, folder, device, dtype, space, batch_size)
        return found.result()


def sum_of(costs: Sequence[Cost]) -> Cost:
    """Return what encoders cost that all encode every image, loaded together."""
    return Cost(
        costs[0].device,
        sum(one.dimension for one in costs),
        sum(one.parameters for one in costs),
        max(one.side for one in costs),
        min(one.batch_size for one in costs),
        1 / sum(1 / one.images_per_s for one in costs),
        sum(one.peak_bytes for one in costs),
    )


def _measured(folder: Path, device: str, dtype: str, space: Space, batch_size: int | None) -> Cost:
    import torch
    import transformers  # noqa: F401  (loaded before memory is measured)

    from trainer.features.batch_size import fastest_batch_size
    from trainer.features.encoder import ImageEncoder

    before = peak_bytes()
    encoder = ImageEncoder(folder, device=device, dtype=dtype, space=space)
    size = batch_size or fastest_batch_size(encoder)
    noise = np.random.default_rng(0).integers(0, 256, (size, 3, *encoder.shape), dtype=np.uint8)
    vectors_nd = encoder.forward(noise)
    calls, began = 0, time.perf_counter()
    while calls < LEAST_CALLS or time.perf_counter() - began < LEAST_S:
        encoder.forward(noise)
        calls += 1
    rate = calls * size / (time.perf_counter() - began)
    on_cuda = torch.cuda.is_available() and device != "cpu"
    return Cost(
        encoder.device_name,
        int(vectors_nd.shape[1]),
        encoder.parameters,
        encoder.shape[0],
        size,
        rate,
        torch.cuda.max_memory_allocated() if on_cuda else max(peak_bytes() - before, 0),
    )
