"""The sampler: what it proposes is allowed, spread out, and better than chance."""

from __future__ import annotations

import math
import random as chance
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainer.search import tpe
from trainer.search.space import Params, Space, head_spec, load_space
from trainer.search.tpe import Observation, propose, quasi_random

Goodness = Callable[[Params], float]
DEFAULT = load_space()
SPACE = Space(  # without logistic regressions, which have hardly a hyperparameter
    varying={name: line for name, line in DEFAULT.varying.items() if name not in ("solver", "l2")},
    fixed={**DEFAULT.fixed, "solver": "descent", "l2": 1.0},
    text=DEFAULT.text,
)
LOWEST = {
    name: line.choices[0] if isinstance(line, CategoricalDistribution) else line.low
    for name, line in SPACE.varying.items()
}


def space_of(**varying: BaseDistribution) -> Space:
    """The default space where only these names vary."""
    return Space(varying=varying, fixed={**LOWEST, **SPACE.fixed}, text=SPACE.text)


def allowed(value: Any, line: BaseDistribution) -> bool:
    if isinstance(line, CategoricalDistribution):
        return (type(value), value) in [(type(choice), choice) for choice in line.choices]
    wanted = int if isinstance(line, IntDistribution) else float
    return type(value) is wanted and line.low <= value <= line.high


def prior(space: Space, random: np.random.Generator) -> Params:
    """A configuration drawn as a random search would."""

    def suggest(name: str, line: BaseDistribution) -> Any:
        if isinstance(line, CategoricalDistribution):
            return line.choices[random.integers(len(line.choices))]
        if isinstance(line, IntDistribution):
            return int(random.integers(line.low, line.high + 1))
        if line.log:
            return float(np.exp(random.uniform(np.log(line.low), np.log(line.high))))
        return float(random.uniform(line.low, line.high))

    return space.propose(suggest)


def goodness(params: Params) -> float:
    """Mixed and conditional: the best rate depends on the optimiser; depth helps if dropout is right."""
    best_rate = {"adam": -3.0, "adamw": -2.7, "sgd": -1.5}[params["optimizer"]]
    score = -((math.log10(params["lr"]) - best_rate) ** 2) - 0.2 * (params["scheduler"] == "none")
    if params["depth"] > 0:
        score += 0.3 - 10 * (params["dropout"] - 0.3) ** 2
    return score


def observations(number: int, *, seed: int, of: Goodness = goodness) -> list[Observation]:
    random = np.random.default_rng(seed)
    return [Observation(params, of(params)) for params in (prior(SPACE, random) for _ in range(number))]


def batch(
    observed: list[Observation], *, count: int = 16, seed: int = 0, space: Space = SPACE
) -> list[Params]:
    return propose(space, observed, count=count, random=np.random.default_rng(seed))


def check(space: Space, params: Params) -> None:
    """Each value is allowed, and the names are exactly those that matter."""
    assert all(allowed(params[name], line) for name, line in space.distributions(params).items())
    assert space.propose(lambda name, _: params[name]) == params
    head_spec(params)


def distinct(proposals: list[Params]) -> int:
    return len({tuple(sorted(params.items())) for params in proposals})


# --- what is proposed -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 80), count=st.integers(1, 20))
def test_every_proposal_is_in_the_space_and_has_the_names_that_matter(
    seed: int, number: int, count: int
) -> None:
    proposals = batch(observations(number, seed=seed), count=count, seed=seed)
    assert len(proposals) == distinct(proposals) == count
    for params in proposals:
        check(SPACE, params)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), number=st.integers(0, 5000))
def test_every_quasi_random_point_is_in_the_space(seed: int, number: int) -> None:
    check(SPACE, quasi_random(SPACE, number=number, seed=seed))


def test_same_observations_same_proposals_in_whatever_order_they_came() -> None:
    observed = observations(70, seed=1)
    expected = batch(observed, seed=2)
    assert batch(observed, seed=2) == expected
    chance.Random(0).shuffle(observed)
    assert batch(observed, seed=2) == expected
    assert batch(observed, seed=3) != expected


def test_what_was_tried_is_not_proposed_while_there_is_something_else() -> None:
    space = space_of(
        optimizer=CategoricalDistribution(["adam", "adamw", "sgd"]),
        scheduler=CategoricalDistribution(["none", "cosine", "step", "onecycle"]),
        batch_size=IntDistribution(1, 4),
    )
    proposals: list[Params] = []
    for seed in range(5):
        observed = [Observation(params, -params["batch_size"]) for params in proposals]
        proposals += batch(observed, count=9, seed=seed, space=space)
    assert distinct(proposals) == len(proposals) == 45  # of 48


def test_an_exhausted_space_is_gone_through_again() -> None:
    space = space_of(optimizer=CategoricalDistribution(["adam", "adamw", "sgd"]))
    proposals = batch([], count=7, space=space)
    assert distinct(proposals[:3]) == 3
    assert distinct(proposals) == 3


# --- quasi-random -----------------------------------------------------------------------------


def test_a_quasi_random_point_depends_on_seed_and_number_alone() -> None:
    there = [quasi_random(SPACE, number=number, seed=7) for number in range(130)]
    tpe._sobol_block.cache_clear()
    back = [quasi_random(SPACE, number=number, seed=7) for number in reversed(range(130))]
    assert there == back[::-1]
    assert distinct(there) == 130
    assert quasi_random(SPACE, number=0, seed=8) != there[0]


@pytest.mark.parametrize("seed", range(5))
def test_quasi_random_points_cover_every_choice_and_every_quarter_of_a_range(seed: int) -> None:
    points = [quasi_random(SPACE, number=number, seed=seed) for number in range(32)]
    for name, line in SPACE.varying.items():
        seen = [params[name] for params in points if name in params]
        if isinstance(line, CategoricalDistribution):
            assert set(seen) == set(line.choices)
    for quarter in range(4):
        low, high = (10 ** (-4 + 0.75 * (quarter + edge)) for edge in (0, 1))
        assert sum(low <= params["lr"] < high for params in points) == 8


# --- quality ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_proposals_lie_where_observations_were_good(seed: int) -> None:
    proposed = [goodness(params) for params in batch(observations(60, seed=seed), count=32, seed=seed)]
    random = np.random.default_rng(seed)
    drawn = [goodness(prior(SPACE, random)) for _ in range(500)]
    assert np.mean(proposed) > np.quantile(drawn, 0.6) > np.mean(drawn)


def test_proposals_keep_together_what_goes_well_together() -> None:
    observed = observations(200, seed=0, of=lambda p: goodness(p) if p["optimizer"] != "adamw" else -9.0)
    proposals = [params for seed in range(4) for params in batch(observed, seed=seed)]
    rates = {
        name: np.median([math.log10(p["lr"]) for p in proposals if p["optimizer"] == name])
        for name in ("adam", "sgd")
    }
    assert rates["sgd"] > rates["adam"] + 0.7
    assert sum(p["optimizer"] == "adamw" for p in proposals) < len(proposals) / 6


def test_a_search_finds_more_than_chance_does() -> None:
    found, drawn = [], []
    for seed in range(5):
        observed = [
            Observation(params, goodness(params))
            for params in (quasi_random(SPACE, number=number, seed=seed) for number in range(16))
        ]
        while len(observed) < 96:
            observed += [Observation(p, goodness(p)) for p in batch(observed, seed=len(observed) + seed)]
        found.append(max(o.value for o in observed))
        drawn.append(max(o.value for o in observations(96, seed=seed)))
    assert np.mean(found) > np.mean(drawn) + 0.02
    assert np.mean(found) > 0.27  # the best there is: 0.3


def test_a_batch_is_spread() -> None:
    rates = np.array([math.log10(params["lr"]) for params in batch(observations(100, seed=0))])
    assert rates.std() > 0.2


@pytest.mark.parametrize(
    "line",
    [
        FloatDistribution(0.0, 1.0),
        FloatDistribution(1e-4, 1e-1, log=True),
        IntDistribution(2, 8),
        CategoricalDistribution(["a", "b", "c"]),
    ],
)
def test_a_kernel_is_a_density(line: BaseDistribution) -> None:
    column = tpe._column(line)
    at_n = np.array([0.0, 0.1, 0.5, 1.0, np.nan])
    grid_m = (np.arange(6000) + 0.5) / 6000
    for width in (0.05, 0.3):
        log_density_mn = column.features(grid_m) @ column.weights(at_n, width).T
        np.testing.assert_allclose(np.exp(log_density_mn).mean(axis=0), 1, rtol=1e-3)
        drawn_m = column.draw(np.full(6000, 0.1), grid_m, width)
        near_m = np.abs(drawn_m - 0.1) <= np.abs(grid_m - 0.1).mean()
        assert near_m.mean() > 0.7
        np.testing.assert_array_equal(column.draw(np.full(6000, np.nan), grid_m, width), grid_m)


# --- edges ------------------------------------------------------------------------------------


def test_a_space_in_which_nothing_varies_gives_what_is_fixed() -> None:
    space = space_of()
    only = space.propose(lambda name, _: pytest.fail(name))
    assert quasi_random(space, number=3, seed=0) == only
    assert batch([Observation(only, 0.5)], count=2, space=space) == [only, only]


def test_a_range_of_one_value_gives_that_value() -> None:
    space = space_of(lr=FloatDistribution(0.01, 0.01, log=True), batch_size=IntDistribution(32, 32))
    proposals = batch([], count=2, space=space)
    for params in [*proposals, *batch([Observation(proposals[0], 1.0)] * 9, space=space)]:
        assert (params["lr"], params["batch_size"]) == (0.01, 32)


@pytest.mark.parametrize("number", [1, 2, 40])
@pytest.mark.parametrize("value", [0.5, -math.inf, math.inf])
def test_observations_that_are_all_alike_leave_the_space_open(number: int, value: float) -> None:
    proposals = batch(observations(number, seed=0, of=lambda _: value), count=32)
    assert distinct(proposals) == 32
    assert {params["optimizer"] for params in proposals} == {"adam", "adamw", "sgd"}


def test_failed_trials_are_kept_away_from() -> None:
    observed = observations(60, seed=0, of=lambda p: -math.inf if p["optimizer"] == "sgd" else 0.5)
    proposals = [params for seed in range(4) for params in batch(observed, seed=seed)]
    assert sum(params["optimizer"] == "sgd" for params in proposals) < len(proposals) / 10


def test_values_that_the_space_no_longer_has_do_no_harm() -> None:
    strange = {"optimizer": "lion", "lr": 50, "dropout": "much", "depth": 7, "epochs": None, "new": 1}
    low = {"optimizer": "adam", "lr": -1.0, "label_smoothing": math.nan, "weight_decay": -math.inf}
    observed = [Observation(strange, 9.0), Observation(low, 8.0), *observations(20, seed=0)]
    with np.errstate(all="raise"):
        proposals = batch(observed)
    for params in proposals:
        check(SPACE, params)


def test_many_observations_are_thinned() -> None:
    good, others = tpe.good_and_others(range(1500), failed=0)
    assert list(good) == list(range(tpe.MAX_GOOD))
    assert len(others) == tpe.MAX_BAD
    assert (others[0], others[-1]) == (tpe.MAX_GOOD, 1499)


def test_failed_observations_are_never_good() -> None:
    good, others = tpe.good_and_others(range(30), failed=28)
    assert list(good) == [0, 1]
    assert len(others) == 28
