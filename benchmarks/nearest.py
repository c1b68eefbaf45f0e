"""Exact search over many vectors: ``python benchmarks/nearest.py [--rows 1000000] [--width 512]``.

One query, and sixteen at once, for the 10 nearest of float32 vectors by cosine. Arms, in turn, median of
``--repeats`` rounds, in one process:

- numpy: the vectors divided by their lengths, one product, argsort: what people write;
- numpy_ready: the same where the vectors have length 1 already and need not be divided;
- headroom: `trainer.stats.nearest_vectors.nearest`, which takes vectors of any length.

Prints one JSON line: seconds of each arm, how many times as long numpy takes, the most memory that each arm
held beside the vectors (tracemalloc), and whether all arms found the same rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import say
from trainer.stats.nearest_vectors import nearest

COUNT = 10


def lengths(row_nd: np.ndarray) -> np.ndarray:
    """As `np.linalg.norm`, which takes as much memory as the rows."""
    return np.sqrt(np.einsum("nd,nd->n", row_nd, row_nd))


def by_numpy(query_qd: np.ndarray, row_nd: np.ndarray) -> np.ndarray:
    return ready(query_qd, row_nd / lengths(row_nd)[:, None])


def ready(query_qd: np.ndarray, unit_nd: np.ndarray) -> np.ndarray:
    return np.argsort(-(query_qd @ unit_nd.T), axis=1)[:, :COUNT]


def by_headroom(query_qd: np.ndarray, row_nd: np.ndarray) -> np.ndarray:
    return nearest(query_qd, row_nd, COUNT).row_qk


def memory_mb(arm: Callable[[np.ndarray, np.ndarray], np.ndarray], *given: np.ndarray) -> float:
    """The most that an arm holds beside what it is given."""
    tracemalloc.start()
    arm(*given)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(most / 2**20, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    row_nd = random.standard_normal((arguments.rows, arguments.width), dtype=np.float32)
    row_nd /= lengths(row_nd)[:, None]  # so that the second arm may skip it
    arms = {"numpy": by_numpy, "numpy_ready": ready, "headroom": by_headroom}
    figures: dict[str, object] = {"rows": arguments.rows, "width": arguments.width, "found": COUNT}
    for queries in (1, 16):
        query_qd = random.standard_normal((queries, arguments.width), dtype=np.float32)
        took: dict[str, list[float]] = {name: [] for name in arms}
        found = {}
        for _ in range(arguments.repeats):
            for name, arm in arms.items():
                began = time.perf_counter()
                found[name] = arm(query_qd, row_nd)
                took[name].append(time.perf_counter() - began)
        median = {name: statistics.median(seconds) for name, seconds in took.items()}
        figures[f"queries_{queries}"] = {
            "seconds": {name: round(one, 4) for name, one in median.items()},
            "times_as_long_as_headroom": {
                name: round(median[name] / median["headroom"], 2) for name in ("numpy", "numpy_ready")
            },
            "memory_mb": {name: memory_mb(arm, query_qd, row_nd) for name, arm in arms.items()},
            "same_rows": all(np.array_equal(rows, found["headroom"]) for rows in found.values()),
        }
        say(json.dumps(figures[f"queries_{queries}"]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
