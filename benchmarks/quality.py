"""A sweep against scikit-learn's tuned logistic regression: ``python benchmarks/quality.py DATA …``.

Both choose on the validation rows and answer the test rows once. scikit-learn tries 13 values of C from
1e-3 to 1e3. Prints one JSON line with accuracies, 95 % intervals and seconds of each DATA, which is
what ``--data`` takes; without any, the demo. Pictures are encoded before the clocks start.
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

from trainer.analysis.statistics import bootstrap_f1_macro, confusion_matrix, wilson
from trainer.data.source import load
from trainer.features.extract import Features, extract
from trainer.sweep import SweepConfig, run


def logistic_regression(features: Features) -> dict[str, Any]:
    """The best of 13 values of C, on raw and on standardised features, by validation accuracy."""
    manifest = features.manifest
    x, y = features.vectors_nd, manifest.label_n
    train, val, test = (manifest.rows(split) for split in ("train", "val", "test"))
    started = time.perf_counter()
    best_accuracy, best_model = -1.0, None
    for strength in np.logspace(-3, 3, 13):
        plain = LogisticRegression(C=strength, max_iter=1000)
        for model in (plain, make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))):
            accuracy = model.fit(x[train], y[train]).score(x[val], y[val])
            if accuracy > best_accuracy:
                best_accuracy, best_model = accuracy, model
    assert best_model is not None
    took = time.perf_counter() - started
    pred = best_model.predict(x[test])
    accuracy = wilson(int((pred == y[test]).sum()), len(test))
    confusion = confusion_matrix(y[test], pred, classes=len(manifest.classes))
    f1 = bootstrap_f1_macro(confusion, seed=0)
    return {"test_accuracy": accuracy, "test_f1_macro": f1, "elapsed_s": round(took, 1)}


def sweep(data: str, trials: int, cache: Path) -> dict[str, Any]:
    uri = f"sqlite:///{cache}/mlflow.db"
    figures = run(SweepConfig(data=data, trials=trials, tracking_uri=uri, cache_dir=cache))
    kept = ("test_accuracy", "test_accuracy_ci95", "test_f1_macro", "test_f1_macro_ci95", "elapsed_s")
    return {name: figures[name] for name in kept}


def compare(data: str, trials: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        features = extract(load(data, seed=0), encoder=SweepConfig().encoder, cache_dir=cache)
        return {"scikit_learn": logistic_regression(features), "sweep": sweep(data, trials, cache)}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("data", nargs="*", default=["demo"])
    flags.add_argument("--trials", type=int, default=64)
    args = flags.parse_args()
    print(json.dumps({data: compare(data, args.trials) for data in args.data}))


if __name__ == "__main__":
    main()
