"""Where to look next: a Tree-structured Parzen estimator that proposes a whole batch at once.

The best tenth of what was observed, and the rest, are each turned into a density over the space: a
mixture of one kernel around each observation, and the prior. Candidates are drawn from the density of
the good ones and ranked by how much likelier they are there than among the others (Bergstra et al. 2011,
"Algorithms for Hyper-Parameter Optimization"). A kernel is a product over all hyperparameters, so that
what goes well together stays together (Falkner et al. 2018, "BOHB").

A configuration is a row of an array [N, D] with a column for each varying hyperparameter, on [0, 1], and
NaN where one does not matter. There a kernel is the prior, which is uniform on all columns.

A kernel's logarithm is a sum, over columns, of products of something of the candidate (1, x and x²;
which choice it is) and something of the observation. So all candidates meet all observations in one
matrix product: features [M, F] · weights [N, F]ᵀ.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from trainer.search.space import Params, Space

GOOD_SHARE, MOST_GOOD = 0.1, 25  # as in Optuna
MOST_BAD = 1000  # bounds time and memory
POOL = 16  # candidates for each proposal; more make the search greedier, not better
PRIOR_SHARE = 0.2  # of the candidates: what the good ones do not suggest is looked at, too
WORST_OF_GOOD = 0.1  # weight of the last of the good ones; the best has 1, those between lie on a line
BAD_REACH = 0.6  # kernels of the bad ones, which are many, are narrower
WIDTH = 0.2  # of a kernel, as long as there is no spread to go by
NARROWEST, WIDEST = 0.06, 0.5
LEAK = 0.7  # observations' worth of doubt about a choice
REPEATED = 1e6  # a penalty beyond any score
BLOCK = 64  # points of the Sobol sequence that are computed together


class Observation(NamedTuple):
    """A configuration that was tried."""

    params: Mapping[str, Any]  # as `Space.propose` gives them: the names that mattered in it
    goodness: float  # the higher the better; -inf for a failed trial


def quasi_random(space: Space, *, number: int, seed: int) -> Params:
    """Point ``number`` of a scrambled Sobol sequence over the space.

    The points up to any power of two cover every hyperparameter, and the pairs of them, more evenly than
    random ones do. They depend on (``seed``, ``number``) alone.
    """
    columns = _columns(space)
    x_1d = _sobol_block(len(columns), seed, number // BLOCK)[[number % BLOCK]]
    return _configurations(space, columns, x_1d)[0]


def propose(
    space: Space, observed: Sequence[Observation], *, count: int, random: np.random.Generator
) -> list[Params]:
    """``count`` configurations to run side by side.

    They are chosen one by one from one pool. Each that is chosen counts as a bad observation for those
    after it (a "constant liar"), so that the batch spreads. What was tried before, or is in the batch
    already, is chosen only where the pool has nothing else.

    Args:
        observed: in any order. Numbers beyond the space's limits count as the limit, unknown names
            and choices as if they did not matter.
    """
    columns = _columns(space)
    good, bad = _divided(observed)
    good_nd, bad_nd = _read(columns, good), _read(columns, bad)
    likely = _Mixture(columns, good_nd, weight_n=np.linspace(1, WORST_OF_GOOD, len(good)), reach=1.0)
    unlikely = _Mixture(columns, bad_nd, weight_n=np.ones(len(bad)), reach=BAD_REACH)

    pool = _configurations(space, columns, likely.draw(POOL * count, random))
    pool_md = _read(columns, pool)
    features_mf = _features(columns, pool_md)
    good_m, bad_m = likely.density(features_mf), unlikely.density(features_mf)
    lies_mf = unlikely.weights(pool_md)
    kind_m, repeats_m = _repeats(pool_md, np.concatenate([good_nd, bad_nd]))

    chosen: list[Params] = []
    while len(chosen) < count:
        best = int(np.argmax(np.log(good_m / bad_m) - REPEATED * repeats_m))
        chosen.append(pool[best])
        bad_m += np.exp(features_mf @ lies_mf[best])
        repeats_m += kind_m == kind_m[best]
    return chosen


def _divided(observed: Sequence[Observation]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Parameters of the best, none of them failed, and of the others; many others are thinned evenly."""
    ranked = sorted(observed, key=lambda observation: observation.goodness, reverse=True)
    best = ranked[: min(math.ceil(GOOD_SHARE * len(ranked)), MOST_GOOD)]
    good = sum(observation.goodness > -math.inf for observation in best)
    others = ranked[good:]
    if len(others) > MOST_BAD:
        others = [others[i] for i in np.linspace(0, len(others) - 1, MOST_BAD).astype(int)]
    return [o.params for o in ranked[:good]], [o.params for o in others]


def _repeats(pool_md: np.ndarray, tried_nd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each candidate [M] the first that is the same, and 1 where the same was tried before."""
    keys, tried = _keys(pool_md), set(_keys(tried_nd))
    first: dict[bytes, int] = {}
    kind_m = np.array([first.setdefault(key, m) for m, key in enumerate(keys)])
    return kind_m, np.array([float(key in tried) for key in keys])


def _keys(x_nd: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.nan_to_num(x_nd, nan=-1.0)]


# --- the columns ------------------------------------------------------------------------------


class _Column(Protocol):
    """One varying hyperparameter: its values ↔ [0, 1], and its factor of a kernel."""

    def read(self, values: Sequence[Any]) -> np.ndarray:
        """Where values stand on [0, 1]: [N], NaN for what is no value."""

    def write(self, x_m: np.ndarray) -> list[Any]:
        """The values nearest to places on [0, 1]."""

    def width(self, x_n: np.ndarray, shrink: float) -> float:
        """How far kernels around ``x_n`` [N] reach."""

    def draw(self, x_m: np.ndarray, uniform_m: np.ndarray, width: float) -> np.ndarray:
        """Places [M] drawn from the kernels around ``x_m``, by means of as many uniform numbers."""

    def features(self, x_m: np.ndarray) -> np.ndarray:
        """What kernels want to know of candidates: [M, F], zeros for NaN."""

    def weights(self, x_n: np.ndarray, width: float) -> np.ndarray:
        """Log-density of the kernels around ``x_n``, linear in the features: [N, F]."""


class _Number:
    """Truncated normal kernels. A whole number is the middle of its bin."""

    def __init__(self, line: FloatDistribution | IntDistribution) -> None:
        self.low, self.high, self.log = line.low, line.high, line.log
        self.whole = isinstance(line, IntDistribution)
        margin = 0.5 if self.whole else 0.0
        self.start = self._scaled(line.low - margin)
        self.length = self._scaled(line.high + margin) - self.start or 1.0  # anything, for low = high

    def _scaled(self, value: Any) -> Any:
        return np.log(value) if self.log else value

    def read(self, values: Sequence[Any]) -> np.ndarray:
        value_n = np.clip([_as_number(value) for value in values], self.low, self.high)
        return (self._scaled(value_n) - self.start) / self.length

    def write(self, x_m: np.ndarray) -> list[Any]:
        value_m = self.start + self.length * x_m
        value_m = np.exp(value_m) if self.log else value_m
        value_m = np.rint(value_m).astype(int) if self.whole else value_m
        return np.clip(value_m, self.low, self.high).tolist()

    def width(self, x_n: np.ndarray, shrink: float) -> float:
        known_n = x_n[~np.isnan(x_n)]
        spread = known_n.std() if len(known_n) > 2 else WIDTH
        return float(np.clip(spread * shrink, NARROWEST, WIDEST))

    def draw(self, x_m: np.ndarray, uniform_m: np.ndarray, width: float) -> np.ndarray:
        below_m, above_m = ndtr(-x_m / width), ndtr((x_m - 1) / width)
        normal_m = ndtri(below_m + uniform_m * (1 - above_m - below_m))
        return np.where(np.isnan(x_m), uniform_m, np.clip(x_m + width * normal_m, 0, 1))

    def features(self, x_m: np.ndarray) -> np.ndarray:
        return _zeros_for_nan(np.stack([x_m**0, x_m, x_m**2], axis=1), x_m)

    def weights(self, x_n: np.ndarray, width: float) -> np.ndarray:
        inside_n = ndtr((1 - x_n) / width) - ndtr(-x_n / width)
        log_peak_n = -np.log(inside_n * width * math.sqrt(2 * math.pi))
        precision_n = np.full_like(x_n, 1 / width**2)
        terms = [log_peak_n - precision_n * x_n**2 / 2, precision_n * x_n, -precision_n / 2]
        return _zeros_for_nan(np.stack(terms, axis=1), x_n)


class _Choice:
    """Kernels that keep the choice but for a share, the width, which goes to all choices alike."""

    def __init__(self, line: CategoricalDistribution) -> None:
        self.choices = line.choices
        self.slot = {choice: slot for slot, choice in enumerate(line.choices)}

    def _slots(self, x_m: np.ndarray) -> np.ndarray:
        return np.minimum(x_m * len(self.choices), len(self.choices) - 1).astype(int)

    def read(self, values: Sequence[Any]) -> np.ndarray:
        slot_n = np.array([self.slot.get(value, math.nan) for value in values], dtype=float)
        return (slot_n + 0.5) / len(self.choices)

    def write(self, x_m: np.ndarray) -> list[Any]:
        return [self.choices[slot] for slot in self._slots(x_m)]

    def width(self, x_n: np.ndarray, shrink: float) -> float:
        doubt = LEAK * len(self.choices)
        return doubt / (len(x_n) + 1 + doubt)

    def draw(self, x_m: np.ndarray, uniform_m: np.ndarray, width: float) -> np.ndarray:
        elsewhere_m = np.where(uniform_m < width, uniform_m / width, x_m)
        return np.where(np.isnan(x_m), uniform_m, elsewhere_m)

    def features(self, x_m: np.ndarray) -> np.ndarray:
        one_hot_mf = np.eye(len(self.choices))[self._slots(np.nan_to_num(x_m))]
        return _zeros_for_nan(one_hot_mf, x_m)

    def weights(self, x_n: np.ndarray, width: float) -> np.ndarray:
        # Densities on [0, 1], as for numbers: 1 is the prior.
        surplus_nf = _zeros_for_nan(len(self.choices) * self.features(x_n) - 1, x_n)
        return np.log1p((1 - width) * surplus_nf)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _zeros_for_nan(values_nf: np.ndarray, x_n: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x_n)[:, None], 0.0, values_nf)


def _columns(space: Space) -> dict[str, _Column]:
    return {name: _column(line) for name, line in space.varying.items()}


def _column(line: BaseDistribution) -> _Column:
    if isinstance(line, CategoricalDistribution):
        return _Choice(line)
    assert isinstance(line, FloatDistribution | IntDistribution)
    return _Number(line)


def _read(columns: Mapping[str, _Column], params: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Configurations as rows [N, D]."""
    x_nd = np.empty((len(params), len(columns)))
    for d, (name, column) in enumerate(columns.items()):
        x_nd[:, d] = column.read([p.get(name, math.nan) for p in params])
    return x_nd


def _configurations(space: Space, columns: Mapping[str, _Column], x_md: np.ndarray) -> list[Params]:
    """The configurations nearest to rows [M, D]; of each row only the names count that matter in it."""
    value_dm = [column.write(x_m) for column, x_m in zip(columns.values(), x_md.T, strict=True)]
    rows = zip(*value_dm, strict=True) if value_dm else [()] * len(x_md)
    return [_configuration(space, dict(zip(columns, row, strict=True))) for row in rows]


def _configuration(space: Space, values: Mapping[str, Any]) -> Params:
    return space.propose(lambda name, _: values[name])


@functools.lru_cache(maxsize=4)
def _sobol_block(dimensions: int, seed: int, block: int) -> np.ndarray:
    """Points number ``block · BLOCK`` and following: [BLOCK, D]."""
    if dimensions == 0:
        return np.empty((BLOCK, 0))
    sequence = qmc.Sobol(dimensions, rng=seed)
    return sequence.fast_forward(block * BLOCK).random(BLOCK) if block else sequence.random(BLOCK)


# --- the densities ----------------------------------------------------------------------------


def _features(columns: Mapping[str, _Column], x_md: np.ndarray) -> np.ndarray:
    parts = [column.features(x_m) for column, x_m in zip(columns.values(), x_md.T, strict=True)]
    return np.concatenate([np.empty((len(x_md), 0)), *parts], axis=1)


class _Mixture:
    """A kernel around each row of ``x_nd`` [N, D], with its weight, and the prior, with weight 1.

    Kernels are as wide as the rows are spread, times ``reach``, and narrower the more they are, by
    Scott's rule.
    """

    def __init__(
        self, columns: Mapping[str, _Column], x_nd: np.ndarray, *, weight_n: np.ndarray, reach: float
    ) -> None:
        rows, dimensions = x_nd.shape
        shrink = reach * (rows + 1) ** (-1 / (dimensions + 4))
        self.weight_n = np.append(weight_n, 1.0)
        self.columns = list(columns.values())
        self.width_d = [c.width(x_n, shrink) for c, x_n in zip(self.columns, x_nd.T, strict=True)]
        self.centre_nd = np.concatenate([x_nd, np.full((1, dimensions), np.nan)])  # NaN alone: the prior

    def draw(self, number: int, random: np.random.Generator) -> np.ndarray:
        """Rows [M, D]; a share is drawn from the prior in any case."""
        centre_m = random.choice(len(self.centre_nd), size=number, p=self.weight_n / self.weight_n.sum())
        centre_m[random.random(number) < PRIOR_SHARE] = -1
        x_md = self.centre_nd[centre_m]
        uniform_md = random.random(x_md.shape)
        for d, column in enumerate(self.columns):
            x_md[:, d] = column.draw(x_md[:, d], uniform_md[:, d], self.width_d[d])
        return x_md

    def weights(self, x_nd: np.ndarray) -> np.ndarray:
        """Kernels around any rows [N, D], as wide as the mixture's own: [N, F]."""
        settings = zip(self.columns, x_nd.T, self.width_d, strict=True)
        parts = [column.weights(x_n, width) for column, x_n, width in settings]
        return np.concatenate([np.empty((len(x_nd), 0)), *parts], axis=1)

    def density(self, features_mf: np.ndarray) -> np.ndarray:
        """Weighted sum of all kernels: [M]."""
        return np.exp(features_mf @ self.weights(self.centre_nd).T) @ self.weight_n
