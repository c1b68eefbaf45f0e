"""A sweep against scikit-learn's tuned logistic regression: ``python benchmarks/quality.py DATA …``.

All choose on the validation rows and answer the test rows once. scikit-learn tries 13 values of C from
1e-3 to 1e3 on the features as they are; and, as a second arm, on these and on standardised ones. Prints one
JSON line; of each DATA (what ``--data`` takes; without any, the demo):

- accuracies on validation and test rows with 95 % intervals, and seconds;
- reached_s: when the sweep had its first trial with at least the validation accuracy of scikit-learn's
  13-value sweep, in seconds from the beginning of its search;
- margin: how much more of the test rows the sweep's head gets right than scikit-learn's, with a 95 %
  bootstrap interval over rows, paired.

Images are encoded, and libraries imported, before the clocks start.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
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
from trainer.tracking.schema import Artifact, Predictions, Summary, Trials

DRAWS = 10_000


def logistic_regression(features: Features, *, standardised_too: bool) -> tuple[dict[str, Any], np.ndarray]:
    """The best of 13 values of C by validation accuracy: figures, and which test rows it gets right."""
    manifest = features.manifest
    x, y = features.vectors_nd, manifest.label_n
    train, val, test = (manifest.rows(split) for split in ("train", "val", "test"))
    started = time.perf_counter()
    best_accuracy, best_model = -1.0, None
    for strength in np.logspace(-3, 3, 13):
        models = [LogisticRegression(C=strength, max_iter=1000)]
        if standardised_too:
            models.append(make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)))
        for model in models:
            accuracy = model.fit(x[train], y[train]).score(x[val], y[val])
            if accuracy > best_accuracy:
                best_accuracy, best_model = accuracy, model
    assert best_model is not None
    took = time.perf_counter() - started
    right_n = best_model.predict(x[test]) == y[test]
    figures = {
        "val_accuracy": best_accuracy,
        "test_accuracy": wilson(int(right_n.sum()), len(test)),
        "elapsed_s": round(took, 2),
    }
    return figures, right_n


def sweep(data: str, trials: int, cache: Path, *, to_reach: float) -> tuple[dict[str, Any], np.ndarray]:
    """Figures of a sweep, and which test rows its best head gets right."""
    uri = f"sqlite:///{cache}/mlflow.db"
    figures = run(SweepConfig(data=data, trials=trials, tracking_uri=uri, cache_dir=cache))
    files = RunFiles(uri, figures[Summary.RUN_ID])
    table = files.table(Artifact.TRIALS)
    reached = table[(table[Trials.STATE] == "complete") & (table[Trials.VAL_ACCURACY] >= to_reach)]
    predictions = files.table(Artifact.PREDICTIONS)
    of_best = predictions[
        (predictions[Predictions.HEAD] == "best") & (predictions[Predictions.SPLIT] == "test")
    ]
    kept = ("test_f1_macro", "test_f1_macro_ci95", "elapsed_s", "trials_per_s", "best_val_f1_macro")
    best = table[table[Trials.TRIAL] == figures[Summary.BEST_TRIAL]].iloc[0]
    right_n = (of_best[Predictions.LABEL] == of_best[Predictions.PRED]).to_numpy()
    return {
        "trials": trials,
        "val_accuracy": float(best[Trials.VAL_ACCURACY]),
        "test_accuracy": wilson(int(right_n.sum()), len(right_n)),
        "reached_s": round(float(reached[Trials.FINISHED_S].min()), 2),
        "search_s": round(float(table[Trials.FINISHED_S].max()), 2),
        "fresh_val_f1_macro": figures[Summary.FRESH_VAL_F1_MACRO],
        **{name: figures[name] for name in kept},
    }, right_n


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
        plain, plain_n = logistic_regression(features, standardised_too=False)
        both, both_n = logistic_regression(features, standardised_too=True)
        ours, ours_n = sweep(data, trials, cache, to_reach=plain["val_accuracy"])
        return {
            "scikit_learn": plain,
            "scikit_learn_standardised_too": both,
            "sweep": ours,
            "margin": margin(ours_n, plain_n),
            "margin_over_standardised_too": margin(ours_n, both_n),
        }


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("data", nargs="*", default=["demo"])
    flags.add_argument("--trials", type=int, default=256)
    args = flags.parse_args()
    print(json.dumps({data: compare(data, args.trials) for data in args.data}))


if __name__ == "__main__":
    main()
