"""What bfloat16 products cost in quality and gain in time: ``python benchmarks/precision.py FILE.npz …``.

The same configurations (spread evenly over the default space) and seeds are trained with float32 and with
bfloat16 products on ready features. Prints one JSON line; of each FILE: the mean over configurations of the
difference of validation macro-F1, bfloat16 - float32, with a 95 % t-interval, the largest difference of a
configuration, the standard deviation between two seeds of one for comparison, and how many times as long
float32 took (median of --repeats, in turn).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import say
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population, Precision
from trainer.heads.slab_autotune import fastest_slab
from trainer.heads.training_data import TrainingData, to_training_data
from trainer.search.space import head_spec, load_space
from trainer.search.tpe import quasi_random
from trainer.stats.intervals import paired_difference

SEEDS = (0, 1, 2)


def load_features(path: Path) -> TrainingData:
    arrays = np.load(path)
    y = arrays["train_y"]
    return to_training_data(
        (arrays["train_x"], y),
        (arrays["val_x"], arrays["val_y"]),
        classes=int(y.max()) + 1,
    )


def configurations(count: int) -> list[HeadSpec]:
    """Heads that learn batch by batch: a logistic regression is fitted in float32 anyway."""
    space = load_space()
    specs = (head_spec(quasi_random(space, number=number, seed=0)) for number in range(4 * count))
    return [spec for spec in specs if spec.solver == "descent"][:count]


def train(specs: list[HeadSpec], data: TrainingData, precision: Precision) -> tuple[np.ndarray, float]:
    """Best validation macro-F1 [K, S], and seconds."""
    slab_bytes = fastest_slab(data, seeds=SEEDS, precision=precision)
    began = time.perf_counter()
    population = Population(specs, data, seeds=SEEDS, precision=precision, slab_bytes=slab_bytes)
    population.train(max(spec.epochs for spec in specs))
    took = time.perf_counter() - began
    return np.stack([population.outcome(head).val_f1_macro_s for head in range(len(specs))]), took


def compare(path: Path, *, count: int, repeats: int) -> dict[str, Any]:
    data, specs = load_features(path), configurations(count)
    ratios = []
    for repeat in range(repeats):
        exact_ks, exact_s = train(specs, data, "float32")
        rounded_ks, rounded_s = train(specs, data, "bfloat16")
        ratios.append(exact_s / rounded_s)
        say(f"{path.stem}, round {repeat + 1} of {repeats}: {exact_s:.1f} s and {rounded_s:.1f} s")
    return {
        "difference": paired_difference(rounded_ks.mean(1), exact_ks.mean(1)),
        "largest": float(np.abs(rounded_ks.mean(1) - exact_ks.mean(1)).max()),
        "sd_between_seeds": float(np.median(exact_ks.std(1, ddof=1))),
        "float32_takes": round(statistics.median(ratios), 2),
    }


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("files", nargs="*", type=Path, metavar="FILE")
    flags.add_argument("--configurations", type=int, default=48)
    flags.add_argument("--repeats", type=int, default=3)
    args = flags.parse_args()
    print(
        json.dumps(
            {path.stem: compare(path, count=args.configurations, repeats=args.repeats) for path in args.files}
        )
    )


if __name__ == "__main__":
    main()
