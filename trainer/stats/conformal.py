"""Conformal prediction: sets of classes that hold the true one with a stated probability."""

from __future__ import annotations

import numpy as np

COVERAGES = tuple(round(percent / 100, 2) for percent in range(50, 100))  # for which thresholds are kept


def conformal_quantile(score_n: np.ndarray, unit_n: np.ndarray, miss: float) -> float:
    """Return the threshold that the score of a new row falls below with a probability of at most ``miss``.

    It is the floor(miss · (U + 1))-th lowest of U exchangeable scores (Vovk, Gammerman & Shafer 2005), and
    -infinity where these are too few. Rows of one unit share a weight of 1 (the pooled distributions of Dunn,
    Wasserman & Ramdas 2022, "Distribution-free prediction sets for two-layer hierarchical models"): then it
    holds approximately, for a row of a new unit. Without units it holds for any number of rows.

    Args:
        score_n: of rows that were not learned from, [N]; low is unusual.
        unit_n: int [N], the same for rows that belong together.
        miss: 0 to 1.
    """
    _, place_n, size_u = np.unique(unit_n, return_inverse=True, return_counts=True)
    order_n = np.argsort(score_n, kind="stable")
    below_n = np.cumsum(1 / size_u[place_n][order_n])
    fitting = np.flatnonzero(below_n <= miss * (len(size_u) + 1) + 1e-9)
    return float(score_n[order_n[fitting[-1]]]) if len(fitting) else -np.inf


def set_thresholds(probability_nc: np.ndarray, label_n: np.ndarray, unit_n: np.ndarray) -> dict[float, float]:
    """Return for each of `COVERAGES` the probability from which a class belongs to a prediction set; 0 where
    rows are too few, so that sets hold all classes.

    The score is the probability of the label: of all sets with a coverage these are the smallest on average
    (Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error levels").

    Args:
        probability_nc: of rows that the head did not learn from.
    """
    score_n = probability_nc[np.arange(len(label_n)), label_n].astype(np.float64)
    return {one: max(conformal_quantile(score_n, unit_n, 1 - one), 0.0) for one in COVERAGES}


def prediction_sets(probability_nc: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes belong to the set of each row, bool [N, C]: those with at least the threshold, and
    always the most probable one, so that no set is empty."""
    inside_nc = probability_nc >= threshold
    inside_nc[np.arange(len(inside_nc)), probability_nc.argmax(1)] = True
    return inside_nc
