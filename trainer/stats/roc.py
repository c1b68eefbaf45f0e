"""Verification metrics: ROC, EER, TAR at FAR and accuracy of pairs, with intervals over people.

A *pair* is two photos and the truth; a method gives it a score, and a threshold accepts it as the same
person. FAR is the share of different pairs that are accepted, TAR that of same pairs, FRR = 1 - TAR.

Pairs of one person are alike, so intervals resample people, not pairs (the subsets bootstrap of Bolle et al.
2004, "Error analysis of pattern recognition systems"): drawn c times, a person's same pairs count c times,
and a different pair counts the product of its two people's counts. All methods see the same draws, so
differences are paired. Intervals are BCa, with the acceleration from leaving out one person at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainer.stats.paired_bootstrap import Resampled

DRAWS = 2000
CELLS = 3_000_000  # numbers of one table held at once
FEWEST_ERRORS = 10  # false accepts that a FAR must stand for, to be spoken of
AUC, EER, ACCURACY, TAR, FAR = "auc", "eer", "accuracy", "tar", "far"


@dataclass(frozen=True)
class VerificationPairs:
    """P pairs: the truth, whom they show, and the fold that each belongs to."""

    same_p: np.ndarray  # bool [P]
    person_p2: np.ndarray  # int [P, 2]
    fold_p: np.ndarray  # int [P]


class Roc(NamedTuple):
    """The ROC curve of L weightings: one step for each distinct score, from "accept nobody" on."""

    threshold_t: np.ndarray  # [T], falling, the first infinite: accept what scores at least so much
    far_lt: np.ndarray  # [L, T]
    tar_lt: np.ndarray


def roc(score_p: np.ndarray, same_p: np.ndarray, weight_lp: np.ndarray | None = None) -> Roc:
    """Return every point of the curve; ties are one step (Fawcett 2006, "An introduction to ROC analysis").

    Args:
        score_p: [P], higher for more alike; finite.
        weight_lp: [L, P], how much a pair counts; None for one weighting in which all count once. NaN comes
            of a weighting in which no same, or no different, pair counts.
    """
    if weight_lp is None:
        weight_lp = np.ones((1, len(score_p)))
    order = np.argsort(-score_p, kind="stable")
    falling = score_p[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    rates = []
    for of_kind in (~same_p, same_p):
        counted = (weight_lp[:, order] * of_kind[order]).cumsum(1, dtype=np.float64)
        total = counted[:, -1:]
        share = np.divide(
            counted[:, ends], total, out=np.full((len(counted), len(ends)), np.nan), where=total > 0
        )
        rates.append(np.concatenate([np.where(total > 0, 0.0, np.nan), share], axis=1))
    return Roc(np.append(np.inf, falling[ends]), *rates)


def area(curve: Roc) -> np.ndarray:
    """Return the area under the curve [L], by trapezia: the share of won comparisons, ties one half."""
    width = np.diff(curve.far_lt, axis=1)
    return (width * (curve.tar_lt[:, 1:] + curve.tar_lt[:, :-1]) / 2).sum(1)


def equal_error_rate(curve: Roc) -> np.ndarray:
    """Return the equal error rate [L]: where FAR = FRR, on the straight line between two points of the
    curve."""
    gap = curve.far_lt - (1 - curve.tar_lt)  # from -1 up to 1
    after = np.argmax(gap >= 0, axis=1)[:, None]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(gap, at, 1) for at in (before, after))
    share = np.divide(-low, high - low, out=np.zeros_like(low), where=high > low)
    far_low, far_high = (np.take_along_axis(curve.far_lt, at, 1) for at in (before, after))
    return (far_low + share * (far_high - far_low))[:, 0]


def tar_at_far(curve: Roc, far: float) -> np.ndarray:
    """Return TAR [L] at the lowest threshold whose FAR is no more than ``far``; nothing is interpolated."""
    allowed = curve.far_lt <= far + 1e-12
    best = np.where(allowed, curve.tar_lt, -np.inf).max(1)
    return np.where(np.isnan(curve.far_lt[:, 0]) | np.isnan(curve.tar_lt[:, 0]), np.nan, best)


def enough_pairs_for_far(different: int, far: float) -> bool:
    """Return whether so many different pairs can estimate a TAR at this FAR: `FEWEST_ERRORS` are accepted."""
    return different * far >= FEWEST_ERRORS - 1e-9


def best_threshold(score_p: np.ndarray, same_p: np.ndarray) -> float:
    """Return the threshold with the highest mean of TAR and 1 - FAR (accuracy, where both kinds are as many).

    In the middle between the two neighbouring scores; of several equally good ones the middle one.
    """
    curve = roc(score_p, same_p)
    gain = curve.tar_lt[0] - curve.far_lt[0]
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    at = best[len(best) // 2]
    here = curve.threshold_t[at]
    if not np.isfinite(here):  # accept nobody
        return float(np.nextafter(curve.threshold_t[1], np.inf))
    return float((here + curve.threshold_t[at + 1]) / 2) if at + 1 < len(curve.threshold_t) else float(here)


class FoldedAccuracy(NamedTuple):
    """Verification by the LFW protocol (Huang et al. 2007): each fold with the threshold of all others."""

    accuracy_f: np.ndarray
    threshold_f: np.ndarray
    right_p: np.ndarray  # bool [P]

    @property
    def mean(self) -> float:
        return float(self.accuracy_f.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean over folds, as LFW reports it; NaN for one fold."""
        folds = len(self.accuracy_f)
        return float(self.accuracy_f.std(ddof=1) / math.sqrt(folds)) if folds > 1 else math.nan


def cross_validated_accuracy(score_p: np.ndarray, pairs: VerificationPairs) -> FoldedAccuracy:
    """Return the accuracy in each fold, the threshold being chosen on the others.

    Accuracy is the mean of TAR and 1 - FAR: the same as the share of right answers where a fold has as many
    same as different pairs, as the protocol wants it.
    """
    accuracy, thresholds = [], []
    right_p = np.zeros(len(score_p), dtype=bool)
    for fold in np.unique(pairs.fold_p):
        here = pairs.fold_p == fold
        threshold = best_threshold(score_p[~here], pairs.same_p[~here])
        right_p[here] = (score_p[here] >= threshold) == pairs.same_p[here]
        same = pairs.same_p[here]
        accuracy.append(np.mean([right_p[here][of].mean() for of in (same, ~same) if of.any()]))
        thresholds.append(threshold)
    return FoldedAccuracy(np.array(accuracy), np.array(thresholds), right_p)


class PersonBootstrap:
    """The same draws of people for every method.

    Args:
        pairs: with at least one same and one different pair, of at least two folds.
        seed: decides the draws.
    """

    def __init__(self, pairs: VerificationPairs, *, seed: int, draws: int = DRAWS) -> None:
        self.pairs, self.draws = pairs, draws
        known, place = np.unique(pairs.person_p2, return_inverse=True)
        self.people = len(known)
        self._place_p2 = place.reshape(pairs.person_p2.shape)
        self._seed = seed

    def measure(
        self, score_p: np.ndarray, folded: FoldedAccuracy, *, fars: Sequence[float]
    ) -> dict[str, Resampled]:
        """Return `AUC`, `EER`, `ACCURACY` and for each of ``fars`` `TAR` and that number (``tar0.01``).

        The accuracy's thresholds are those that were chosen; they are not chosen again in each draw.
        """
        found: dict[str, list[np.ndarray]] = {}
        for weight_lp in self._weights():
            for name, values in _figures(score_p, self.pairs.same_p, folded.right_p, weight_lp, fars).items():
                found.setdefault(name, []).append(values)
        measured = {}
        for name, parts in found.items():
            values = np.concatenate(parts)
            measured[name] = Resampled(values[0], values[1 : 1 + self.draws], values[1 + self.draws :])
        return measured

    def rates(self, accepted_p: np.ndarray) -> dict[str, Resampled]:
        """Return `TAR` and `FAR` of a threshold that stays fixed.

        Args:
            accepted_p: bool [P], which pairs it accepts.
        """
        parts: dict[str, list[np.ndarray]] = {TAR: [], FAR: []}
        for weight_lp in self._weights():
            for name, of_kind in ((TAR, self.pairs.same_p), (FAR, ~self.pairs.same_p)):
                parts[name].append(_share(weight_lp[:, of_kind], accepted_p[of_kind]))
        return {
            name: Resampled(values[0], values[1 : 1 + self.draws], values[1 + self.draws :])
            for name, values in ((name, np.concatenate(found)) for name, found in parts.items())
        }

    def curve_band(self, score_p: np.ndarray, far_g: np.ndarray, *, level: float = 0.95) -> np.ndarray:
        """Return the bounds [2, G] of a pointwise percentile interval of the TAR at the FARs [G]."""
        draws = []
        for number, weight_lp in enumerate(self._weights()):
            curve = roc(score_p, self.pairs.same_p, weight_lp[1:] if number == 0 else weight_lp)
            draws.append(_steps(curve, far_g))
        drawn = np.concatenate(draws)[: self.draws]
        with np.errstate(invalid="ignore"):
            return np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)

    def _weights(self) -> Iterator[np.ndarray]:
        """Return weights of pairs [l, P]: all once, then the draws, then each with one person left out."""
        random = np.random.default_rng(self._seed)
        even = np.full(self.people, 1 / self.people)
        drawn = random.multinomial(self.people, even, size=self.draws)
        step = max(2, CELLS // len(self.pairs.same_p))
        rows = 1 + self.draws + self.people
        for start in range(0, rows, step):
            yield self._of_pairs(
                np.stack([self._counts(row, drawn) for row in range(start, min(start + step, rows))])
            )

    def _counts(self, row: int, drawn: np.ndarray) -> np.ndarray:
        if 1 <= row <= self.draws:
            return drawn[row - 1]
        counts = np.ones(self.people, dtype=drawn.dtype)
        if row > self.draws:
            counts[row - 1 - self.draws] = 0
        return counts

    def _of_pairs(self, count_lq: np.ndarray) -> np.ndarray:
        one, other = (count_lq[:, place].astype(np.float32) for place in self._place_p2.T)
        return np.where(self.pairs.same_p, one, one * other)


def _steps(curve: Roc, far_g: np.ndarray) -> np.ndarray:
    """Return TAR [L, G] at the lowest threshold whose FAR is no more than each of a grid."""
    found = np.empty((len(curve.far_lt), len(far_g)))
    for line, (far_t, tar_t) in enumerate(zip(curve.far_lt, curve.tar_lt, strict=True)):
        found[line] = tar_t[np.searchsorted(far_t, far_g + 1e-12, side="right") - 1]
    return found


def _figures(
    score_p: np.ndarray,
    same_p: np.ndarray,
    right_p: np.ndarray,
    weight_lp: np.ndarray,
    fars: Sequence[float],
) -> dict[str, np.ndarray]:
    curve = roc(score_p, same_p, weight_lp)
    kinds = [_share(weight_lp[:, of_kind], right_p[of_kind]) for of_kind in (same_p, ~same_p)]
    return {
        AUC: area(curve),
        EER: equal_error_rate(curve),
        ACCURACY: (kinds[0] + kinds[1]) / 2,
        **{f"{TAR}{far:g}": tar_at_far(curve, far) for far in fars},
    }


def _share(weight_lp: np.ndarray, hit_p: np.ndarray) -> np.ndarray:
    """Return the weighted share of hits [L]; NaN where nothing counts."""
    total = weight_lp.sum(1, dtype=np.float64)
    hits = (weight_lp * hit_p).sum(1, dtype=np.float64)
    return np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0)


def p_value(difference: Resampled) -> float:
    """Return the two-sided p: twice the smaller share of draws on a side of 0 (at least 2 / (D + 1))."""
    draws = difference.draws[np.isfinite(difference.draws)]
    if not len(draws):
        return math.nan
    below, above = (1 + (draws <= 0).sum()) / (1 + len(draws)), (1 + (draws >= 0).sum()) / (1 + len(draws))
    return float(min(1.0, 2 * min(below, above)))


def grid_of_far(different: int) -> np.ndarray:
    """Return FARs at which curves are drawn: every step at the low end, where people look, fewer further
    up."""
    least = 1 / max(different, 2)
    return np.unique(np.concatenate([[0.0], np.geomspace(least, 1.0, 160), np.linspace(0.02, 1.0, 50)]))


def points(score_p: np.ndarray, same_p: np.ndarray, far_g: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return the observed curve at each FAR of a grid: ``threshold`` and ``tar``."""
    curve = roc(score_p, same_p)
    at = np.searchsorted(curve.far_lt[0], far_g + 1e-12, side="right") - 1
    return {"threshold": curve.threshold_t[at], "far": curve.far_lt[0][at], "tar": curve.tar_lt[0][at]}


# --- closed set -------------------------------------------------------------------------------


def true_class_ranks(score_nc: np.ndarray, label_n: np.ndarray) -> np.ndarray:
    """Return the rank, from 1, of each row's true class among its scores [N, C].

    Of the classes with the same score half stand before it.
    """
    own = np.take_along_axis(score_nc, label_n[:, None], 1)
    above, equal = (score_nc > own).sum(1), (score_nc == own).sum(1) - 1
    return above + 1 + -(-equal // 2)


def hit_rate_by_person(
    hit_mn: np.ndarray, person_n: np.ndarray, *, seed: int, draws: int = DRAWS
) -> list[Resampled]:
    """Return the share of hits of M methods [M, N]; people are resampled, the same for every method."""
    known, place = np.unique(person_n, return_inverse=True)
    size = np.bincount(place).astype(np.float64)
    random = np.random.default_rng(seed)
    drawn_dq = random.multinomial(len(known), np.full(len(known), 1 / len(known)), size=draws)
    found = []
    for hit_n in hit_mn:
        hits = np.bincount(place, weights=hit_n, minlength=len(known))
        left_out = (hits.sum() - hits) / np.maximum(size.sum() - size, 1)
        found.append(
            Resampled(np.asarray(hits.sum() / size.sum()), drawn_dq @ hits / (drawn_dq @ size), left_out)
        )
    return found
