"""Whether class probabilities are true: calibration error, log-loss and Brier score, with intervals.

Rows of one unit (a patient, copies of an image) are alike, so intervals draw units, not rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from trainer.stats.intervals import Z95, Interval

BINS = 10
DRAWS = 1000
CELLS = 3_000_000  # numbers of one table held at once


class Calibration(NamedTuple):
    """How true the probabilities of N rows are, with 95 % intervals over units; lower is better."""

    ece: Interval  # of the most probable class
    log_loss: Interval  # nats
    brier: Interval  # squared error summed over classes: 0 to 2 (Brier 1950)


def evaluate_calibration(
    probability_nc: np.ndarray, label_n: np.ndarray, unit_n: np.ndarray, *, seed: int, draws: int = DRAWS
) -> Calibration:
    """Return the top-label calibration error, log-loss and Brier score of class probabilities [N, C].

    Intervals are bootstrapped over units: percentiles of log-loss and Brier score; that of the calibration
    error is reflected at its value (basic bootstrap), because drawing rows adds to an error that is never
    negative.

    Args:
        label_n: int64 [N].
        unit_n: int [N], the same for rows that belong together.
    """
    confidence_n, right_n = top_label(probability_nc, label_n)
    bin_n = equal_mass_bins(confidence_n)
    means_n2 = np.stack([row_losses(probability_nc, label_n), brier_rows(probability_nc, label_n)], 1)
    found = []
    for weight_ln in (np.ones((1, len(label_n))), *draw_weights(unit_n, seed=seed, draws=draws)):
        ece_l = calibration_error(right_n, confidence_n, bin_n, weight_ln)
        found.append(np.column_stack([ece_l, weight_ln @ means_n2 / weight_ln.sum(1, keepdims=True)]))
    value_3, *drawn = np.concatenate(found)
    low_3, high_3 = np.quantile(drawn, [0.025, 0.975], axis=0)
    intervals = [Interval(*map(float, one)) for one in zip(value_3, low_3, high_3, strict=True)]
    return Calibration(reflected(intervals[0]), *intervals[1:])


def mean_over_units(value_n: np.ndarray, unit_n: np.ndarray, *, seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean of N values with its 95 % percentile-bootstrap interval over units."""
    drawn = [w_ln @ value_n / w_ln.sum(1) for w_ln in draw_weights(unit_n, seed=seed, draws=draws)]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return Interval(float(value_n.mean()), float(low), float(high))


def top_label(probability_nc: np.ndarray, label_n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each row's most probable class, float64 [N], and whether that is its label,
    bool [N]."""
    best_n = probability_nc.argmax(1)
    return probability_nc[np.arange(len(best_n)), best_n].astype(np.float64), best_n == label_n


def row_losses(probability_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
    """Return -log p of each row's label: float64 [N]."""
    given_n = probability_nc[np.arange(len(label_n)), label_n].astype(np.float64)
    return -np.log(np.maximum(given_n, np.finfo(np.float64).tiny))


def brier_rows(probability_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
    """Return the squared distance of each row's probabilities from its label's: float64 [N], 0 to 2."""
    given_n = probability_nc[np.arange(len(label_n)), label_n].astype(np.float64)
    return np.square(probability_nc, dtype=np.float64).sum(1) + 1 - 2 * given_n


def equal_mass_bins(score_n: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return which of at most ``bins`` bins each row falls into, int [N]: cut at quantiles, so that each
    has as many rows as the others; equal scores share a bin."""
    cuts = np.unique(np.quantile(score_n, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.unique(np.searchsorted(cuts, score_n, side="right"), return_inverse=True)[1]


def calibration_error(
    hit_n: np.ndarray, probability_n: np.ndarray, bin_n: np.ndarray, weight_ln: np.ndarray
) -> np.ndarray:
    """Return the expected calibration error [L] (Naeini et al. 2015) under weights [L, N] of the rows.

    In each bin it is how far the mean probability is from the frequency of hits; bins count by their weight.
    """
    gap_n = hit_n - probability_n
    gap_nb = np.zeros((len(gap_n), int(bin_n.max()) + 1))
    gap_nb[np.arange(len(gap_n)), bin_n] = gap_n
    return np.abs(weight_ln @ gap_nb).sum(1) / weight_ln.sum(1)


def reflected(ece: Interval) -> Interval:
    """Return the basic bootstrap interval of a calibration error from its percentile interval.

    Where the value itself is mostly chance it ends at the value.
    """
    value, low, high = ece
    low, high = min(2 * value - high, value), max(2 * value - low, value)
    return Interval(value, max(low, 0.0), min(high, 1.0))


def temperature_interval(
    log_probability_nc: np.ndarray, label_n: np.ndarray, unit_n: np.ndarray, *, temperature: float
) -> Interval:
    """Return a fitted temperature with its 95 % interval over units.

    1 / T solves a mean estimating equation, E_p[z] - z_y = 0; its variance is the sandwich of the equation's
    slope and of its sums by unit (Liang & Zeger 1986). The interval is symmetric in log T.

    Args:
        log_probability_nc: z, [N, C], of the rows that it was fitted on.
    """
    z_nc = log_probability_nc.astype(np.float64)
    p_nc = softmax(z_nc / temperature, axis=1)
    mean_n = (p_nc * z_nc).sum(1)
    slope = float((p_nc * (z_nc - mean_n[:, None]) ** 2).sum())
    _, place_n = np.unique(unit_n, return_inverse=True)
    sum_u = np.bincount(place_n, weights=mean_n - z_nc[np.arange(len(label_n)), label_n])
    correction = len(sum_u) / max(len(sum_u) - 1, 1)
    error = temperature * float(np.sqrt(correction * (sum_u**2).sum())) / max(slope, 1e-300)
    reach = float(np.exp(min(Z95 * error, 50.0)))
    return Interval(temperature, temperature / reach, temperature * reach)


def draw_weights(
    unit_n: np.ndarray, *, seed: int, draws: int, strata: Sequence[np.ndarray] | None = None
) -> Iterator[np.ndarray]:
    """Return how often each row was drawn, [l, N] a part at a time, ``draws`` in all: units are drawn with
    replacement.

    Args:
        strata: indices of the sorted distinct units; as many are drawn of each part as it has.
    """
    known, place_n = np.unique(unit_n, return_inverse=True)
    strata = [np.arange(len(known))] if strata is None else strata
    random = np.random.default_rng(seed)
    step = max(1, CELLS // len(unit_n))
    for start in range(0, draws, step):
        count_lq = np.zeros((min(step, draws - start), len(known)))
        for count_q in count_lq:
            for members in strata:
                drawn = random.integers(len(members), size=len(members))
                count_q[members] = np.bincount(drawn, minlength=len(members))
        yield count_lq[:, place_n]
