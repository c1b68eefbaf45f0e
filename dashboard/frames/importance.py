"""Which hyperparameters matter: PED-ANOVA (Watanabe et al., IJCAI 2023, https://arxiv.org/abs/2304.10255).

The best tenth of the trials is held against all of them, one parameter at a time: where the two lie alike,
the parameter had no part in being good. Densities are Optuna's (a Parzen estimator on a grid, Scott's rule),
so that the shares are those of its `PedAnovaImportanceEvaluator`. What is reported, besides, is the part of
the variance of "is among the best" that the parameter explains by itself: between 0 and 1, and comparable
between parameters that different numbers of trials have. No files, no Streamlit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from dashboard.frames.hyperparameters import SCORE, Parameter

BEST = 0.1  # the share of the trials that counts as the best
FEWEST_BEST = 5  # trials among the best; a density of fewer is no density
FEWEST = 20  # trials that have a parameter; of fewer, `FEWEST_BEST` would be no best ones
STEPS = 50  # cells of a grid
NARROWEST = 0.5 / 1.64  # of a kernel, in cells
REPEATS = 200


class Grid(NamedTuple):
    """Where each trial's value lies on a parameter's grid."""

    cells: np.ndarray  # of each trial
    size: int
    ordered: bool  # neighbouring cells are alike


def grid(values: pd.Series, parameter: Parameter) -> Grid:
    """The cells of a parameter's values, none of them null."""
    if not parameter.numeric:
        codes = pd.Categorical(parameter.words(values), categories=parameter.choices).codes
        return Grid(np.asarray(codes, dtype=int), len(parameter.choices), ordered=False)
    numbers = values.to_numpy(float)
    low, high = numbers.min(), numbers.max()
    steps = STEPS
    if (numbers % 1 == 0).all():
        whole = high - low + 1
        steps = min(STEPS, int(np.ceil(np.log2(whole))) + 1 if parameter.log else round(whole))
    if parameter.log:
        numbers, low, high = np.log(numbers), np.log(low), np.log(high)
    step = (high - low) / max(steps - 1, 1) or 1.0
    cells = np.ceil((numbers - low) / step - 0.5).astype(int)
    return Grid(np.clip(cells, 0, steps - 1), steps, ordered=True)


def density(counts: np.ndarray, *, ordered: bool, like_the_first: bool = False) -> np.ndarray:
    """Parzen estimates of rows of counts: one density over the cells per row.

    A prior of the weight of one trial, wide over all cells, is part of each.

    Args:
        like_the_first: the kernels of the first row's width serve all.
    """
    n = counts.sum(axis=1, keepdims=True)
    size = counts.shape[1]
    if not ordered:
        seen = (counts > 0).sum(axis=1, keepdims=True) + 1
        kernels = (counts + n / seen) / (1 + size / seen)
        return (kernels + 1 / size) / (n + 1)
    at = np.arange(size)
    prior = _normal(at, np.array([[(size - 1) / 2]]), np.array([[float(size)]]), size)[0]
    widths = _bandwidth(counts[:1] if like_the_first else counts)
    kernels = np.broadcast_to(
        _normal(at, at[:, None], widths[:, None, None], size), (len(counts), size, size)
    )
    return (np.einsum("rk,rkc->rc", counts, kernels) + prior) / (n + 1)


def _bandwidth(counts: np.ndarray) -> np.ndarray:
    """Scott's rule by the smaller of standard deviation and interquartile range, in cells."""
    at = np.arange(counts.shape[1])
    n = counts.sum(axis=1)
    mean = counts @ at / n
    spread = np.sqrt((counts * (at - mean[:, None]) ** 2).sum(axis=1) / np.maximum(1, n - 1))
    reached = counts.cumsum(axis=1)
    first = (reached >= np.maximum(n // 4, 1)[:, None]).argmax(axis=1)
    third = (reached > (n * 3 // 4)[:, None]).argmax(axis=1)
    return np.maximum(1.059 * np.minimum((third - first) / 1.34, spread) * n**-0.2, NARROWEST)


def _normal(at: np.ndarray, mean: np.ndarray, width: np.ndarray, size: int) -> np.ndarray:
    """Normal distributions cut to the grid, their mass in each cell."""
    mass = ndtr((at + 0.5 - mean) / width) - ndtr((at - 0.5 - mean) / width)
    return mass / (ndtr((size - 0.5 - mean) / width) - ndtr((-0.5 - mean) / width))


def explained(
    every: np.ndarray, best: np.ndarray, *, ordered: bool, like_the_first: bool = False
) -> np.ndarray:
    """The part of the variance of "is among the best" that a parameter explains, row by row.

    Args:
        every: rows of counts: how many trials lie in each cell.
        best: likewise of those among the best.
        like_the_first: see `density`.
    """
    p_every = density(every, ordered=ordered, like_the_first=like_the_first) + 1e-12
    p_best = density(best, ordered=ordered, like_the_first=like_the_first) + 1e-12
    divergence = (p_every * (p_best / p_every - 1) ** 2).sum(axis=1)
    share = best.sum(axis=1) / every.sum(axis=1)
    return np.divide(share * divergence, 1 - share, out=np.zeros_like(divergence), where=share < 1)


def of(cells: Grid, losses: np.ndarray, *, repeats: int, random: np.random.Generator) -> dict[str, float]:
    """``explained, low, high, chance, best`` of one parameter.

    ``low`` and ``high``: 95 % bootstrap interval over trials, with the kernels of the trials as they are (a
    trial drawn twice would make them spikes) and moved by the bootstrap's own bias. ``chance``: what 95 of
    100 parameters without any effect stay below, as many trials being called the best at random.
    """
    n = len(losses)
    drawn = np.vstack([np.arange(n), random.integers(0, n, (repeats, n))])  # first the trials as they are
    among = _best(losses[drawn])
    every = _counts(cells.cells[drawn], cells.size, np.ones_like(among))
    best = _counts(cells.cells[drawn], cells.size, among)
    parts = explained(every, best, ordered=cells.ordered, like_the_first=True)
    value, again = float(parts[0]), parts[1:]
    bias = again.mean() - value if repeats else 0.0
    low, high = np.quantile(again, [0.025, 0.975]) - bias if repeats else (np.nan, np.nan)
    luck = random.multivariate_hypergeometric(every[0], int(best[0].sum()), size=repeats)
    by_luck = explained(np.repeat(every[:1], repeats, axis=0), luck, ordered=cells.ordered)
    return {
        "explained": value,
        "low": float(np.clip(low, 0, value)),
        "high": float(np.clip(high, value, 1)),
        "chance": float(np.quantile(by_luck, 0.95)) if repeats else np.nan,
        "best": int(best[0].sum()),
    }


def _best(losses: np.ndarray) -> np.ndarray:
    """Which trials of each row are among the best; ties at the edge are."""
    n = losses.shape[1]
    most = max(int(np.ceil(BEST * n)), min(FEWEST_BEST, n))
    edge = np.partition(losses, most - 1, axis=1)[:, most - 1]
    return losses <= edge[:, None]


def _counts(cells: np.ndarray, size: int, among: np.ndarray) -> np.ndarray:
    rows = np.arange(len(cells))[:, None] * size
    return np.bincount((rows + cells)[among], minlength=len(cells) * size).reshape(-1, size)


def table(
    frame: pd.DataFrame,
    parameters: list[Parameter],
    *,
    up: bool,
    repeats: int = REPEATS,
    fewest: int = FEWEST,
) -> pd.DataFrame:
    """Every parameter's importance, those that stand out from chance first, then the largest.

    Columns: ``column, title, n`` (trials that have it and a score), ``told`` (there are enough), and where
    there are `of`'s, ``share`` (of the sum over parameters) and ``stands_out`` (above chance).

    Args:
        frame: `hyperparameters.tidy`.
        up: whether a higher score is better.
        repeats: of the bootstrap and of the draws by chance; 0 for neither.
    """
    rows = []
    for parameter in parameters:
        known = frame[frame[SCORE].notna() & frame[parameter.column].notna()]
        row = {"column": parameter.column, "title": parameter.title, "n": len(known)}
        told = len(known) >= fewest and known[parameter.column].astype(str).nunique() > 1
        if told:
            losses = known[SCORE].to_numpy(float) * (-1 if up else 1)
            cells = grid(known[parameter.column], parameter)
            row |= of(cells, losses, repeats=repeats, random=np.random.default_rng(0))
        rows.append(row | {"told": told})
    columns = ["column", "title", "n", "told", "explained", "low", "high", "chance", "best"]
    result = pd.DataFrame(rows).reindex(columns=columns)
    result = result.assign(
        share=result["explained"] / result["explained"].sum(),
        stands_out=result["explained"] > result["chance"],
    )
    order = ["told", "stands_out", "explained", "n"]
    return result.sort_values(order, ascending=False, kind="stable").reset_index(drop=True)
