"""How many labelled images it takes to do better than the names of the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LOGIT_SCALES = (0.01, 1000.0)  # CLIP's own, after training, is 100


class Crossing(NamedTuple):
    """From how many images per class on a head is at least as good; infinite: not with the most tried."""

    shots: float  # of the curve itself; at most the fewest tried where it is ahead from the first on
    low: float  # 95 % of the bootstrap's curves
    high: float
    within: float  # share of the bootstrap's curves that cross at all
    as_good_from: float  # from here on every measured number of shots is shown not to be worse by the margin


def fitted_scale(cosine_nc: np.ndarray, label_n: np.ndarray) -> float:
    """Return the factor that makes cosines [N, C] the logits under which the labels are likeliest:
    temperature scaling (Guo et al. 2017). It changes no answer, only how sure it is."""
    rows = np.arange(len(label_n))

    def loss(log_scale: float) -> float:
        return -float(log_softmax(math.exp(log_scale) * cosine_nc, axis=1)[rows, label_n].mean())

    low, high = map(math.log, LOGIT_SCALES)
    return math.exp(float(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def nested_choice(
    label_n: np.ndarray, *, classes: int, shots: Sequence[int], seed: int, draw: int
) -> np.ndarray:
    """Return bool [L, N]: for each number of shots that many random rows of every class, all of a class
    with fewer.

    Fewer shots are part of more, so that a draw's curve is one person's who labels on and on.
    """
    random = np.random.default_rng((seed, draw))
    kept_ln = np.zeros((len(shots), len(label_n)), dtype=bool)
    for index in range(classes):
        order = random.permutation(np.flatnonzero(label_n == index))
        for level, count in enumerate(shots):
            kept_ln[level, order[:count]] = True
    return kept_ln


def first_lasting(difference_dl: np.ndarray, shots: Sequence[float]) -> np.ndarray:
    """Return the number of shots from which each of D curves [D, L] stays at or above zero: float [D].

    Between two measured numbers it is interpolated on a scale of doublings. The fewest shots where a curve is
    never below; infinite where it ends below.
    """
    log_l = np.log2(np.asarray(shots, dtype=np.float64))
    below_dl = difference_dl < 0
    found_d = np.full(len(difference_dl), float(shots[0]))
    for curve, below_l in enumerate(below_dl):
        if not below_l.any():
            continue
        last = int(np.flatnonzero(below_l)[-1])
        if last == len(shots) - 1:
            found_d[curve] = math.inf
            continue
        before, after = difference_dl[curve, last : last + 2]
        share = before / (before - after)
        found_d[curve] = 2 ** (log_l[last] + share * (log_l[last + 1] - log_l[last]))
    return found_d


def crossing(
    value_l: np.ndarray, draws_dl: np.ndarray, shots: Sequence[float], *, low_l: np.ndarray, margin: float
) -> Crossing:
    """Return where a curve of differences overtakes, its percentile-bootstrap interval, and from where it is
    shown not to be worse.

    Args:
        value_l: the curve.
        draws_dl: the same in D bootstrap draws.
        low_l: lower ends of intervals that hold for all numbers of shots together.
        margin: how much worse is not worse (non-inferiority).
    """
    short = np.flatnonzero(low_l <= -margin)
    first = int(short[-1]) + 1 if len(short) else 0
    found_d = np.sort(first_lasting(draws_dl, shots))
    # order statistics, not interpolated: some may be infinite
    low, high = (found_d[round(q * (len(found_d) - 1))] for q in (0.025, 0.975))
    return Crossing(
        float(first_lasting(value_l[None], shots)[0]),
        float(low),
        float(high),
        float(np.isfinite(found_d).mean()),
        float(shots[first]) if first < len(shots) else math.inf,
    )
