"""Scores with what each row adds to them, for intervals of sums and differences of scores.

A score of N weighted rows is linearised at equal weights: the influence of a row is the derivative by its
weight. Influences of one unit (a patient's images, say) are summed, and the variance of the score is the sum
of their squares (infinitesimal jackknife: Jaeckel 1972; Efron & Tibshirani 1993, ch. 21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from trainer.stats.calibration import row_losses
from trainer.stats.intervals import (
    Z95,
    Interval,
    confusion_matrix,
    f1_macro,
    ratio,
    student_reach,
    wilson_of_share,
)
from trainer.stats.units import error_of_influences, numbered


@dataclass(frozen=True)
class Linearised:
    """A score from 0 to 1, or a sum or difference of some, and the influence of each row."""

    value: float
    influence_n: np.ndarray

    @classmethod
    def mean(cls, scores: Sequence[Linearised]) -> Linearised:
        """Return the mean of scores of the same rows."""
        influence_n = np.mean([score.influence_n for score in scores], axis=0)
        return cls(float(np.mean([score.value for score in scores])), influence_n)

    def __add__(self, other: Linearised) -> Linearised:
        return Linearised(self.value + other.value, self.influence_n + other.influence_n)

    def __sub__(self, other: Linearised) -> Linearised:
        return self + other * -1

    def __mul__(self, factor: float) -> Linearised:
        return Linearised(self.value * factor, self.influence_n * factor)

    def standard_error(self, unit_n: np.ndarray) -> float:
        """Return the standard error over units, see `trainer.stats.units`; NaN of one."""
        return error_of_influences(self.influence_n, numbered(unit_n, len(self.influence_n)))

    def interval(self, unit_n: np.ndarray) -> Interval:
        """Return the score with its 95 % interval over units.

        Wilson's interval of as many rows as a share with that standard error is of, with Student's quantile;
        of as many as there are units where all rows are right. It stays within 0 and 1, and has a width.
        """
        value = float(np.clip(self.value, 0, 1))
        error, units = self.standard_error(unit_n), len(np.unique(unit_n))
        if not (error > 0 and 0 < value < 1):
            return wilson_of_share(value, units)
        worth = value * (1 - value) / error**2 * (Z95 / float(stdtrit(units - 1, 0.975))) ** 2
        return wilson_of_share(value, min(worth, len(unit_n)))

    def difference_interval(self, unit_n: np.ndarray) -> Interval:
        """Return a difference of scores with Student's 95 % interval over units; NaN bounds of one."""
        reach = float(student_reach(self.standard_error(unit_n), len(np.unique(unit_n))))
        return Interval(self.value, self.value - reach, self.value + reach)


def of_mean(value_n: np.ndarray) -> Linearised:
    """Return the mean of a figure of each row."""
    return Linearised(float(value_n.mean()), (value_n - value_n.mean()) / len(value_n))


def of_accuracy(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the accuracy."""
    return of_mean((label_n == pred_n).astype(np.float64))


def of_f1_macro(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the macro-F1, see `trainer.stats.intervals.f1_macro`.

    With F = 2·TP / S and S = predictions + labels of a class, a row adds to F (2·hit - F·(predicted +
    labelled)) / S; the macro-F1 is the mean over the classes that occur.
    """
    confusion = confusion_matrix(label_n, pred_n, classes=classes)
    either_c = confusion.sum(0) + confusion.sum(1)
    f1_c = ratio(2 * np.diagonal(confusion), either_c)
    hit_n = label_n == pred_n
    adds_n = (2 * hit_n - f1_c[label_n]) / either_c[label_n] - f1_c[pred_n] / either_c[pred_n]
    return Linearised(float(f1_macro(confusion)), adds_n / (either_c > 0).sum())


def of_f1_weighted(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the F1 of the classes, averaged by how often each occurs among the labels, as scikit-learn's
    ``f1_score(average="weighted")``."""
    confusion = confusion_matrix(label_n, pred_n, classes=classes)
    rows_c, either_c = confusion.sum(1), confusion.sum(0) + confusion.sum(1)
    f1_c = ratio(2 * np.diagonal(confusion), either_c)
    share_c = ratio(rows_c, either_c) / len(label_n)
    value = float(f1_c @ rows_c / len(label_n))
    of_label_n = (2 * (label_n == pred_n) - f1_c[label_n]) * share_c[label_n]
    more_of_label_n = (f1_c[label_n] - value) / len(label_n)  # a row also raises the share of its label
    return Linearised(value, of_label_n - f1_c[pred_n] * share_c[pred_n] + more_of_label_n)


def of_f1_second(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the F1 of the second class, which is the positive one of two."""
    own_n, said_n = label_n == 1, pred_n == 1
    either_n = own_n.astype(np.float64) + said_n
    either = either_n.sum()
    if not either:
        return Linearised(0.0, np.zeros(len(label_n)))
    value = float(2 * (own_n & said_n).sum() / either)
    return Linearised(value, (2 * (own_n & said_n) - value * either_n) / either)


def of_mcc(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the Matthews correlation coefficient, from -1 to 1 and 0 by chance, as scikit-learn's
    ``matthews_corrcoef``; of several classes Gorodkin's (2004). 0 where all labels, or answers, are the same.

    With s rows, c of them right, t and p rows of each class by label and by answer, it is A / √(P·T):
    A = c·s - t·p, P = s² - p·p, T = s² - t·t.
    """
    confusion = confusion_matrix(label_n, pred_n, classes=classes).astype(np.float64)
    rows, right = confusion.sum(), np.trace(confusion)
    t_c, p_c = confusion.sum(1), confusion.sum(0)
    above, of_said, of_labels = right * rows - t_c @ p_c, rows**2 - p_c @ p_c, rows**2 - t_c @ t_c
    if not of_said or not of_labels:
        return Linearised(0.0, np.zeros(len(label_n)))
    value = float(above / np.sqrt(of_said * of_labels))
    adds_n = (label_n == pred_n) * rows + right - p_c[label_n] - t_c[pred_n]
    shrinks_n = (rows - p_c[pred_n]) / of_said + (rows - t_c[label_n]) / of_labels
    return Linearised(value, adds_n / np.sqrt(of_said * of_labels) - value * shrinks_n)


def of_balanced_accuracy(label_n: np.ndarray, pred_n: np.ndarray, *, classes: int) -> Linearised:
    """Return the balanced accuracy: the mean recall of the classes that occur among the labels, as
    scikit-learn's ``balanced_accuracy_score``."""
    hit_n = (label_n == pred_n).astype(np.float64)
    rows_c = np.bincount(label_n, minlength=classes)
    recall_c = ratio(np.bincount(label_n, hit_n, minlength=classes), rows_c)
    occurring = (rows_c > 0).sum()
    return Linearised(
        float(recall_c.sum() / occurring), (hit_n - recall_c[label_n]) / (rows_c[label_n] * occurring)
    )


def of_log_loss(label_n: np.ndarray, probability_nc: np.ndarray) -> Linearised:
    """Return the mean of -log p of each row's label."""
    return of_mean(row_losses(probability_nc, label_n))


def of_auroc(label_n: np.ndarray, probability_nc: np.ndarray) -> Linearised:
    """Return the area under the ROC curve: of two classes that of the second, of more the mean over classes,
    each against all others.

    As scikit-learn's ``roc_auc_score`` (``multi_class="ovr"``, ``average="macro"``), which refuses rows
    without one of the classes: here the mean is over those that have rows, NaN where all rows are of one. The
    area is the share of pairs of one row of the class and one other in which the first is ranked higher; ties
    count half. The influence of a row is that of its pairs (DeLong et al. 1988).
    """
    from scipy.stats import rankdata  # slow to import

    classes = probability_nc.shape[1]
    judged = [1] if classes == 2 else range(classes)
    areas = []
    for one in judged:
        own_n, score_n = label_n == one, probability_nc[:, one]
        own, others = int(own_n.sum()), int((~own_n).sum())
        if not own or not others:
            continue
        # of each row, the rows of the other kind that it is ranked above
        above_n = rankdata(score_n)
        above_n[own_n] -= rankdata(score_n[own_n])
        above_n[~own_n] -= rankdata(score_n[~own_n])
        right_n = np.where(own_n, above_n / others, 1 - above_n / own)  # share of its pairs
        area = float(right_n[own_n].mean())
        areas.append(Linearised(area, (right_n - area) / np.where(own_n, own, others)))
    return Linearised.mean(areas) if areas else Linearised(float("nan"), np.zeros(len(label_n)))
