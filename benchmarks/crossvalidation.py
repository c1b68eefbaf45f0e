"""What cross-validation costs: ``python benchmarks/crossvalidation.py [--trials 64]``.

2,000 rows to learn from, 512 features, 20 classes; three seeds. Prints one JSON line, all of one run:

- holdout, cv: a sweep with ``--validate holdout``, and with five folds; seconds of each, their ratio, and
  those of the search alone;
- sklearn: the trials of that search once more, one after the other, by Optuna and scikit-learn's
  ``cross_val_predict``: the same heads (logistic regressions, discriminants, MLPs of the same widths), folds,
  seeds, batches, learning rates and epochs: a cross-validated MLP runs its whole schedule, so that no epoch
  is chosen on the rows that judge it. What scikit-learn lacks (dropout, schedulers, cosine output, pruning at
  rungs) is left out. Its folds run on all processors;
- sklearn_early: the same, but an MLP gives a tenth of its rows away and stops after ``patience`` epochs
  without a better accuracy there: another protocol, and a cheaper one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.api import open_run
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.tracking.schema import Summary, Trials

CLASSES, FEATURES, SEEDS, FOLDS = 20, 512, 3, 5
ROWS = {"train": 1600, "val": 400, "test": 500}
LEARNED = ROWS["train"] + ROWS["val"]
PARAM = "param."


def drawn() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    means_cd = random.normal(size=(CLASSES, FEATURES)) * 0.12
    arrays = {}
    for split, rows in ROWS.items():
        label_n = np.arange(rows) % CLASSES
        arrays[f"{split}_x"] = (means_cd[label_n] + random.normal(size=(rows, FEATURES))).astype(np.float32)
        arrays[f"{split}_y"] = label_n
    return arrays


def sweep(data: Path, folder: Path, trials: int, validate: Any) -> tuple[float, float, str]:
    """Seconds of a sweep, those of its search (no final head, test rows, maps, model), and its run."""
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
    return time.perf_counter() - started, figures[Summary.PROFILE]["search_s"], figures[Summary.RUN_ID]


def searched(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """The hyperparameters of each trial of a sweep."""
    table = open_run(run_id, f"sqlite:///{folder}/mlflow.db").trials().sort_values(Trials.TRIAL)
    chosen = table[[name for name in table if name.startswith(PARAM)]]
    chosen.columns = [name.removeprefix(PARAM) for name in chosen]
    return [{k: v for k, v in row.items() if not pd.isna(v)} for row in chosen.to_dict("records")]


def model(params: dict[str, Any], seed: int, *, early: bool) -> Any:
    """The estimator of scikit-learn that is nearest to a head; ``early``: an MLP may stop early."""
    scaler = StandardScaler(with_std=params["scaling"] == "standardise")
    solver = params.get("solver", "descent")
    if solver == "lbfgs":
        rows = (
            LEARNED * (FOLDS - 1) / FOLDS
        )  # its penalty is beside the sum of the losses, ours beside the mean
        return make_pipeline(scaler, LogisticRegression(C=1 / (params["l2"] * rows), max_iter=400))
    if solver == "gda":
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=params["shrinkage"])
    mlp = MLPClassifier(
        (int(params.get("width", 0)),) * int(params["depth"]),
        solver="sgd" if params["optimizer"] == "sgd" else "adam",
        learning_rate_init=params["lr"],
        alpha=params["weight_decay"],
        batch_size=int(params["batch_size"]),
        max_iter=int(params["epochs"]),
        n_iter_no_change=int(params["patience" if early else "epochs"]),
        early_stopping=early,
        random_state=seed,
    )
    return make_pipeline(scaler, mlp)


def sklearn_s(
    arrays: dict[str, np.ndarray], heads: list[dict[str, Any]], *, early: bool
) -> tuple[float, list[str]]:
    """Seconds, and why MLPs could not be trained."""
    x, y = (np.concatenate([arrays[f"{split}_{name}"] for split in ("train", "val")]) for name in "xy")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    failed = []

    def objective(trial: optuna.Trial) -> float:
        params = heads[trial.suggest_int("head", 0, len(heads) - 1)]
        models = [model(params, seed, early=early) for seed in range(SEEDS)]
        needed = models if params.get("solver", "descent") == "descent" else models[:1]  # others have no seed
        try:
            answers = [cross_val_predict(one, x, y, cv=folds, n_jobs=-1) for one in needed]
        except ValueError as error:  # a loss that is infinite
            failed.append(str(error).splitlines()[-1])
            return 0.0
        return float(np.mean([f1_score(y, pred, average="macro") for pred in answers]))

    started = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), direction="maximize")
    for number in range(len(heads)):
        study.enqueue_trial({"head": number})
    study.optimize(objective, n_trials=len(heads))
    return time.perf_counter() - started, failed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=64)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes of joblib: MLPs that did not converge
    warnings.simplefilter("ignore")
    arrays = drawn()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.savez(folder / "drawn.npz", **arrays)
        sweep(folder / "drawn.npz", folder, 4, "auto")  # libraries are imported, slabs measured
        holdout_s, _, _ = sweep(folder / "drawn.npz", folder, given.trials, "holdout")
        cv_s, search_s, run_id = sweep(folder / "drawn.npz", folder, given.trials, "cv")
        heads = searched(folder, run_id)
    theirs_s, failed = sklearn_s(arrays, heads, early=False)
    early_s, _ = sklearn_s(arrays, heads, early=True)
    figures = {
        "holdout_s": round(holdout_s, 1),
        "cv_s": round(cv_s, 1),
        "cv_over_holdout": round(cv_s / holdout_s, 2),
        "cv_search_s": round(search_s, 1),
        "trials": len(heads),
        "kinds": Counter(str(head.get("solver", f"depth {head['depth']:.0f}")) for head in heads),
        "sklearn_s": round(theirs_s, 1),
        "sklearn_failed": failed,
        "sklearn_over_cv_search": round(theirs_s / search_s, 2),
        "sklearn_early_s": round(early_s, 1),
        "sklearn_early_over_cv_search": round(early_s / search_s, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
