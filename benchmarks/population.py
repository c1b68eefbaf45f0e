"""Heads trained together against the same heads trained one by one: ``python benchmarks/population.py``.

Three arms, measured in turn in one process, best of ``--repeats``: a `Population`; a `Population` of one
head at a time; and the loop that one would write by hand (a ``torch.nn`` model, fused AdamW, batches sliced
from a resident tensor). All train the same configurations and seeds on random features for the same epochs,
and evaluate after each. Prints one JSON line; ratios are above 1 where the first arm is faster.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.heads.data import TrainingData, prepare
from trainer.heads.population import Population
from trainer.heads.spec import HeadSpec

Arm = Callable[[list[HeadSpec], TrainingData, list[int], int], None]


def random_data(rows: int, features: int, classes: int, device: str) -> TrainingData:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows + rows // 4, features)).astype(np.float32)
    y = random.integers(classes, size=len(x))
    return prepare(x[:rows], y[:rows], val_x_nd=x[rows:], val_y_n=y[rows:], classes=classes, device=device)


def by_hand(specs: list[HeadSpec], data: TrainingData, seeds: list[int], epochs: int) -> None:
    """One model, one loop, again and again."""
    (x, y), (val_x, val_y) = data.train, data.val
    for spec in specs:
        for seed in seeds:
            torch.manual_seed(seed)
            (width,) = spec.hidden
            model = nn.Sequential(
                nn.Linear(x.shape[1], width),
                nn.ReLU(),
                nn.Dropout(spec.dropout),
                nn.Linear(width, data.classes),
            ).to(x.device)
            optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, fused=True)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
            for _ in range(epochs):
                model.train()
                for rows in torch.randperm(len(x), device=x.device).split(spec.batch_size):
                    loss = F.cross_entropy(model(x[rows]), y[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                scheduler.step()
                model.eval()
                with torch.no_grad():
                    logits = model(val_x)
                    F.cross_entropy(logits, val_y).item()
                    (logits.argmax(1) == val_y).double().mean().item()


def together(specs: list[HeadSpec], data: TrainingData, seeds: list[int], epochs: int) -> None:
    Population(specs, data, seeds=seeds).train(epochs)


def one_by_one(specs: list[HeadSpec], data: TrainingData, seeds: list[int], epochs: int) -> None:
    for spec in specs:
        for seed in seeds:
            Population([spec], data, seeds=[seed]).train(epochs)


def seconds(arm: Arm, specs: list[HeadSpec], data: TrainingData, seeds: list[int], epochs: int) -> float:
    started = time.perf_counter()
    arm(specs, data, seeds, epochs)
    if data.train.x_nd.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--heads", type=int, default=16)
    flags.add_argument("--seeds", type=int, default=3)
    flags.add_argument("--epochs", type=int, default=5)
    flags.add_argument("--repeats", type=int, default=3)
    flags.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = flags.parse_args()
    result: dict[str, object] = {"device": args.device, "threads": torch.get_num_threads(), **vars(args)}
    arms: dict[str, Arm] = {"together": together, "one_by_one": one_by_one, "by_hand": by_hand}
    for rows, features, width in ((2000, 512, 64), (2000, 512, 256), (8000, 768, 256)):
        data = random_data(rows, features, 20, args.device)
        epochs = max(1, args.epochs * 2000 // rows)  # as many steps for each size
        specs = [
            HeadSpec(hidden=(width,), lr=lr, dropout=0.2, epochs=epochs, patience=epochs)
            for lr in np.geomspace(1e-4, 1e-2, args.heads).tolist()
        ]
        best = dict.fromkeys(arms, math.inf)
        for _ in range(args.repeats):
            for name, arm in arms.items():
                took = seconds(arm, specs, data, list(range(args.seeds)), epochs)
                best[name] = min(best[name], took)
        result[f"{rows}x{features} width {width}"] = {
            **{f"{name}_s": round(took, 3) for name, took in best.items()},
            "faster_than_one_by_one": round(best["one_by_one"] / best["together"], 2),
            "faster_than_by_hand": round(best["by_hand"] / best["together"], 2),
        }
        print(f"{rows} × {features}, width {width}: {best}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
