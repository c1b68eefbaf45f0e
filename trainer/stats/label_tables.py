"""Tables of several labels per image: average precision of each with its interval, which labels are there
together, and what is missed with what.

True labels and what is said are bool [N, C], probabilities float [N, C].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trainer.stats.binary import FLAT
from trainer.stats.calibration import calibration_error, draw_weights, equal_mass_bins, reflected
from trainer.stats.intervals import Interval, ratio, wilson_of_share
from trainer.stats.multilabel import judged_labels, label_losses

DRAWS, FEWEST_DRAWS = 1000, 200
MOST_CELLS = 50_000_000  # rows × labels × draws


class MissedWith(NamedTuple):
    """Of the rows that have a label which was not said: how many, and on how many another label was …"""

    missed_c: np.ndarray  # int64 [C]
    wrong_cc: np.ndarray  # int64 [C, C], … said without being there; the missed label by row
    there_cc: np.ndarray  # int64 [C, C], … there, too


def co_occurrence(label_nc: np.ndarray) -> np.ndarray:
    """Return int64 [C, C]: on how many rows both labels are there; on the diagonal those with the label."""
    counted_nc = label_nc.astype(np.int64)
    return counted_nc.T @ counted_nc


def shares(count_cc: np.ndarray, whole_c: np.ndarray) -> np.ndarray:
    """Return counts as float64 [C, C] shares of the rows that the label by row is about; NaN of none."""
    share_cc = ratio(count_cc, whole_c[:, None]).astype(np.float64)
    return np.where(whole_c[:, None] > 0, share_cc, np.nan)


def missed_with(label_nc: np.ndarray, said_nc: np.ndarray) -> MissedWith:
    """Return what was said, and what was there, on the rows on which a label was missed."""
    missed_nc = (label_nc & ~said_nc).astype(np.int64)
    wrong_cc = missed_nc.T @ (said_nc & ~label_nc).astype(np.int64)
    there_cc = missed_nc.T @ label_nc.astype(np.int64)
    np.fill_diagonal(there_cc, 0)
    return MissedWith(missed_nc.sum(0), wrong_cc, there_cc)


def average_precisions(
    label_nc: np.ndarray, score_nc: np.ndarray, unit_n: np.ndarray, *, seed: int = 0
) -> list[Interval]:
    """Return the average precision of each label (scikit-learn's ``average_precision_score``) with its 95 %
    interval; NaN of a label that no row has, or every row.

    Intervals are percentiles over draws of units, the same draws for all labels; where no draw differs they
    are Wilson's, for as many units as have the label.

    Args:
        unit_n: int [N], see `trainer.stats.units`.
    """
    judged = np.flatnonzero(judged_labels(label_nc))
    found = [Interval(math.nan, math.nan, math.nan)] * label_nc.shape[1]
    if not len(judged):
        return found
    rows = len(label_nc)
    draws = int(np.clip(MOST_CELLS // (rows * len(judged)), FEWEST_DRAWS, DRAWS))
    parts = (np.ones((1, rows)), *draw_weights(unit_n, seed=seed, draws=draws))
    weight_nl = np.concatenate([part.T for part in parts], axis=1, dtype=np.float32)  # whole numbers, exact
    for c in judged:
        value_l = _weighted_average_precision(label_nc[:, c], score_nc[:, c], weight_nl)
        found[c] = _interval(value_l, len(np.unique(unit_n[label_nc[:, c]])))
    return found


class LabelCalibration(NamedTuple):
    """How true the probabilities of labels are, each label by itself and averaged over labels, with 95 %
    intervals over units; lower is better."""

    ece: Interval
    log_loss: Interval  # nats
    brier: Interval  # squared error, 0 to 1


def evaluate_label_calibration(
    probability_nc: np.ndarray, label_nc: np.ndarray, unit_n: np.ndarray, *, seed: int
) -> LabelCalibration:
    """Return the calibration error, log-loss and Brier score of the probabilities [N, C] of labels.

    Bins and intervals are as of `trainer.stats.calibration.evaluate_calibration`.
    """
    p_nc = probability_nc.astype(np.float64)
    bins = [equal_mass_bins(p_n) for p_n in p_nc.T]
    rows_n2 = np.stack([label_losses(p_nc, label_nc), ((p_nc - label_nc) ** 2).sum(1)], 1) / p_nc.shape[1]
    found = []
    draws = int(np.clip(MOST_CELLS // p_nc.size, FEWEST_DRAWS, DRAWS))
    for weight_ln in (np.ones((1, len(p_nc))), *draw_weights(unit_n, seed=seed, draws=draws)):
        parts = zip(label_nc.T, p_nc.T, bins, strict=True)
        ece_l = np.mean([calibration_error(*part, weight_ln) for part in parts], axis=0)
        found.append(np.column_stack([ece_l, weight_ln @ rows_n2 / weight_ln.sum(1, keepdims=True)]))
    value_3, *drawn = np.concatenate(found)
    low_3, high_3 = np.quantile(drawn, [0.025, 0.975], axis=0)
    ece, *others = (Interval(*map(float, one)) for one in zip(value_3, low_3, high_3, strict=True))
    return LabelCalibration(reflected(ece), *others)


def _weighted_average_precision(
    label_n: np.ndarray, score_n: np.ndarray, weight_nl: np.ndarray
) -> np.ndarray:
    """Return the average precision [L] under weights [N, L] of the rows; NaN where no positive row counts.

    It is the mean precision at the scores of the positive rows, all rows with a score being counted together.
    """
    order = np.argsort(-score_n, kind="stable")
    falling, positive_n, sorted_nl = score_n[order], label_n[order], weight_nl[order]
    last_p = np.searchsorted(-falling, -falling[positive_n], side="right") - 1  # of the rows of its score
    own_pl = sorted_nl[positive_n]
    hits_pl = np.cumsum(own_pl, axis=0)[np.cumsum(positive_n)[last_p] - 1]
    all_pl = np.cumsum(sorted_nl, axis=0)[last_p]
    precision_pl = np.divide(hits_pl, all_pl, out=np.zeros_like(hits_pl), where=all_pl > 0)
    total_l = own_pl.sum(0, dtype=np.float64)
    unknown_l = np.full(len(total_l), np.nan)
    return np.divide(
        (own_pl * precision_pl).sum(0, dtype=np.float64), total_l, out=unknown_l, where=total_l > 0
    )


def _interval(value_l: np.ndarray, units: int) -> Interval:
    """Return the interval of a value, which comes first, and its draws."""
    value, drawn = float(value_l[0]), value_l[1:][np.isfinite(value_l[1:])]
    low, high = map(float, np.quantile(drawn, [0.025, 0.975])) if len(drawn) else (value, value)
    return wilson_of_share(value, units) if high - low < FLAT else Interval(value, low, high)
