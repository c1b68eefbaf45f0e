"""How many heads to train side by side on this machine, found by training some."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import Split, TrainingData

CANDIDATES = (4e6, 8e6, 16e6, 32e6)  # bytes of weights
ROWS, WIDTH, HEADS = 512, 256, 16
ROUNDS = 2


def fastest_slab(data: TrainingData, *, seeds: Sequence[int], precision: Precision) -> float:
    """Return the size of slabs (`Population`'s ``slab_bytes``) with which wide heads on such rows train
    fastest.

    Where the weights of a slab no longer fit a processor's cache, a step takes up to half as long again; with
    too few heads in one, calls cost more than arithmetic. Takes about a second. Heads come out the same
    whatever the size (a test). Of heads so wide that the largest slab holds one there is nothing to measure.
    """
    best_s = dict.fromkeys(CANDIDATES, math.inf)
    specs = [HeadSpec(hidden=(WIDTH,), dropout=0.2, epochs=1) for _ in range(HEADS)]
    weights = specs[0].parameters(features=data.features, classes=data.classes)
    if 2 * weights * len(seeds) * data.train.x_nd.element_size() > max(CANDIDATES):
        return CANDIDATES[0]
    sample = _random_rows(data)
    for _ in range(ROUNDS):
        for slab_bytes in CANDIDATES:
            population = Population(specs, sample, seeds=seeds, precision=precision, slab_bytes=slab_bytes)
            began = time.perf_counter()
            population.train(1)
            best_s[slab_bytes] = min(best_s[slab_bytes], time.perf_counter() - began)
    return min(best_s, key=lambda slab_bytes: best_s[slab_bytes])


def _random_rows(data: TrainingData) -> TrainingData:
    """Return random rows of the data's shape and type."""
    like = data.train.x_nd
    source = torch.Generator(device=like.device).manual_seed(0)
    x_nd = torch.randn(ROWS, data.features, generator=source, device=like.device, dtype=like.dtype)
    y_n = torch.arange(ROWS, device=like.device) % data.classes
    return TrainingData(Split(x_nd, y_n), Split(x_nd[:128], y_n[:128]), classes=data.classes)
