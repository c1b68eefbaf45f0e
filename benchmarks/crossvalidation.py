"""What cross-validation costs: ``python benchmarks/crossvalidation.py [--trials 64] [--theirs 16]``.

2,000 rows to learn from, 512 features, 20 classes; three seeds. Prints one JSON line, all of one run:

- holdout, cv: a sweep with ``--validate holdout``, and with five folds; seconds of each, their ratio, and
  those of the search alone;
- sklearn: the same protocol by Optuna's TPE and scikit-learn's ``cross_val_predict``: logistic regressions,
  discriminants, and MLPs with as many epochs, batches and seeds; of fewer trials, so seconds per trial are
  compared. Its folds run on all processors.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.tracking.schema import Summary

CLASSES, FEATURES, SEEDS, FOLDS = 20, 512, 3, 5
ROWS = {"train": 1600, "val": 400, "test": 500}


def drawn() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    means_cd = random.normal(size=(CLASSES, FEATURES)) * 0.12
    arrays = {}
    for split, rows in ROWS.items():
        label_n = np.arange(rows) % CLASSES
        arrays[f"{split}_x"] = (means_cd[label_n] + random.normal(size=(rows, FEATURES))).astype(np.float32)
        arrays[f"{split}_y"] = label_n
    return arrays


def sweep_s(data: Path, folder: Path, trials: int, validate: Any) -> tuple[float, float]:
    """Seconds of a sweep, and of its search: without the final head, the test rows, maps and the model."""
    config = SweepConfig(
        data=str(data),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        cache_dir=folder,
        trials=trials,
        seeds=SEEDS,
        validate=validate,
        study=validate,
        profile=True,
    )
    started = time.perf_counter()
    figures = run(config)
    return time.perf_counter() - started, figures[Summary.PROFILE]["search_s"]


def model(trial: optuna.Trial, seed: int) -> Any:
    kind = trial.suggest_categorical("kind", ["logistic", "discriminant", "mlp"])
    if kind == "logistic":
        strength = trial.suggest_float("C", 1e-3, 1e3, log=True)
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=400))
    if kind == "discriminant":
        shrinkage = trial.suggest_float("shrinkage", 0.01, 1.0, log=True)
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    layers = (trial.suggest_categorical("width", [64, 128, 256]),) * trial.suggest_int("depth", 1, 2)
    rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    decay = trial.suggest_float("alpha", 1e-5, 1.0, log=True)
    whole_schedule = {"max_iter": 60, "n_iter_no_change": 60}
    mlp = MLPClassifier(
        layers, learning_rate_init=rate, alpha=decay, batch_size=128, random_state=seed, **whole_schedule
    )
    return make_pipeline(StandardScaler(), mlp)


def sklearn_s(arrays: dict[str, np.ndarray], trials: int) -> float:
    x, y = (np.concatenate([arrays[f"{split}_{name}"] for split in ("train", "val")]) for name in "xy")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)

    def objective(trial: optuna.Trial) -> float:
        models = [model(trial, seed) for seed in range(SEEDS)]
        needed = models if trial.params["kind"] == "mlp" else models[:1]  # seeds change nothing in the others
        answers = [cross_val_predict(one, x, y, cv=folds, n_jobs=-1) for one in needed]
        return float(np.mean([f1_score(y, pred, average="macro") for pred in answers]))

    started = time.perf_counter()
    optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), direction="maximize").optimize(
        objective, n_trials=trials
    )
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--theirs", type=int, default=16)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes of joblib: MLPs that did not converge
    warnings.simplefilter("ignore")
    arrays = drawn()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "drawn.npz", **arrays)
        sweep_s(folder / "drawn.npz", folder, 4, "auto")  # libraries are imported, slabs measured
        ours = {name: sweep_s(folder / "drawn.npz", folder, given.trials, name) for name in ("holdout", "cv")}
    theirs_s = sklearn_s(arrays, given.theirs)
    (holdout_s, _), (cv_s, search_s) = ours["holdout"], ours["cv"]
    figures = {
        "holdout_s": round(holdout_s, 1),
        "cv_s": round(cv_s, 1),
        "cv_over_holdout": round(cv_s / holdout_s, 2),
        "cv_search_s": round(search_s, 1),
        "sklearn_s": round(theirs_s, 1),
        "sklearn_trials": given.theirs,
        "sklearn_over_cv_search_per_trial": round(theirs_s / given.theirs / (search_s / given.trials), 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
