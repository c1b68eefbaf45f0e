"""Tree-structured Parzen estimator (TPE) that proposes a whole batch at once.

The best tenth of the observations and the rest each give a density over the space: a mixture of the prior and
one kernel around each observation. Candidates are drawn from the density of the good ones and ranked by the
ratio of both densities (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"). Kernels are
multivariate, a product over all hyperparameters, which keeps interactions (Falkner et al. 2018, "BOHB").

A configuration is a row of an array [N, D] with a column for each varying hyperparameter, scaled to [0, 1],
and NaN where one does not apply. There a kernel is the prior, which is uniform.

A kernel's logarithm is linear in features of the candidate: 1, x and x² of a number, the one-hot code of a
choice. So one matrix product evaluates all kernels at all candidates: features [M, F] · weights [N, F]ᵀ.
Measured against Optuna's TPE, it pays off from some 200 trials on; below, both are quick.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

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

GOOD_SHARE, MAX_GOOD = 0.1, 25  # as in Optuna
MAX_BAD = 1000  # bounds time and memory
POOL = 16  # candidates per proposal; more make the search greedier, not better
PRIOR_SHARE = 0.2  # of the candidates, for exploration
LAST_GOOD_WEIGHT = 0.1  # weights of good observations fall linearly from 1 to this
BAD_BANDWIDTH = 0.6  # bad observations are many, so their kernels are narrower
WIDTH = 0.2  # of a kernel, until there are observations to estimate it from
MIN_WIDTH, MAX_WIDTH = 0.06, 0.5
CHOICE_SMOOTHING = 0.7  # pseudo-observations per choice
REPEAT_PENALTY = 1e6  # a penalty beyond any score
BLOCK = 64  # points of the Sobol sequence that are computed together
T = TypeVar("T")


class Observation(NamedTuple):
    """A configuration and its objective."""

    params: Mapping[str, Any]  # as from `Space.propose`
    value: float  # higher is better; -inf for a failed trial


def quasi_random(space: Space, *, number: int, seed: int) -> Params:
    """Return point ``number`` of a scrambled Sobol sequence over the space.

    It depends on ``seed`` and ``number`` only. The first 2^k points cover
    every hyperparameter, and every pair, more evenly than random ones.
    """
    columns = _columns(space)
    x_1d = _sobol_block(len(columns), seed, number // BLOCK)[[number % BLOCK]]
    return _configurations(space, columns, x_1d)[0]


def propose(
    space: Space, observed: Sequence[Observation], *, count: int, random: np.random.Generator
) -> list[Params]:
    """Return ``count`` configurations to train together, as `propose_between` does.

    Args:
        observed: in any order.
    """
    ranked = sorted(observed, key=lambda observation: observation.value, reverse=True)
    failed = sum(observation.value == -math.inf for observation in ranked)
    good, others = good_and_others([one.params for one in ranked], failed=failed)
    return propose_between(space, good, others, count=count, random=random)


def propose_between(
    space: Space,
    good: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    *,
    count: int,
    random: np.random.Generator,
) -> list[Params]:
    """Return ``count`` configurations to train together: like the good ones, unlike the others.

    They are chosen one by one from one pool. Each chosen one counts as a bad observation for the next
    ("constant liar"), which spreads the batch. A configuration is repeated only if the pool has no new one.

    Args:
        good, others: see `good_and_others`. Numbers are clipped to the space's limits; unknown names and
            choices count as not applicable.
    """
    columns = _columns(space)
    good_nd, bad_nd = _read(columns, good), _read(columns, others)
    likely = _Mixture(columns, good_nd, weight_n=np.linspace(1, LAST_GOOD_WEIGHT, len(good)), bandwidth=1.0)
    unlikely = _Mixture(columns, bad_nd, weight_n=np.ones(len(others)), bandwidth=BAD_BANDWIDTH)

    pool = _configurations(space, columns, likely.draw(POOL * count, random))
    pool_md = _read(columns, pool)
    features_mf = _features(columns, pool_md)
    good_m, bad_m = likely.density(features_mf), unlikely.density(features_mf)
    lies_mf = unlikely.weights(pool_md)
    kind_m, repeats_m = _repeats(pool_md, np.concatenate([good_nd, bad_nd]))

    chosen: list[Params] = []
    while len(chosen) < count:
        best = int(np.argmax(np.log(good_m / bad_m) - REPEAT_PENALTY * repeats_m))
        chosen.append(pool[best])
        bad_m += np.exp(features_mf @ lies_mf[best])
        repeats_m += kind_m == kind_m[best]
    return chosen


def good_and_others(ranked: Sequence[T], *, failed: int) -> tuple[Sequence[T], Sequence[T]]:
    """Return the best of the observations, and the rest, thinned evenly to `MAX_BAD`.

    Args:
        ranked: the best first.
        failed: how many at the end are never good.
    """
    good = min(math.ceil(GOOD_SHARE * len(ranked)), MAX_GOOD, len(ranked) - failed)
    others = ranked[good:]
    if len(others) > MAX_BAD:
        others = [others[i] for i in np.linspace(0, len(others) - 1, MAX_BAD).astype(int)]
    return ranked[:good], others


def _repeats(pool_md: np.ndarray, tried_nd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each candidate [M] the index of its first duplicate, and 1 where it was tried before."""
    keys, tried = _keys(pool_md), set(_keys(tried_nd))
    first: dict[bytes, int] = {}
    kind_m = np.array([first.setdefault(key, m) for m, key in enumerate(keys)])
    return kind_m, np.array([float(key in tried) for key in keys])


def _keys(x_nd: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.nan_to_num(x_nd, nan=-1.0)]


# --- the columns ------------------------------------------------------------------------------


class _Column(Protocol):
    """One varying hyperparameter: maps values to [0, 1] and back, and gives its factor of a kernel."""

    def read(self, values: Sequence[Any]) -> np.ndarray:
        """Map values to [0, 1]: [N], NaN for no valid value."""

    def write(self, x_m: np.ndarray) -> list[Any]:
        """Return the values nearest to positions on [0, 1]."""

    def width(self, x_n: np.ndarray, shrink: float) -> float:
        """Return the bandwidth of kernels around ``x_n`` [N]."""

    def draw(self, x_m: np.ndarray, uniform_m: np.ndarray, width: float) -> np.ndarray:
        """Draw positions [M] from the kernels around ``x_m``, by inverse transform of uniform numbers [M]."""

    def features(self, x_m: np.ndarray) -> np.ndarray:
        """Return the features of candidates: [M, F], zeros for NaN."""

    def weights(self, x_n: np.ndarray, width: float) -> np.ndarray:
        """Return the coefficients of the log-density of kernels around ``x_n`` on the features: [N, F]."""


class _Number:
    """Truncated normal kernels. An integer is the middle of its bin."""

    def __init__(self, line: FloatDistribution | IntDistribution) -> None:
        self.low, self.high, self.log = line.low, line.high, line.log
        self.whole = isinstance(line, IntDistribution)
        margin = 0.5 if self.whole else 0.0
        self.start = self._scaled(line.low - margin)
        self.length = (
            self._scaled(line.high + margin) - self.start or 1.0
        )  # arbitrary where the range is empty

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
        valid_n = x_n[~np.isnan(x_n)]
        spread = valid_n.std() if len(valid_n) > 2 else WIDTH
        return float(np.clip(spread * shrink, MIN_WIDTH, MAX_WIDTH))

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
    """Kernels of a categorical: the observed choice, and a share, the width, that is uniform over all."""

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
        pseudo = CHOICE_SMOOTHING * len(self.choices)
        return pseudo / (len(x_n) + 1 + pseudo)

    def draw(self, x_m: np.ndarray, uniform_m: np.ndarray, width: float) -> np.ndarray:
        drawn_m = np.where(uniform_m < width, uniform_m / width, x_m)
        return np.where(np.isnan(x_m), uniform_m, drawn_m)

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
    """Convert configurations to rows [N, D]."""
    x_nd = np.empty((len(params), len(columns)))
    for d, (name, column) in enumerate(columns.items()):
        x_nd[:, d] = column.read([p.get(name, math.nan) for p in params])
    return x_nd


def _configurations(space: Space, columns: Mapping[str, _Column], x_md: np.ndarray) -> list[Params]:
    """Return the configurations nearest to rows [M, D]; each has only the names that apply."""
    value_dm = [column.write(x_m) for column, x_m in zip(columns.values(), x_md.T, strict=True)]
    rows = zip(*value_dm, strict=True) if value_dm else [()] * len(x_md)
    return [_configuration(space, dict(zip(columns, row, strict=True))) for row in rows]


def _configuration(space: Space, values: Mapping[str, Any]) -> Params:
    return space.propose(lambda name, _: values[name])


@functools.lru_cache(maxsize=4)
def _sobol_block(dimensions: int, seed: int, block: int) -> np.ndarray:
    """Return the points from number ``block · BLOCK`` on: [BLOCK, D]."""
    if dimensions == 0:
        return np.empty((BLOCK, 0))
    sequence = qmc.Sobol(dimensions, rng=seed)
    return sequence.fast_forward(block * BLOCK).random(BLOCK) if block else sequence.random(BLOCK)


# --- the densities ----------------------------------------------------------------------------


def _features(columns: Mapping[str, _Column], x_md: np.ndarray) -> np.ndarray:
    parts = [column.features(x_m) for column, x_m in zip(columns.values(), x_md.T, strict=True)]
    return np.concatenate([np.empty((len(x_md), 0)), *parts], axis=1)


class _Mixture:
    """Mixture of a weighted kernel around each row of ``x_nd`` [N, D] and the prior, of weight 1.

    Bandwidths follow Scott's rule, times ``bandwidth``.
    """

    def __init__(
        self, columns: Mapping[str, _Column], x_nd: np.ndarray, *, weight_n: np.ndarray, bandwidth: float
    ) -> None:
        rows, dimensions = x_nd.shape
        shrink = bandwidth * (rows + 1) ** (-1 / (dimensions + 4))
        self.weight_n = np.append(weight_n, 1.0)
        self.columns = list(columns.values())
        self.width_d = [c.width(x_n, shrink) for c, x_n in zip(self.columns, x_nd.T, strict=True)]
        self.centre_nd = np.concatenate([x_nd, np.full((1, dimensions), np.nan)])  # NaN alone: the prior

    def draw(self, number: int, random: np.random.Generator) -> np.ndarray:
        """Draw rows [M, D]; `PRIOR_SHARE` of them come from the prior."""
        centre_m = random.choice(len(self.centre_nd), size=number, p=self.weight_n / self.weight_n.sum())
        centre_m[random.random(number) < PRIOR_SHARE] = -1
        x_md = self.centre_nd[centre_m]
        uniform_md = random.random(x_md.shape)
        for d, column in enumerate(self.columns):
            x_md[:, d] = column.draw(x_md[:, d], uniform_md[:, d], self.width_d[d])
        return x_md

    def weights(self, x_nd: np.ndarray) -> np.ndarray:
        """Return the coefficients of kernels around any rows [N, D], of the mixture's bandwidths: [N, F]."""
        settings = zip(self.columns, x_nd.T, self.width_d, strict=True)
        parts = [column.weights(x_n, width) for column, x_n, width in settings]
        return np.concatenate([np.empty((len(x_nd), 0)), *parts], axis=1)

    def density(self, features_mf: np.ndarray) -> np.ndarray:
        """Return the weighted sum of all kernels: [M]."""
        return np.exp(features_mf @ self.weights(self.centre_nd).T) @ self.weight_n
