"""Shares over simulations, and progress."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from trainer.stats.intervals import wilson

Figures = dict[str, Any]


def share(count: int, of: int) -> Figures:
    """A share with its 95 % interval over simulations."""
    found = wilson(count, of)
    return {"share": round(found.value, 4), "ci95": [round(found.low, 4), round(found.high, 4)], "n": of}


def spread(values: list[float]) -> Figures:
    """Return the mean of a share over draws with its 95 % interval, and its 5 % and 95 % quantiles."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    low, high = np.quantile(values, [0.05, 0.95])
    return {
        "mean": round(mean, 4),
        "mean_ci95": [round(mean - 1.96 * error, 4), round(mean + 1.96 * error, 4)],
        "quantiles_5_95": [round(float(low), 4), round(float(high), 4)],
    }


def progress(name: str, done: int, total: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"{name}: {done}/{total}", file=sys.stderr, flush=True)
