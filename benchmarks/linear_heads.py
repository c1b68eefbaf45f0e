"""Linear heads fitted to their optimum, cross-validated: ``python benchmarks/linear_heads.py DATA …``.

Prints one JSON line for each DATA (what ``--data`` takes; without any, the demo), with, for logistic
regressions, Gaussian discriminants and ridge regressions: macro-F1 of the best head by 5-fold
cross-validation, the lowest log-loss of any (each at its own temperature), the test macro-F1 of the best,
refitted, and the seconds of the cross-validation. And for the greedy ensemble of the 12 best of each kind,
without and with ridge regressions: log-loss and macro-F1 out of fold, which are optimistic alike.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.data.load import load
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.validation import folds_of, plan_validation
from trainer.features.extract import Features, extract
from trainer.features.settings import EncoderSettings
from trainer.heads.ensemble import fit_temperature, greedy_weights, mean_of
from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.resampling import Folds
from trainer.search.refit import f1_of
from trainer.stats.calibration import row_losses

ITERATIONS = 400
STRENGTHS: dict[str, tuple[str, tuple[float, ...]]] = {
    "lbfgs": ("l2", tuple(np.geomspace(1e-4, 10, 7).tolist())),
    "gda": ("shrinkage", (0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)),
    "ridge": ("l2", tuple(np.geomspace(1e-4, 100, 13).tolist())),
}
OF_EACH = 12  # candidates of an ensemble


class Judged(NamedTuple):
    """A head and what it says of rows that it did not learn from."""

    spec: HeadSpec
    probability_mc: np.ndarray
    f1_macro: float
    log_loss: float


def specs(solver: str) -> list[HeadSpec]:
    name, strengths = STRENGTHS[solver]
    ways: Any = itertools.product(strengths, ("centre", "standardise"), ("none", "balanced"))
    return [
        HeadSpec(
            solver=solver,  # type: ignore[arg-type]
            scaling=scaling,
            class_weight=weight,
            epochs=ITERATIONS,
            weights="last",
            **{name: strength},
        )
        for strength, scaling, weight in ways
    ]


def judge(solver: str, folds: Folds) -> list[Judged]:
    """All heads of one kind, the best macro-F1 first."""
    tried, label_m = specs(solver), folds.judged_labels
    population = FoldedPopulation(tried, folds.parts, seeds=[0])
    population.train(ITERATIONS)
    found = []
    for index, spec in enumerate(tried):
        log_mc = torch.from_numpy(population.held_out(index, judged=folds.judged).astype(np.float32))
        p_mc = (log_mc / fit_temperature(log_mc, torch.from_numpy(label_m))).softmax(1).numpy()
        score = f1_of(p_mc.argmax(1), label_m, classes=p_mc.shape[1])
        found.append(Judged(spec, p_mc, score, float(row_losses(p_mc, label_m).mean())))
    return sorted(found, key=lambda one: -one.f1_macro)


def test_f1(spec: HeadSpec, folds: Folds, features: Features) -> float:
    population = Population([spec], folds.learning, seeds=[0])
    population.train(ITERATIONS)
    manifest = features.manifest
    rows = manifest.rows("test")
    logits_nc = population.head(0, seed_index=0).logits(torch.as_tensor(features.vectors_nd[rows]))
    return f1_of(logits_nc.argmax(1).numpy(), manifest.label_n[rows], classes=len(manifest.classes))


def ensemble(found: list[Judged], label_m: np.ndarray) -> dict[str, float]:
    every_kmc = np.stack([one.probability_mc for one in found])
    weight_k = greedy_weights(every_kmc, label_m, seed=0)
    p_mc = mean_of(every_kmc, weight_k)
    return {
        "log_loss": round(float(row_losses(p_mc, label_m).mean()), 4),
        "f1_macro": round(f1_of(p_mc.argmax(1), label_m, classes=p_mc.shape[1]), 4),
        "ridge_weight": round(
            sum(w for w, one in zip(weight_k, found, strict=True) if one.spec.solver == "ridge"), 3
        ),
    }


def compare(data: str) -> dict[str, Any]:
    config = SweepConfig(data=data, validate="cv")
    with tempfile.TemporaryDirectory() as cache:
        features = extract(load(data, seed=0), EncoderSettings(encoder="demo", cache_dir=Path(cache)))
    folds = folds_of(features, plan_validation(config, features.manifest, None), "cpu")
    figures: dict[str, Any] = {"data": Path(data).stem}
    judged: dict[str, list[Judged]] = {}
    for solver in STRENGTHS:
        began = time.perf_counter()
        judged[solver] = judge(solver, folds)
        best = judged[solver][0]
        figures[solver] = {
            "cv_f1_macro": round(best.f1_macro, 4),
            "lowest_log_loss": round(min(one.log_loss for one in judged[solver]), 4),
            "seconds": round(time.perf_counter() - began, 1),
            "test_f1_macro": round(test_f1(best.spec, folds, features), 4),
        }
    for name, solvers in (("ensemble", ("lbfgs", "gda")), ("ensemble_with_ridge", tuple(STRENGTHS))):
        found = [one for solver in solvers for one in judged[solver][:OF_EACH]]
        figures[name] = ensemble(found, folds.judged_labels)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="*", default=["demo"])
    for data in parser.parse_args().data:
        print(json.dumps(compare(data)), flush=True)


if __name__ == "__main__":
    main()
