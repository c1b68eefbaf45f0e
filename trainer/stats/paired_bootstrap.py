"""What a change of the training rows does to the answers on the test rows, and how sure that is.

An *arm* is one way to train, with S seeds. All arms answer the same N rows, and seed s of one arm shares its
random numbers with seed s of every other, so that arms are compared in pairs: row by row, seed by seed.

Intervals are of the bias-corrected accelerated bootstrap (BCa, Efron 1987), rows *and* seeds resampled: they
say what other test rows and other random numbers would change. That is careful: what is random in each row of
each seed counts up to three times, so that where seeds often disagree, intervals are up to √3 times too wide
(the pigeonhole bootstrap, Owen 2007).

P-values are of the swap test over rows (approximate randomisation, Noreen 1989; of F1: Yeh 2000): if two arms
were alike, then for any row it might as well have been the other arm that answered so. All seeds of a row are
swapped together.

Rows of one unit (see `trainer.stats.units`) are drawn, left out and swapped together: where rows have
groups, read "unit" for "row" above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from trainer.stats.intervals import Interval, ratio, wilson_of_share
from trainer.stats.units import Units, numbered

DRAWS = 2000
SWAPS = 10_000
CELLS = 20_000_000  # numbers of one table held at once while swapping
ROUNDING = 1e-6  # metrics are counted in float32: what differs by less is the same


@dataclass(frozen=True)
class PredictionSet:
    """What A arms, each with S seeds, say of N rows."""

    label_n: np.ndarray  # int [N]
    pred_asn: np.ndarray  # int [A, S, N]
    classes: int
    score_asn: np.ndarray | None = None  # float [A, S, N], probability of class 1 where there are two classes
    unit_n: np.ndarray | None = None  # int [N], see `trainer.stats.units`; None: every row by itself

    @property
    def units(self) -> Units:
        """What is drawn and swapped."""
        return numbered(self.unit_n, len(self.label_n))


class Counts(NamedTuple):
    """Weighted counts of one arm; L stands for draws, or for units left out, or is 1."""

    hits: np.ndarray  # [L, S, C] rows of a class that were given it
    predicted: np.ndarray  # [L, S, C]
    actual: np.ndarray  # [L, 1, C]

    def f1(self) -> np.ndarray:
        """Return F1 of each class [L, S, C]: 2·TP / (2·TP + FP + FN), 0 where the class does not occur."""
        return ratio(2 * self.hits, self.predicted + self.actual)

    def f1_macro(self) -> np.ndarray:
        """Return [L, S]: the mean over the classes that occur among labels or predictions, as
        scikit-learn's."""
        occurs = (self.predicted + self.actual) > 0
        return self.f1().sum(2) / np.maximum(occurs.sum(2), 1)

    def accuracy(self) -> np.ndarray:
        """Return [L, S]."""
        return self.hits.sum(2) / np.maximum(self.actual.sum(2), 1)

    def recall(self) -> np.ndarray:
        """Return the recall of each class [L, S, C], 0 where it has no row. Of two classes: specificity,
        sensitivity."""
        return ratio(self.hits, self.actual)


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "f1_macro": Counts.f1_macro,
    "accuracy": Counts.accuracy,
    "f1": Counts.f1,
    "recall": Counts.recall,
}
AUROC = "auroc"


class Resampled(NamedTuple):
    """A metric of one arm, means over seeds. One that is known per class has a last axis C."""

    value: np.ndarray  # []
    draws: np.ndarray  # [D], of the bootstrap
    left_out: np.ndarray  # [U], each with one unit left out (a row, where rows have no groups)

    def minus(self, other: Resampled) -> Resampled:
        """Return the paired difference: in every draw both arms have the same rows and the same seeds."""
        return Resampled(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def gain_over(self, other: Resampled) -> Resampled:
        """Return the paired difference as a share of the other's; NaN where that is 0."""
        return Resampled(
            *(
                np.divide(
                    mine - theirs, theirs, out=np.full_like(theirs, np.nan, dtype=float), where=theirs > 0
                )
                for mine, theirs in zip(map(np.asarray, self), map(np.asarray, other), strict=True)
            )
        )

    def of_class(self, index: int) -> Resampled:
        """Return the same of one class alone."""
        return Resampled(*(values[..., index] for values in self))

    def interval(self, level: float = 0.95) -> Interval:
        """Return the value and BCa interval."""
        return bca(self, level=level)


class PairedBootstrap:
    """The same draws of units and of seeds for every arm.

    Args:
        answers: of at least one row and one seed.
        seed: decides the draws.
    """

    def __init__(self, answers: PredictionSet, *, seed: int, draws: int = DRAWS) -> None:
        random = np.random.default_rng(seed)
        self._answers, self.units = answers, answers.units
        units, seeds = self.units.count, answers.pred_asn.shape[1]
        self._weight_du = random.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float32)
        self._weight_ds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
        self._actual_u1c = self.units.sums(_one_hot(answers.label_n[:, None], answers.classes))
        self._actual_d1c = self._weighted(self._actual_u1c)

    def arm(self, arm: int) -> dict[str, Resampled]:
        """Return every one of `METRICS`; for two classes with scores also `AUROC`."""
        hit_usc, predicted_usc = (self.units.sums(one) for one in _indicators(self._answers, arm))
        each = (hit_usc, predicted_usc, self._actual_u1c)
        observed = Counts(*(one.sum(0, keepdims=True) for one in each))
        exact = Counts(*(one.astype(np.float64) for one in observed))
        drawn = Counts(self._weighted(hit_usc), self._weighted(predicted_usc), self._actual_d1c)
        left_out = Counts(*(whole - one for whole, one in zip(observed, each, strict=True)))
        found = {
            name: Resampled(
                metric(exact)[0].mean(0),
                np.einsum("ds...,ds->d...", metric(drawn), self._weight_ds),
                metric(left_out).mean(1),
            )
            for name, metric in METRICS.items()
        }
        if self._answers.score_asn is not None:
            found[AUROC] = self._auroc(self._answers.score_asn[arm])
        return found

    def _weighted(self, count_usc: np.ndarray) -> np.ndarray:
        """Return counts [D, S, C] in every draw, from those of each unit."""
        units, *shape = count_usc.shape
        return (self._weight_du @ count_usc.reshape(units, -1)).reshape(-1, *shape)

    def _auroc(self, score_sn: np.ndarray) -> Resampled:
        positive_n = self._answers.label_n == 1
        per_seed = [auroc(score_n, positive_n, self._weight_du, self.units) for score_n in score_sn]
        return Resampled(
            np.mean([one.value for one in per_seed], axis=0),
            (np.stack([one.draws for one in per_seed], axis=1) * self._weight_ds).sum(1),
            np.mean([one.left_out for one in per_seed], axis=0),
        )


def _one_hot(value: np.ndarray, classes: int) -> np.ndarray:
    """Return float32 [..., C]."""
    return (value[..., None] == np.arange(classes)).astype(np.float32)


def _indicators(answers: PredictionSet, arm: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one arm float32 [N, S, C] each: the row was correctly, and was at all, predicted as the class."""
    pred_ns = answers.pred_asn[arm].T
    predicted_nsc = _one_hot(pred_ns, answers.classes)
    return predicted_nsc * (pred_ns == answers.label_n[:, None])[:, :, None], predicted_nsc


def auroc(
    score_n: np.ndarray, positive_n: np.ndarray, weight_du: np.ndarray, units: Units | None = None
) -> Resampled:
    """Return the area under the ROC curve: the share of pairs in which the positive row scores higher,
    ties one half.

    The weights [D, U] are those of bootstrap draws; of rows, without units. With one unit left out it
    follows from its rows' own shares of won pairs (the placement values of DeLong et al. 1988). NaN where a
    kind of row is missing.
    """
    units = numbered(None, len(score_n)) if units is None else units
    _, level_n = np.unique(score_n, return_inverse=True)
    order = np.argsort(level_n, kind="stable")
    starts = np.flatnonzero(np.diff(level_n[order], prepend=-1))

    def per_level(weight_ln: np.ndarray) -> np.ndarray:
        return np.add.reduceat(weight_ln[:, order], starts, axis=1)

    def area(weight_ln: np.ndarray) -> np.ndarray:
        yes_ll, no_ll = per_level(weight_ln * positive_n), per_level(weight_ln * ~positive_n)
        won_l = (yes_ll * (no_ll.cumsum(1) - no_ll / 2)).sum(1)
        pairs_l = yes_ll.sum(1) * no_ll.sum(1)
        return np.divide(won_l, pairs_l, out=np.full(len(weight_ln), np.nan), where=pairs_l > 0)

    one_1n = np.ones((1, len(score_n)))
    step = max(1, CELLS // max(len(score_n), 1))
    parts = (weight_du[start : start + step, units.of_n] for start in range(0, len(weight_du), step))
    value, draws = area(one_1n)[0], np.concatenate([area(part.astype(np.float64)) for part in parts])
    yes_l, no_l = per_level(one_1n * positive_n)[0], per_level(one_1n * ~positive_n)[0]
    below_n = (no_l.cumsum() - no_l / 2)[level_n]  # negatives that a row scores above
    above_n = (yes_l[::-1].cumsum()[::-1] - yes_l / 2)[level_n]
    yes, no = positive_n.sum(), (~positive_n).sum()
    yes_u, no_u = units.sums(positive_n.astype(np.float64)), units.sums((~positive_n).astype(np.float64))
    pairs_u = (yes - yes_u) * (no - no_u)  # that remain without the unit
    # a pair within the unit is counted with either of its rows
    lost_u = units.sums(np.where(positive_n, below_n, above_n)) - _won_within(level_n, positive_n, units)
    won_u = value * yes * no - lost_u
    left_out_u = np.divide(won_u, pairs_u, out=np.full(units.count, np.nan), where=pairs_u > 0)
    return Resampled(np.asarray(value), draws, left_out_u)


def _won_within(level_n: np.ndarray, positive_n: np.ndarray, units: Units) -> np.ndarray:
    """Return how many pairs within each unit [U] have the positive row on a higher level, ties one half."""
    if not units.grouped:
        return np.zeros(units.count)
    # units one after another, each with its levels from below: negatives before a row, less those of units
    # before its own
    place_n = units.of_n * (level_n.max() + 1) + level_n
    _, cell_n = np.unique(place_n, return_inverse=True)
    no_k = np.bincount(cell_n, ~positive_n)
    no_u = units.sums((~positive_n).astype(np.float64))
    below_n = (no_k.cumsum() - no_k / 2)[cell_n] - (no_u.cumsum() - no_u)[units.of_n]
    return units.sums(positive_n * below_n)


def bca(resampled: Resampled, *, level: float = 0.95) -> Interval:
    """Return the bias-corrected accelerated bootstrap interval (Efron 1987, with the acceleration from the
    jackknife over units: Efron & Tibshirani 1993, eq. 14.10 and 14.15). Draws and units that are no number
    are left out.

    Draws that equal the value, of which few units make many, count half below it and half above.
    """
    value = float(resampled.value)
    draws = np.sort(resampled.draws[np.isfinite(resampled.draws)].astype(np.float64))
    if not len(draws) or draws[-1] - draws[0] <= ROUNDING:
        return Interval(value, value, value)
    below, equal = np.mean(draws < value - ROUNDING), np.mean(np.abs(draws - value) <= ROUNDING)
    edge = 1 / (2 * len(draws))
    bias = ndtri(np.clip(below + equal / 2, edge, 1 - edge))
    left_out = resampled.left_out[np.isfinite(resampled.left_out)].astype(np.float64)
    pull_u = left_out.sum() / max(len(left_out), 1) - left_out
    spread = (pull_u**2).sum() ** 1.5
    acceleration = (pull_u**3).sum() / (6 * spread) if spread > 0 else 0.0
    reach = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    at = ndtr(bias + reach / (1 - acceleration * reach))
    low, high = np.quantile(draws, at)
    return Interval(value, float(low), float(high))


def unpaired(one: Resampled, other: Resampled) -> Resampled:
    """Return the difference between two arms that answered different rows, and were drawn apart."""
    return Resampled(
        one.value - other.value,
        one.draws - other.draws,
        np.concatenate([one.left_out - other.value, one.value - other.left_out]),
    )


def bootstrap_p(difference: Resampled) -> float:
    """Return a two-sided p-value: twice the share of draws on the other side of zero (Efron & Tibshirani
    1993, ch. 15.5), never below 2 / (1 + draws)."""
    draws = difference.draws[np.isfinite(difference.draws)]
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(draws))))


def share_interval(one: Resampled, rows: float | None = None) -> Interval:
    """Return the BCa interval of a share (0 to 1) of one arm. Where no draw differs, as when all answers are
    right, draws say nothing, and it is Wilson's interval.

    Args:
        rows: independent rows that the share is of; None: as many as there are units.
    """
    found = one.interval()
    if found.high - found.low > ROUNDING:
        return found
    return wilson_of_share(float(np.clip(found.value, 0, 1)), len(one.left_out) if rows is None else rows)


class SwapTest(NamedTuple):
    """Two-sided p-values of a difference between two arms."""

    p: float  # of macro-F1
    p_c: np.ndarray  # of each class's F1


def swap_test(answers: PredictionSet, one: int, other: int, *, seed: int, swaps: int = SWAPS) -> SwapTest:
    """Test the difference in macro-F1 by swapping the two arms' answers to each unit at random.

    p = (1 + how many of the random swaps differ as much) / (1 + swaps) (Phipson & Smyth 2010), so it is never
    below 1 / (1 + swaps).
    """
    differ_u = answers.units.sums((answers.pred_asn[one] != answers.pred_asn[other]).any(0).astype(int)) > 0
    if not differ_u.any():
        return SwapTest(1.0, np.ones(answers.classes))
    mine, theirs = (
        [answers.units.sums(counts) for counts in _indicators(answers, arm)] for arm in (one, other)
    )
    actual_11c = _one_hot(answers.label_n[:, None], answers.classes).sum(0, keepdims=True)
    shape = mine[0].shape[1:]
    # what each unit would carry from the one arm over to the other; then what each arm has
    units = int(differ_u.sum())
    carried = [(m - t)[differ_u].reshape(units, -1) for m, t in zip(mine, theirs, strict=True)]
    (hits, predicted), (other_hits, other_predicted) = (
        [one.sum(0, keepdims=True) for one in each] for each in (mine, theirs)
    )

    def difference(swapped_pm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved, moved_predicted = ((swapped_pm @ c).reshape(-1, *shape) for c in carried)
        a = Counts(hits - moved, predicted - moved_predicted, actual_11c)
        b = Counts(other_hits + moved, other_predicted + moved_predicted, actual_11c)
        return (a.f1_macro() - b.f1_macro()).mean(1), (a.f1() - b.f1()).mean(1)

    random = np.random.default_rng(seed)
    observed, observed_c = difference(np.zeros((1, units), dtype=np.float32))
    as_much, as_much_c = 0, np.zeros(answers.classes)
    step = max(1, CELLS // (units + 4 * int(np.prod(shape))))
    for start in range(0, swaps, step):
        swapped_pm = random.integers(0, 2, (min(step, swaps - start), units), dtype=np.uint8)
        drawn, drawn_c = difference(swapped_pm.astype(np.float32))
        as_much += int((np.abs(drawn) >= np.abs(observed) - 1e-7).sum())
        as_much_c += (np.abs(drawn_c) >= np.abs(observed_c) - 1e-7).sum(0)
    return SwapTest((1 + as_much) / (1 + swaps), (1 + as_much_c) / (1 + swaps))


def holm(p_m: np.ndarray, weight_m: np.ndarray | None = None) -> np.ndarray:
    """Return p-values adjusted for M comparisons (Holm 1979): below 0.05 they keep the chance of any false
    alarm below 5 %. NaN stays NaN and does not count.

    Args:
        weight_m: above 0, which share of the 5 % each comparison gets, whatever they sum to (Holm's section
            4). They must not depend on the rows that the p-values are of.
    """
    p_m = np.asarray(p_m, dtype=np.float64)
    weight_m = np.ones(len(p_m)) if weight_m is None else np.asarray(weight_m, dtype=np.float64)
    adjusted_m = np.full(len(p_m), np.nan)
    known = np.flatnonzero(np.isfinite(p_m))
    order = known[np.argsort(p_m[known] / weight_m[known], kind="stable")]
    left = weight_m[order][::-1].cumsum()[::-1]  # the weight of this and all that come after
    adjusted_m[order] = np.minimum(np.maximum.accumulate(p_m[order] * left / weight_m[order]), 1)
    return adjusted_m


def selection_optimism(
    scores_as: Sequence[tuple[int, np.ndarray, np.ndarray]], *, rows: int
) -> Callable[[int], float]:
    """Return how much a score differs from one random choice of training rows to the next.

    Of each filter come the rows kept, and for every seed the score of another random choice of as many [S]
    and that of the filter's own rows [S], both less the baseline's of that seed. What the first varies more
    than the second, whose rows stay the same, is luck in choosing. It is pooled over the filters, since it
    goes with 1/kept - 1/N: the finite-population correction of drawing without replacement (Cochran 1977,
    ch. 2).

    Returns:
        kept → standard deviation of the score due to the choice of rows.
    """
    size = [rows / kept - 1 for kept, _, _ in scores_as]
    more = [np.var(drawn_s, ddof=1) - np.var(own_s, ddof=1) for _, drawn_s, own_s in scores_as]
    known = [(m, s) for m, s in zip(more, size, strict=True) if s > 0 and np.isfinite(m)]
    factor = max(float(np.sum([m for m, _ in known]) / np.sum([s for _, s in known])), 0.0) if known else 0.0
    return lambda kept: float(np.sqrt(factor * (rows / kept - 1)))


def f1_macro_per_seed(answers: PredictionSet) -> np.ndarray:
    """Return the macro-F1 of every arm and seed, float64 [A, S]."""
    actual_11c = _one_hot(answers.label_n[:, None], answers.classes).sum(0, keepdims=True)
    f1_as = []
    for arm in range(len(answers.pred_asn)):
        hits, predicted = (one.sum(0, keepdims=True) for one in _indicators(answers, arm))
        f1_as.append(Counts(hits, predicted, actual_11c).f1_macro()[0])
    return np.stack(f1_as).astype(np.float64)


def interval_beyond_optimism(
    difference: Resampled, *, luck: float, level: float = 0.95
) -> tuple[Interval, float]:
    """Return a filter less random choices of as many rows: interval and two-sided p-value, both by the normal
    distribution, when the filter's own rows might be one more lucky draw.

    Args:
        luck: standard deviation of the score between random choices, see :func:`selection_optimism`.
    """
    value = float(difference.value)
    spread = float(np.sqrt(np.var(difference.draws.astype(np.float64)) + luck**2))
    reach = float(ndtri((1 + level) / 2)) * spread
    p = float(2 * ndtr(-abs(value) / spread)) if spread > 0 else float(value == 0)
    return Interval(value, value - reach, value + reach), p
