"""What an encoder costs: images per second, memory, size. Measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

LEAST_S, LEAST_CALLS = 2.0, 3  # how long is measured at least


class Cost(NamedTuple):
    """Of one image tower on one device."""

    device: str  # for people
    dimension: int
    parameters: int
    side: int  # pixels of a prepared image's height
    batch_size: int
    images_per_s: float
    peak_bytes: int


def cost_of(folder: Path, *, device: str, dtype: str, batch_size: int | None = None) -> Cost:
    """Load the tower of ``folder`` in a new process and send noise through it for a while.

    Noise is as fast as images: what a tower does depends on their number alone. Reading and decoding are
    not in it. Memory is what CUDA gave out at most, or by how much the process grew; a process that has
    encoded before would hide that.

    Args:
        batch_size: images per call; None for the fastest of a few.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_measured, folder, device, dtype, batch_size).result()


def _measured(folder: Path, device: str, dtype: str, batch_size: int | None) -> Cost:
    import torch
    import transformers  # noqa: F401  (is in memory before it is measured)

    from trainer.features.batch_size import fastest_batch_size
    from trainer.features.encoder import ImageEncoder

    before = _resident_bytes()
    encoder = ImageEncoder(folder, device=device, dtype=dtype)
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
        torch.cuda.max_memory_allocated() if on_cuda else max(_resident_bytes() - before, 0),
    )


def _resident_bytes() -> int:
    """The most that this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # a child's ru_maxrss begins with its parent's, on Linux
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
