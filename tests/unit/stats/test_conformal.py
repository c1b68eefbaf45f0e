"""Conformal thresholds against brute force, and the coverage that they promise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from trainer.stats import conformal as t


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.5]),
)
def test_the_quantile_is_that_of_brute_force(values: list[int], miss: float) -> None:
    score = np.array(values, dtype=float)
    place = math.floor(miss * (len(score) + 1) + 1e-9)
    expected = sorted(values)[place - 1] if place else -math.inf
    assert t.conformal_quantile(score, np.arange(len(score)), miss) == expected


def test_a_unit_counts_once_however_many_rows_it_has() -> None:
    score = np.arange(19.0)
    alone = t.conformal_quantile(score, np.arange(19), 0.2)
    assert t.conformal_quantile(np.repeat(score, 3), np.repeat(np.arange(19), 3), 0.2) == alone
    heavy = np.r_[np.full(200, -1.0), score[1:]]  # one patient with many odd images
    assert t.conformal_quantile(heavy, np.r_[np.zeros(200, int), np.arange(1, 19)], 0.2) == alone


@settings(max_examples=6)
@given(rows=st.sampled_from([20, 37, 100, 150]), coverage=st.sampled_from([0.5, 0.8, 0.9]))
def test_exchangeable_rows_are_covered_as_promised(rows: int, coverage: float) -> None:
    random, hits, draws = np.random.default_rng(rows), 0, 1000
    for _ in range(draws):
        score = random.random(rows + 1)
        hits += score[-1] >= t.conformal_quantile(score[:-1], np.arange(rows), 1 - coverage)
    reach = 4 * math.sqrt(coverage * (1 - coverage) / draws)
    assert coverage - reach <= hits / draws <= coverage + 1 / (rows + 1) + reach


def test_sets_hold_the_most_probable_class_and_grow_with_the_coverage() -> None:
    random = np.random.default_rng(0)
    probability = softmax(3 * random.normal(size=(400, 5)), axis=1)
    label = np.array([random.choice(5, p=p) for p in probability])
    thresholds = t.set_thresholds(probability, label, np.arange(400))
    assert list(thresholds.values()) == sorted(thresholds.values(), reverse=True)
    sizes = [t.prediction_sets(probability, thresholds[one]).sum(1) for one in (0.5, 0.8, 0.95)]
    assert all((small <= large).all() for small, large in pairwise(sizes))
    assert sizes[0].min() == 1
    inside = t.prediction_sets(probability, thresholds[0.9])
    assert inside[np.arange(400), label].mean() == pytest.approx(0.9, abs=0.01)


def test_of_too_few_rows_a_set_holds_all_classes() -> None:
    probability = np.eye(3)[[0, 1, 2]]
    threshold = t.set_thresholds(probability, np.arange(3), np.arange(3))[0.9]
    assert t.prediction_sets(probability, threshold).all()
