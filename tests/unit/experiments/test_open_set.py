"""A threshold that tells known people from unknown ones, and what it does to people who did not choose it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.experiments.verification import open_set as module
from trainer.experiments.verification.open_set import nearest_known, open_set, threshold_for
from trainer.stats.roc import PersonBootstrap, VerificationPairs
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import OpenSet


def people(count: int, *, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos that are near their person's others."""
    random, label_n = np.random.default_rng(0), np.repeat(np.arange(count), each)
    centre_qd = random.normal(size=(count, 16))
    return centre_qd[label_n] + 0.4 * random.normal(size=(len(label_n), 16)), label_n


@settings(max_examples=40)
@given(
    label_n=st.lists(st.integers(0, 4), min_size=2, max_size=12),
    block=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_the_nearest_are_those_of_every_pair(label_n: list[int], block: int, seed: int) -> None:
    x_nd = np.random.default_rng(seed).normal(size=(len(label_n), 3)).astype(np.float32)
    unit_nd = unit_rows(x_nd)
    cosine_nn = unit_nd @ unit_nd.T
    before, module.BLOCK = module.BLOCK, block
    try:
        own_n, other_n = nearest_known(x_nd, np.array(label_n))
    finally:
        module.BLOCK = before
    for row, label in enumerate(label_n):
        rows = [other for other in range(len(label_n)) if other != row]
        own = [cosine_nn[row, other] for other in rows if label_n[other] == label]
        others = [cosine_nn[row, other] for other in rows if label_n[other] != label]
        assert own_n[row] == pytest.approx(max(own, default=-np.inf), abs=1e-5)
        assert other_n[row] == pytest.approx(max(others, default=-np.inf), abs=1e-5)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.sampled_from(module.RATES))
def test_no_more_than_the_rate_reach_the_threshold(scores: list[float], rate: float) -> None:
    score_n = np.array(scores)
    threshold = threshold_for(score_n, rate)
    assert (score_n >= threshold).sum() <= rate * len(scores)


def test_the_rate_is_kept_on_people_who_did_not_choose_and_known_ones_are_found() -> None:
    x_nd, label_n = people(60, each=5)
    found = open_set(x_nd, label_n, seed=0)
    assert found is not None
    assert (found[OpenSet.RATE], found[OpenSet.PEOPLE], found[OpenSet.PHOTOS]) == (0.05, 60, 300)
    value, low, high = found[OpenSet.FALSE_ALARMS]
    assert low <= 0.05 <= high
    assert low <= value <= high
    assert found[OpenSet.FOUND][0] > 0.9
    assert open_set(x_nd, label_n, seed=0) == found


def test_too_few_photos_have_no_threshold() -> None:
    x_nd, label_n = people(10, each=5)
    assert open_set(x_nd, label_n, seed=0) is None
    x_nd, label_n = people(60, each=5)
    assert open_set(x_nd, np.arange(len(label_n)), seed=0) is None


def test_the_rates_of_a_threshold_are_shares_of_pairs_with_intervals_over_people() -> None:
    random = np.random.default_rng(0)
    person_p2 = random.integers(0, 12, size=(400, 2))
    person_p2[:200, 1] = person_p2[:200, 0]
    same_p = person_p2[:, 0] == person_p2[:, 1]
    accepted_p = random.random(400) < np.where(same_p, 0.9, 0.1)
    rates = PersonBootstrap(VerificationPairs(same_p, person_p2, np.zeros(400)), seed=0).rates(accepted_p)
    for name, of_kind in (("tar", same_p), ("far", ~same_p)):
        value, low, high = rates[name].interval()
        assert value == pytest.approx(accepted_p[of_kind].mean())
        assert low < value < high
