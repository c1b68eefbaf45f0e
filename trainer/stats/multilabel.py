"""Scores of several labels per row, with what each row adds to them; thresholds and strata of labels.

Labels are bool [N, C], one column per label; scores are probabilities or anything else that ranks rows alike,
float [N, C]. Labels without positive or without negative rows have no average precision (NaN) and are left
out of means.
"""

from __future__ import annotations

import numpy as np

from trainer.stats.influence import Linearised
from trainer.stats.intervals import ratio

HALF = 0.5  # probability from which a label is said where no threshold was chosen
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)  # of a label in a log-loss


def average_precision(label_nc: np.ndarray, score_nc: np.ndarray) -> np.ndarray:
    """Return the average precision of each label, float64 [C], as scikit-learn's ``average_precision_score``.

    The mean precision among the rows that score at least as high as a positive row, over positive rows; NaN
    for a label without positive or without negative rows.
    """
    pairs = zip(np.asarray(label_nc, dtype=bool).T, np.asarray(score_nc).T, strict=True)
    return np.array([_average_precision(label_n, score_n)[0] for label_n, score_n in pairs])


def thresholds(label_nc: np.ndarray, score_nc: np.ndarray) -> np.ndarray:
    """Return the threshold of each label with the highest F1 on these rows: float64 [C].

    A label is said where its score is at least its threshold, which lies half-way between two scores (or
    between the lowest one and 0). Among thresholds of the same F1 it is the highest; `HALF` for a label
    without positive rows.
    """
    pairs = zip(np.asarray(label_nc, dtype=bool).T, np.asarray(score_nc).T, strict=True)
    return np.array([_threshold(label_n, score_n) for label_n, score_n in pairs])


def f1_of_labels(label_nc: np.ndarray, said_nc: np.ndarray) -> np.ndarray:
    """Return the F1 of each label, float64 [C]; NaN for one that no row has and that is never said.

    Args:
        said_nc: bool [N, C], the labels that are said.
    """
    hits_c, either_c = _counts(label_nc, said_nc)
    return np.where(either_c > 0, ratio(2 * hits_c, either_c), np.nan)


def judged_labels(label_nc: np.ndarray) -> np.ndarray:
    """Return which labels have positive and negative rows, so that they have an average precision: bool
    [C]."""
    return np.any(label_nc, axis=0) & ~np.all(label_nc, axis=0)


def of_map(label_nc: np.ndarray, score_nc: np.ndarray) -> Linearised:
    """Return the mean average precision over `judged_labels`; NaN without any.

    With N(s) the rows that score at least s, and P(s) the positive ones among them, the average precision is
    the mean of P / N at the scores of the positive rows. A row adds to it by its own term, and by its places
    in the P and N of the positive rows at or below it.
    """
    pairs = zip(np.asarray(label_nc, dtype=bool).T, np.asarray(score_nc).T, strict=True)
    found = [_average_precision(label_n, score_n) for label_n, score_n in pairs]
    judged = [Linearised(value, influence_n) for value, influence_n in found if not np.isnan(value)]
    return Linearised.mean(judged) if judged else Linearised(float("nan"), np.zeros(len(label_nc)))


def of_f1_macro_at(label_nc: np.ndarray, said_nc: np.ndarray) -> Linearised:
    """Return the mean F1 of the labels that some row has or that are said for one; NaN without any.

    With F = 2·TP / S and S = rows that have the label + rows that it is said for, a row adds to F
    (2·hit - F·(said + has)) / S.
    """
    hits_c, either_c = _counts(label_nc, said_nc)
    occurs_c = either_c > 0
    if not occurs_c.any():
        return Linearised(float("nan"), np.zeros(len(label_nc)))
    f1_c = ratio(2 * hits_c, either_c)
    adds_nc = (2.0 * (label_nc & said_nc) - f1_c * (1.0 * label_nc + said_nc)) / np.maximum(either_c, 1)
    return Linearised(float(f1_c[occurs_c].mean()), adds_nc[:, occurs_c].mean(1))


def of_f1_micro_at(label_nc: np.ndarray, said_nc: np.ndarray) -> Linearised:
    """Return the F1 of all labels of all rows counted together; NaN where none occurs and none is said."""
    hits_c, either_c = _counts(label_nc, said_nc)
    hits, either = int(hits_c.sum()), int(either_c.sum())
    if not either:
        return Linearised(float("nan"), np.zeros(len(label_nc)))
    f1 = 2 * hits / either
    adds_n = (2.0 * (label_nc & said_nc) - f1 * (1.0 * label_nc + said_nc)).sum(1) / either
    return Linearised(f1, adds_n)


def of_f1_macro_labels(label_nc: np.ndarray, probability_nc: np.ndarray) -> Linearised:
    """Return `of_f1_macro_at` for the labels with a probability of at least `HALF`."""
    return of_f1_macro_at(label_nc, probability_nc >= HALF)


def of_f1_micro_labels(label_nc: np.ndarray, probability_nc: np.ndarray) -> Linearised:
    """Return `of_f1_micro_at` for the labels with a probability of at least `HALF`."""
    return of_f1_micro_at(label_nc, probability_nc >= HALF)


def label_losses(probability_nc: np.ndarray, label_nc: np.ndarray) -> np.ndarray:
    """Return the log-loss of each row, float64 [N]: the binary cross-entropy summed over its labels."""
    own_nc = np.where(label_nc, probability_nc, 1 - probability_nc.astype(np.float64))
    return -np.log(np.maximum(own_nc, LEAST_PROBABILITY)).sum(1)


def strata_of_labels(label_nc: np.ndarray) -> np.ndarray:
    """Return the rarest label of each row, int64 [N]; C for a row without any.

    Splits and folds that divide these evenly have their share of every label, rare ones first: a simple form
    of iterative stratification (Sechidis et al. 2011, "On the stratification of multi-label data").
    """
    rows_c = label_nc.sum(0)
    rank_c = np.empty(len(rows_c), dtype=np.int64)
    rank_c[np.argsort(rows_c, kind="stable")] = np.arange(len(rows_c))
    rank_nc = np.where(label_nc, rank_c, len(rows_c))
    of_rank = np.append(np.argsort(rows_c, kind="stable"), len(rows_c))
    return of_rank[rank_nc.min(1, initial=len(rows_c))].astype(np.int64)


def _average_precision(label_n: np.ndarray, score_n: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the average precision of one label and the influence of each row [N]."""
    positives = int(label_n.sum())
    if positives in (0, len(label_n)):
        return float("nan"), np.zeros(len(label_n))
    # places from the highest score down; equal scores share one
    _, place_n = np.unique(-np.asarray(score_n, dtype=np.float64), return_inverse=True)
    own_k = np.bincount(place_n, label_n.astype(np.float64))
    rows_k = np.cumsum(np.bincount(place_n)).astype(np.float64)
    hits_k = np.cumsum(own_k)
    precision_k = hits_k / rows_k
    value = float((own_k * precision_k).sum() / positives)
    below_k = np.cumsum((own_k / rows_k)[::-1])[::-1]  # over the positive rows at this place and below
    shared_k = np.cumsum((own_k * precision_k / rows_k)[::-1])[::-1]
    adds_n = label_n * (precision_k[place_n] - value + below_k[place_n]) - shared_k[place_n]
    return value, adds_n / positives


def _threshold(label_n: np.ndarray, score_n: np.ndarray) -> float:
    positives = int(label_n.sum())
    if not positives:
        return HALF
    negated_k, place_n = np.unique(-np.asarray(score_n, dtype=np.float64), return_inverse=True)
    hits_k = np.cumsum(np.bincount(place_n, label_n.astype(np.float64)))
    said_k = np.cumsum(np.bincount(place_n))
    best = int((2 * hits_k / (said_k + positives)).argmax())
    score_k = np.append(-negated_k, 0.0)
    return float((score_k[best] + score_k[best + 1]) / 2)


def _counts(label_nc: np.ndarray, said_nc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each label the hits, and the rows that have it plus those that it is said for: [C] each."""
    return (label_nc & said_nc).sum(0), label_nc.sum(0) + said_nc.sum(0)
