"""Prediction sets with a stated coverage, and images unlike the training images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from benchmarks.honesty_checks.shares import Figures, spread
from trainer.data.load import load
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.heads import novelty
from trainer.heads.ensemble import fit_temperature
from trainer.heads.folds import assign_folds
from trainer.stats.conformal import prediction_sets, set_thresholds
from trainer.stats.intervals import wilson

FOLDS = 5
PER_CLASS = 16  # labelled rows of each class in a drawn data set
MOST_CLASSES = 40


class Rows(NamedTuple):
    """All rows of a data set."""

    x_nd: np.ndarray
    y_n: np.ndarray
    split_n: np.ndarray


def read(data: str) -> Rows:
    """Return the rows of what ``--data`` takes, encoded by the demo encoder where they are images."""
    with tempfile.TemporaryDirectory() as cache:
        features = extract(load(data, seed=0), EncoderSettings(encoder="demo", cache_dir=Path(cache)))
    return Rows(features.vectors_nd.astype(np.float32), features.manifest.label_n, features.manifest.split_n)


def drawn(data: Rows, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y to learn from and x, y to test on, of at most `MOST_CLASSES` random classes."""
    x, y, _ = data
    random = np.random.default_rng(seed)
    names, counts = np.unique(y, return_counts=True)
    chosen = random.permutation(names[counts >= 2 * PER_CLASS])[:MOST_CLASSES]
    rows = np.flatnonzero(np.isin(y, chosen))
    y = np.searchsorted(np.sort(chosen), y[rows])
    learn, test = train_test_split(
        np.arange(len(rows)), train_size=PER_CLASS * len(chosen), stratify=y, random_state=seed
    )
    x = x[rows]
    return x[learn], y[learn], x[test], y[test]


def conformal_coverage(data: Rows, draws: int) -> Figures:
    """Coverage and size of prediction sets at 0.9, thresholds out of fold, of a calibrated head.

    Sets are never empty, so their coverage is at least the accuracy, which is beside it.
    """
    covered, right, sizes, classes = [], [], [], 0
    for seed in range(draws):
        x, y, test_x, test_y = drawn(data, seed)
        classes = int(y.max()) + 1
        held_out = np.zeros((len(y), classes))
        for train, out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
            held_out[out] = head().fit(x[train], y[train]).predict_log_proba(x[out])
        temperature = fit_temperature(torch.from_numpy(held_out), torch.from_numpy(y))
        threshold = set_thresholds(softmax(held_out / temperature, axis=1), y, np.arange(len(y)))[0.9]
        p = softmax(head().fit(x, y).predict_log_proba(test_x) / temperature, axis=1)
        inside = prediction_sets(p, threshold)
        right.append(float((p.argmax(1) == test_y).mean()))
        covered.append(inside[np.arange(len(test_y)), test_y].mean())
        sizes.append(inside.sum(1).mean())
    return {
        "nominal": 0.9,
        **spread(covered),
        "accuracy": round(float(np.mean(right)), 4),
        "mean_set_size": round(float(np.mean(sizes)), 3),
        "classes": classes,
    }


def false_alarms(data: Rows, draws: int) -> Figures:
    """Share of rows alike that are called unlike the training images, at a promise of 5 %; and how well the
    score tells rows of classes that were left out (AUROC, share found)."""
    alarms, areas, found = [], [], []
    for seed in range(draws):
        x, y, test_x, test_y = drawn(data, seed)
        known = int(y.max() + 1) // 2
        inside, new = test_x[test_y < known], test_x[test_y >= known]
        x, y = x[y < known], y[y < known]
        rows = np.arange(len(y))
        fold_n = assign_folds(y, np.arange(len(y)), folds=novelty.FOLDS, repeats=1, seed=seed)[0]
        detector = novelty.NoveltyDetector.fit(x, y, rows, fold_n)
        inside_n, new_n = detector.scores(inside), detector.scores(new)
        alarms.append(float(detector.is_novel(inside_n).mean()))
        found.append(float(detector.is_novel(new_n).mean()))
        truth_n = np.repeat([0, 1], [len(inside_n), len(new_n)])
        areas.append(roc_auc_score(truth_n, np.concatenate([inside_n, new_n])))
    return {
        "nominal": 0.05,
        **spread(alarms),
        "new_classes_auroc": round(float(np.mean(areas)), 3),
        "new_classes_found": round(float(np.mean(found)), 3),
    }


def unlike(data: Rows, other: Rows) -> Figures:
    """How well test rows of other data are told from those of this, learned from train and val."""
    learn_n = data.split_n != "test"
    x, y = data.x_nd[learn_n], data.y_n[learn_n]
    fold_n = assign_folds(y, np.arange(len(y)), folds=novelty.FOLDS, repeats=1, seed=0)[0]
    detector = novelty.NoveltyDetector.fit(x, y, np.arange(len(y)), fold_n)
    own_n, other_n = (detector.scores(of.x_nd[of.split_n == "test"]) for of in (data, other))
    truth_n = np.repeat([0, 1], [len(own_n), len(other_n)])
    return {
        "auroc": round(float(roc_auc_score(truth_n, np.concatenate([own_n, other_n]))), 4),
        "false_alarms": wilson(int(detector.is_novel(own_n).sum()), len(own_n)),
        "found": wilson(int(detector.is_novel(other_n).sum()), len(other_n)),
    }


def head() -> LogisticRegression:
    """Return a quick head."""
    return LogisticRegression(C=10.0, max_iter=200)
