"""Two arms that are the same: ``python benchmarks/aa.py [--repeats 200]``.

One configuration is compared with itself, with fresh seeds for every repeat and arm, as two
configurations are compared: by the 95 % interval of the paired differences of validation macro-F1. The
truth is zero, so 95 intervals in 100 should cover it. The features are those of the demo. Prints one
JSON line: how many did, their share, and its Wilson interval.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import bar
from trainer.data.load import load
from trainer.experiments.inputs import training_data
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import TrainingData
from trainer.stats.intervals import paired_difference, wilson

SEEDS_AT_ONCE = 200


def demo_features(device: str) -> TrainingData:
    """The demo's training and validation rows, encoded for this run alone."""
    with tempfile.TemporaryDirectory() as cache, bar("Encoding", "images") as progress:
        settings = EncoderSettings(encoder="demo", cache_dir=Path(cache), device=device, measure=False)
        features = extract(load("demo", seed=0), settings, progress=progress.update)
    return training_data(features, device)


def scores(spec: HeadSpec, data: TrainingData, *, seeds: int) -> np.ndarray:
    """Validation macro-F1 of the configuration under each of so many seeds."""
    parts = []
    with bar("Training", "seeds") as progress:
        for first in range(0, seeds, SEEDS_AT_ONCE):
            part = range(first, min(first + SEEDS_AT_ONCE, seeds))
            population = Population([spec], data, seeds=part)
            population.train(spec.epochs)
            parts.append(population.outcome(0).val_f1_macro_s)
            progress.update(part.stop, seeds)
    return np.concatenate(parts)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    flags.add_argument("--repeats", type=int, default=200)
    flags.add_argument("--seeds", type=int, default=6, help="of each arm in each repeat")
    flags.add_argument("--epochs", type=int, default=8)
    flags.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = flags.parse_args()
    spec = HeadSpec(hidden=(32,), dropout=0.2, lr=3e-3, epochs=args.epochs, patience=args.epochs)
    data = demo_features(args.device)
    shape = (args.repeats, 2, args.seeds)
    score_ras = scores(spec, data, seeds=math.prod(shape)).reshape(shape)
    intervals = [paired_difference(a_s, b_s) for a_s, b_s in score_ras]
    covered = sum(interval.low <= 0 <= interval.high for interval in intervals)
    share = wilson(covered, args.repeats)
    figures = {
        "repeats": args.repeats,
        "seeds": args.seeds,
        "covered": covered,
        "share": share.value,
        "share_ci95": [share.low, share.high],
        "val_f1_macro": float(score_ras.mean()),
        "val_f1_macro_sd": float(score_ras.std()),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
