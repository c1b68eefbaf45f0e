"""Scores of classes beside macro-F1 and accuracy, with their intervals."""

from __future__ import annotations

import numpy as np

from trainer.stats.influence import of_balanced_accuracy, of_f1_second, of_f1_weighted, of_mcc
from trainer.stats.intervals import Interval

BALANCED_ACCURACY, F1_WEIGHTED, MCC, F1_POSITIVE = "balanced_accuracy", "f1_weighted", "mcc", "f1_positive"


def further_scores(
    label_n: np.ndarray, pred_n: np.ndarray, unit_n: np.ndarray, *, classes: int
) -> dict[str, Interval]:
    """Return scores by name with their 95 % intervals over units; {} of no rows.

    The F1 of the positive class is there of two classes only. Where each row has one label, micro-averaged F1
    is the accuracy, and is left out.

    Args:
        label_n, pred_n, unit_n: int [N], see `trainer.stats.units`.
    """
    if not len(label_n):
        return {}
    measures = {BALANCED_ACCURACY: of_balanced_accuracy, F1_WEIGHTED: of_f1_weighted}
    if classes == 2:
        measures[F1_POSITIVE] = of_f1_second
    found = {name: of(label_n, pred_n, classes=classes).interval(unit_n) for name, of in measures.items()}
    correlation = of_mcc(label_n, pred_n, classes=classes).difference_interval(unit_n)
    return found | {MCC: Interval(*(min(max(end, -1.0), 1.0) for end in correlation))}
