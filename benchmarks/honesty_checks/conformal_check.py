"""Prediction sets with a stated coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split

from benchmarks.honesty_checks.shares import Figures, spread
from trainer.stats.conformal import prediction_sets, set_thresholds

FOLDS = 5
PER_CLASS = 16  # labelled rows of each class in a drawn data set
MOST_CLASSES = 20


def drawn(file: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y to learn from and x, y to test on, of at most `MOST_CLASSES` random classes.

    All rows of the file are pooled and divided anew, so that both are alike.
    """
    data = np.load(file)
    x, y = (np.concatenate([data[f"{split}_{what}"] for split in ("train", "val", "test")]) for what in "xy")
    random = np.random.default_rng(seed)
    names, counts = np.unique(y, return_counts=True)
    chosen = random.permutation(names[counts >= 2 * PER_CLASS])[:MOST_CLASSES]
    rows = np.flatnonzero(np.isin(y, chosen))
    y = np.searchsorted(np.sort(chosen), y[rows])
    learn, test = train_test_split(
        np.arange(len(rows)), train_size=PER_CLASS * len(chosen), stratify=y, random_state=seed
    )
    x = x[rows].astype(np.float32)
    return x[learn], y[learn], x[test], y[test]


def conformal_coverage(file: Path, draws: int) -> Figures:
    """Coverage and size of prediction sets at 0.9, thresholds out of fold, of a logistic regression."""
    covered, sizes, classes = [], [], 0
    for seed in range(draws):
        x, y, test_x, test_y = drawn(file, seed)
        classes = int(y.max()) + 1
        held_out = np.zeros((len(y), classes))
        for train, out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
            held_out[out] = head().fit(x[train], y[train]).predict_proba(x[out])
        threshold = set_thresholds(held_out, y, np.arange(len(y)))[0.9]
        inside = prediction_sets(head().fit(x, y).predict_proba(test_x), threshold)
        covered.append(inside[np.arange(len(test_y)), test_y].mean())
        sizes.append(inside.sum(1).mean())
    return {
        "nominal": 0.9,
        **spread(covered),
        "mean_set_size": round(float(np.mean(sizes)), 3),
        "of": classes,
    }


def head() -> LogisticRegression:
    """Return a quick head."""
    return LogisticRegression(C=10.0, max_iter=200)
