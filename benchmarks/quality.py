"""A sweep against scikit-learn: ``python benchmarks/quality.py DATA …``.

All choose without the test rows and answer them once. Prints one JSON line; of each DATA (what ``--data``
takes; without any, the demo):

- sweep: with its defaults, which cross-validate where validation rows are few, and learn from train and val;
- sweep_train_only: chosen on the validation rows, learned from the training rows alone;
- c_sweep: scikit-learn's logistic regression, the best of 13 values of C from 1e-3 to 1e3 on the validation
  rows, with and without standardised features, learned from the training rows;
- c_sweep_refit: the same choice, learned from train and val;
- lda_refit: scikit-learn's linear discriminant, the best of 9 shrinkages on the validation rows, learned from
  train and val;
- margin: how much more of the test rows the sweep gets right than each, with a 95 % bootstrap interval over
  rows, paired.

Accuracies on test rows have 95 % intervals; seconds are of the whole procedure. Images are encoded, and
libraries imported, before the clocks start.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.data.load import load
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.features.extract import Features, extract
from trainer.features.settings import EncoderSettings
from trainer.stats.intervals import wilson
from trainer.tracking.reader import RunFiles
from trainer.tracking.schema import Artifact, Predictions, Summary

DRAWS = 10_000


class Result(NamedTuple):
    """Which test rows are answered rightly, and what it took."""

    right_n: np.ndarray
    seconds: float
    more: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        return {
            "test_accuracy": wilson(int(self.right_n.sum()), len(self.right_n)),
            "elapsed_s": round(self.seconds, 2),
            **self.more,
        }


def chosen(features: Features, models: list[Any], *, refit: bool) -> Result:
    """The model with the highest validation accuracy, learned from train, or anew from train and val."""
    manifest = features.manifest
    x, y = features.vectors_nd, manifest.label_n
    train, val, test = (manifest.rows(split) for split in ("train", "val", "test"))
    started = time.perf_counter()
    scores = [model.fit(x[train], y[train]).score(x[val], y[val]) for model in models]
    best = models[int(np.argmax(scores))]
    if refit:
        both = np.concatenate([train, val])
        best = clone(best).fit(x[both], y[both])
    seconds = time.perf_counter() - started
    return Result(best.predict(x[test]) == y[test], seconds, {"val_accuracy": max(scores)})


def regressions() -> list[Any]:
    return [
        make_pipeline(*scaling, LogisticRegression(C=strength, max_iter=1000))
        for strength in np.logspace(-3, 3, 13)
        for scaling in ([], [StandardScaler()])
    ]


def discriminants() -> list[Any]:
    shrinkages = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    return [LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage) for shrinkage in shrinkages]


def sweep(data: str, trials: int, cache: Path, **flags: Any) -> Result:
    """The final head of a sweep."""
    uri = f"sqlite:///{cache}/mlflow.db"
    figures = run(SweepConfig(data=data, trials=trials, tracking_uri=uri, cache_dir=cache, **flags))
    predictions = RunFiles(uri, figures[Summary.RUN_ID]).table(Artifact.PREDICTIONS)
    of_best = predictions[
        (predictions[Predictions.HEAD] == "best") & (predictions[Predictions.SPLIT] == "test")
    ]
    kept = (
        "validation",
        "members",
        "held_out_f1_macro",
        "test_f1_macro",
        "test_f1_macro_ci95",
        "trials_per_s",
    )
    right_n = (of_best[Predictions.LABEL] == of_best[Predictions.PRED]).to_numpy()
    return Result(right_n, figures["elapsed_s"], {name: figures[name] for name in kept})


def margin(ours_n: np.ndarray, theirs_n: np.ndarray) -> list[float]:
    """Difference of accuracies and its 95 % percentile-bootstrap interval over rows, paired."""
    gain_n = ours_n.astype(float) - theirs_n
    values, frequency = np.unique(gain_n, return_counts=True)
    counts = np.random.default_rng(0).multinomial(len(gain_n), frequency / len(gain_n), size=DRAWS)
    low, high = np.quantile(counts @ values / len(gain_n), [0.025, 0.975])
    return [float(gain_n.mean()), float(low), float(high)]


def compare(data: str, trials: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        settings = EncoderSettings(encoder=SweepConfig().encoder or "demo", cache_dir=cache)
        features = extract(load(data, seed=0), settings)
        ours = sweep(data, trials, cache)
        others = {
            "sweep_train_only": sweep(data, trials, cache, validate="holdout", refit=False),
            "c_sweep": chosen(features, regressions(), refit=False),
            "c_sweep_refit": chosen(features, regressions(), refit=True),
            "lda_refit": chosen(features, discriminants(), refit=True),
        }
        return {
            "sweep": {"trials": trials, **ours.figures()},
            **{name: one.figures() for name, one in others.items()},
            "margin": {name: margin(ours.right_n, one.right_n) for name, one in others.items()},
        }


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("data", nargs="*", default=["demo"])
    flags.add_argument("--trials", type=int, default=64)
    args = flags.parse_args()
    print(json.dumps({data: compare(data, args.trials) for data in args.data}))


if __name__ == "__main__":
    main()
