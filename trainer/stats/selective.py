"""Selective classification: how often a head is right where it answers only what it is confident of."""

from __future__ import annotations

import numpy as np

from trainer.stats.calibration import DRAWS, draw_weights
from trainer.stats.intervals import Interval


def by_confidence(confidence_n: np.ndarray, right_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows with the most confident first: their indices, int64 [N], and for each the share of right
    answers among the rows with its confidence, float64 [N], so that the order of ties does not matter."""
    order_n = np.argsort(-confidence_n, kind="stable")
    _, tie_n = np.unique(confidence_n, return_inverse=True)
    share_n = np.bincount(tie_n, weights=right_n) / np.bincount(tie_n)
    return order_n, share_n[tie_n][order_n]


def accuracy_kept(confidence_n: np.ndarray, right_n: np.ndarray) -> np.ndarray:
    """Return the accuracy of the k most confident rows, k = 1 … N: float64 [N]."""
    _, share_n = by_confidence(confidence_n, right_n)
    return np.cumsum(share_n) / np.arange(1, len(share_n) + 1)


def aurc(
    confidence_n: np.ndarray, right_n: np.ndarray, unit_n: np.ndarray, *, seed: int, draws: int = DRAWS
) -> Interval:
    """Return the area under the risk-coverage curve (Geifman & El-Yaniv 2017, "Selective classification for
    deep neural networks"), with a percentile-bootstrap interval over units.

    It is the share of wrong answers among the k most confident rows, averaged over k; lower is better.
    """
    order_n, share_n = by_confidence(confidence_n, right_n)

    def areas(weight_ln: np.ndarray) -> np.ndarray:
        weight_ln = weight_ln[:, order_n]
        rows_ln = np.cumsum(weight_ln, axis=1)
        wrong_ln = np.cumsum(weight_ln * (1 - share_n), axis=1)
        return (weight_ln * wrong_ln / np.maximum(rows_ln, 1)).sum(1) / rows_ln[:, -1]

    drawn = [areas(weight_ln) for weight_ln in draw_weights(unit_n, seed=seed, draws=draws)]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return Interval(float(areas(np.ones((1, len(share_n))))[0]), float(low), float(high))
