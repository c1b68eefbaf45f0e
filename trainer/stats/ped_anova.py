"""Which hyperparameters matter: PED-ANOVA (Watanabe et al., IJCAI 2023, https://arxiv.org/abs/2304.10255).

A parameter's importance is the share of the variance of "is among the best trials" that it explains by
itself: Var m(x) / (γ (1 - γ)), where m(x) is the share of the best near a value x, and γ that among all. One
kernel smooths both counts, so m is a weighted mean of zeros and ones, and importance is between 0 and 1. Two
densities, each with a kernel of its own, know no such bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from trainer.stats.paired_bootstrap import holm

BEST = 0.1  # the share of the trials that counts as the best
FEWEST_BEST = 5  # trials among the best; fewer say nothing of where the best lie
SCOTT = 1.059 * 2 / 3  # Scott's rule, narrower: at its own width a peak inside the range is flattened
NARROWEST = 0.5 / 1.64  # of a kernel, in cells
LEVEL = 0.05  # chance that any parameter without effect is called important
BOOTSTRAP = 200
PERMUTATIONS = 5000  # resolves Holm's first level for up to 250 parameters


class TrialGrid(NamedTuple):
    """Where each of N trials lies on a parameter's grid."""

    cell_n: np.ndarray  # int [N]
    size: int  # number of cells
    ordered: bool  # neighbouring cells are similar


class Importance(NamedTuple):
    """What one parameter explains, and whether chance explains it."""

    value: float  # from 0 to 1
    low: float  # 95 % bootstrap interval over trials
    high: float
    p: float  # of the permutation test
    p_holm: float  # adjusted for all parameters
    chance: float  # to be exceeded: the value stands out exactly where it is above this
    best: int  # trials among the best


def importances(
    grids: Sequence[TrialGrid], losses: Sequence[np.ndarray], *, seed: int = 0
) -> list[Importance]:
    """Return the importance of M parameters, each over its own trials.

    Under the null hypothesis the best are any trials: the test draws as many at random. Over parameters Holm
    (1979) keeps the chance of any false alarm at `LEVEL`. The interval is a percentile bootstrap over trials
    that holds the value, moved by the bootstrap's own bias: drawing trials twice makes values look alike.

    Args:
        grids: of each parameter.
        losses: of its trials, float [N], lower is better; finite.
        seed: decides draws and permutations.
    """
    found = [
        _Parameter(grid, loss_n, np.random.default_rng(seed))
        for grid, loss_n in zip(grids, losses, strict=True)
    ]
    p_m = np.array([one.p for one in found])
    p_holm_m = holm(p_m)
    stands_out = int((p_holm_m < LEVEL).sum())
    rank_m = np.minimum(np.argsort(np.argsort(p_m, kind="stable"), kind="stable"), stands_out)
    return [
        Importance(
            one.value, *one.ends(), one.p, float(p_holm), one.chance(LEVEL / (len(found) - rank)), one.best
        )
        for one, p_holm, rank in zip(found, p_holm_m, rank_m, strict=True)
    ]


class _Parameter:
    """One parameter: its value, bootstrap and permutations."""

    def __init__(self, grid: TrialGrid, loss_n: np.ndarray, random: np.random.Generator) -> None:
        n = len(loss_n)
        drawn = np.vstack([np.arange(n), random.integers(0, n, (BOOTSTRAP, n))])  # first as they are
        among = _best(loss_n[drawn])
        every = _counts(grid.cell_n[drawn], grid.size, np.ones_like(among))
        best = _counts(grid.cell_n[drawn], grid.size, among)
        self.best = int(best[0].sum())
        kernel = smoother(grid)
        values = explained(every, best, kernel)
        self.value, self._again = float(values[0]), values[1:]
        luck = random.multivariate_hypergeometric(every[0], self.best, size=PERMUTATIONS)
        self._luck = np.sort(explained(every[:1], luck, kernel))
        as_much = len(self._luck) - np.searchsorted(self._luck, self.value - 1e-12)
        self.p = (1 + int(as_much)) / (1 + PERMUTATIONS)

    def ends(self) -> tuple[float, float]:
        """Return the ends of the interval."""
        low, high = np.quantile(self._again, [0.025, 0.975]) - (self._again.mean() - self.value)
        return float(np.clip(low, 0, self.value)), float(np.clip(high, self.value, 1))

    def chance(self, level: float) -> float:
        """Return the least value of the permutations whose p is above a level."""
        beyond = int(level * (1 + PERMUTATIONS))
        return float(self._luck[-beyond]) if beyond else 1.0


def smoother(grid: TrialGrid) -> np.ndarray:
    """Return the kernel of each cell over all cells [cells, cells]: rows sum to 1.

    Of numbers a normal distribution cut to the grid, its width by Scott's rule from the spread of all trials.
    It does not depend on which are the best: permutations have the same. Choices keep to themselves.
    """
    if not grid.ordered:
        return np.eye(grid.size)
    at, n = np.arange(grid.size), len(grid.cell_n)
    first, third = np.quantile(grid.cell_n, [0.25, 0.75])
    spread = float(np.std(grid.cell_n, ddof=1)) if n > 1 else 0.0
    narrow = (third - first) / 1.34
    width = max(SCOTT * (min(narrow, spread) if narrow > 0 else spread) * n**-0.2, NARROWEST)
    mean = at[:, None]
    mass = ndtr((at + 0.5 - mean) / width) - ndtr((at - 0.5 - mean) / width)
    return mass / mass.sum(axis=1, keepdims=True)


def explained(every: np.ndarray, best: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the share of the variance of "is among the best" that the cells explain [L], from 0 to 1.

    One trial, spread evenly over the cells and as often among the best as the others, is part of each row: it
    keeps a cell with few trials near the mean.

    Args:
        every: how many trials lie in each cell [L, cells], or [1, cells] for all rows.
        best: likewise of those among the best [L, cells].
        kernel: `smoother`.
    """
    n = every.sum(axis=1, keepdims=True)
    share = best.sum(axis=1, keepdims=True) / n
    prior = 1 / every.shape[1]
    near = every @ kernel + prior
    mean = (best @ kernel + share * prior) / near
    between = (near / (n + 1) * (mean - share) ** 2).sum(axis=1)
    within = (share * (1 - share))[:, 0]
    return np.clip(np.divide(between, within, out=np.zeros_like(between), where=within > 0), 0, 1)


def _best(loss_ln: np.ndarray) -> np.ndarray:
    """Return which trials of each row are among the best; ties at the edge are."""
    n = loss_ln.shape[1]
    most = max(int(np.ceil(BEST * n)), min(FEWEST_BEST, n))
    edge = np.partition(loss_ln, most - 1, axis=1)[:, most - 1]
    return loss_ln <= edge[:, None]


def _counts(cell_ln: np.ndarray, size: int, among: np.ndarray) -> np.ndarray:
    rows = np.arange(len(cell_ln))[:, None] * size
    return np.bincount((rows + cell_ln)[among], minlength=len(cell_ln) * size).reshape(-1, size)
