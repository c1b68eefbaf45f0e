"""How often an ablation is wrong, and how often it misses: ``python benchmarks/ablation.py DATA …``.

Two questions of ready features DATA (.npz files; without any, overlapping clouds), in ``--repeats`` repeats:

- false alarms: filters by random scores, which throw out what chance picks. How often is one called helpful?
- power: 30 % of the training labels made wrong, and filters by label agreement. How often is one?

Each repeat draws training, validation and test rows anew from all rows, and goes through what
``python -m trainer.ablate`` goes through: scores, masks, a random choice of as many rows for each, 6 seeds,
intervals, tests, Holm's correction. Prints one JSON line, with 95 % intervals (Wilson) for both shares.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import bar
from trainer.data.load import load
from trainer.data.manifest import Manifest
from trainer.data.split import stratified_folds
from trainer.experiments.ablation.design import design, random_choice
from trainer.experiments.ablation.filters import FilterRows
from trainer.experiments.ablation.judging import Judge, LabelledRows
from trainer.experiments.ablation.record import AblationRecord
from trainer.experiments.ablation.scores import agreement_score
from trainer.experiments.ablation.training import TrainingSettings, arms_of, train
from trainer.heads.head_config import HeadSpec
from trainer.heads.out_of_fold import out_of_fold
from trainer.heads.training_data import to_training_data
from trainer.stats.intervals import wilson
from trainer.tracking.schema import Ablation, Verdict

SEEDS = 6
WRONG = 0.3
KEPT = (90, 75, 60)
SPEC = HeadSpec(lr=3e-3, epochs=40, weights="last")  # as --head linear
SHARES = (0.3, 0.2, 0.3)  # of all rows: train, val, test; the rest is left out, for the sake of time


class Repeat:
    """Rows drawn anew: int64 [N] of each split."""

    def __init__(self, manifest: Manifest, number: int) -> None:
        assert manifest.features_nd is not None
        self.manifest, self.number = manifest, number
        self.random = np.random.default_rng([7, number])
        order = self.random.permutation(len(manifest))
        ends = (np.cumsum(SHARES) * len(order)).astype(int)
        self.train_n, self.val_n, self.test_n, _ = np.split(order, ends)
        self.x_nd = manifest.features_nd
        self.label_n = manifest.label_n[self.train_n].copy()

    def false_alarm(self) -> bool:
        """Whether one of the filters by random scores is declared helpful."""
        scores = {f"luck{i}": self.random.random(len(self.label_n)) for i in range(2)}
        return self._helps(scores, bad_n=None)

    def found(self) -> bool:
        """Whether one of the filters by label agreement is, after labels have been made wrong."""
        classes = len(self.manifest.classes)
        wrong_n = self.random.random(len(self.label_n)) < WRONG
        other_n = (self.label_n + self.random.integers(1, classes, len(self.label_n))) % classes
        self.label_n = np.where(wrong_n, other_n, self.label_n)
        probability_nc = out_of_fold(
            torch.from_numpy(self.x_nd[self.train_n]),
            torch.from_numpy(self.label_n),
            torch.from_numpy(
                stratified_folds(self.label_n, [""] * len(self.label_n), count=5, seed=self.number)
            ),
            classes=classes,
        ).numpy()
        return self._helps({"agreement": agreement_score(probability_nc, self.label_n)}, bad_n=wrong_n)

    def _helps(self, scores: dict[str, np.ndarray], *, bad_n: np.ndarray | None) -> bool:
        manifest = self.manifest
        rows = FilterRows(self.label_n, manifest.classes, scores)
        filters = [f"{name}>=top{kept}%" for name in scores for kept in KEPT]
        cells = design(rows, axes=(), alone=filters, augment=False, why_not={})
        label_n = manifest.label_n
        data = to_training_data(
            (self.x_nd[self.train_n], self.label_n),
            (self.x_nd[self.val_n], label_n[self.val_n]),
            classes=len(manifest.classes),
        )
        record = AblationRecord(None, None, seeds=range(SEEDS))
        for seed in range(SEEDS):
            arms = arms_of(
                cells, lambda cell, seed=seed: random_choice(cell, rows, seed=self.number, draw=seed)
            )
            answers = train(
                arms,
                [SPEC] * len(arms),
                data,
                torch.from_numpy(self.x_nd[self.test_n]),
                TrainingSettings(seed),
            )
            record.add("", seed, answers, first_row=0)
        judge = Judge(
            cells,
            manifest.classes,
            LabelledRows(self.label_n, label_n[self.val_n], label_n[self.test_n], bad_n),
            seed=self.number,
        )
        table, _ = judge.tables(record.answers, specs={("", cell.number): SPEC for cell in cells})
        return bool((table[Ablation.VERDICT] == Verdict.HELPS).any())


def measured(manifest: Manifest, repeats: int) -> dict[str, Any]:
    """Both shares with their intervals."""
    started = time.perf_counter()
    alarms = found = 0
    with bar(manifest.name, "repeats") as progress:
        for number in range(repeats):
            alarms += Repeat(manifest, number).false_alarm()
            found += Repeat(manifest, number).found()
            progress.update(number + 1, repeats, f"{alarms} false alarms, {found} found")
    return {
        "repeats": repeats,
        "false_alarms": alarms,
        "false_alarm_rate_ci95": list(wilson(alarms, repeats)),
        "found": found,
        "power_ci95": list(wilson(found, repeats)),
        "seconds": round(time.perf_counter() - started, 1),
    }


def clouds(*, rows: int = 1200, classes: int = 4, seed: int = 0) -> Manifest:
    """Overlapping clouds as ready features, for a quick look."""
    from trainer.data.manifest import Columns, build_manifest

    random = np.random.default_rng(seed)
    label_n = np.arange(rows) % classes
    x_nd = (random.normal(size=(classes, 64))[label_n] * 0.5 + random.normal(size=(rows, 64))).astype(
        np.float32
    )
    names = [str(row) for row in range(rows)]
    return build_manifest(
        "clouds",
        Columns(
            sample_id=names,
            label=[f"class {label}" for label in label_n],
            split=["train"] * rows,
            content=names,
            features_nd=x_nd,
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="*", help="ready features; without any, overlapping clouds")
    parser.add_argument("--repeats", type=int, default=100)
    given = parser.parse_args()
    manifests = [load(name, seed=0) for name in given.data] or [clouds()]
    print(json.dumps({manifest.name: measured(manifest, given.repeats) for manifest in manifests}))


if __name__ == "__main__":
    main()
