"""Statistics against scikit-learn, and the map of the features."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel
from sklearn.metrics import accuracy_score, f1_score

from trainer.features.projection import principal_components, sample_rows, tsne
from trainer.stats import intervals as s


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 9), rows=st.integers(1, 80))
def test_accuracy_and_macro_f1_equal_scikit_learns(seed: int, classes: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    label, pred = random.integers(classes, size=(2, rows))
    confusion = s.confusion_matrix(label, pred, classes=classes)
    assert float(s.accuracy(confusion)) == pytest.approx(accuracy_score(label, pred))
    expected = f1_score(label, pred, average="macro", zero_division=0)
    assert float(s.f1_macro(confusion)) == pytest.approx(expected)


@pytest.mark.parametrize(("right", "rows"), [(0, 5), (3, 3), (70, 100), (1, 1000)])
def test_the_interval_of_a_share_equals_scipys(right: int, rows: int) -> None:
    expected = binomtest(right, rows).proportion_ci(method="wilson")
    ours = s.wilson(right, rows)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_an_interval_over_seeds_stays_where_a_score_can_lie() -> None:
    interval, _ = s.mean_over_seeds(np.array([0.67, 1.0]))
    assert (interval.low, interval.high) == (0, 1)


def test_the_interval_over_seeds_covers_the_true_mean_95_times_in_100() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        interval, _ = s.mean_over_seeds(random.normal(0.8, 0.02, size=4))
        covered += interval.low <= 0.8 <= interval.high
    assert 0.93 <= covered / 2000 <= 0.97


def test_one_seed_has_no_interval() -> None:
    interval, error = s.mean_over_seeds(np.array([0.7]))
    assert interval.value == pytest.approx(0.7)
    assert all(math.isnan(x) for x in (interval.low, interval.high, error))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), pairs=st.integers(2, 30))
def test_the_interval_of_a_paired_difference_equals_scipys(seed: int, pairs: int) -> None:
    a, b = np.random.default_rng(seed).random((2, pairs))
    expected = ttest_rel(a, b).confidence_interval(0.95)
    ours = s.paired_difference(a, b)
    assert ours == pytest.approx((float(np.mean(a - b)), expected.low, expected.high))


def test_what_both_scores_of_a_pair_share_does_not_widen_their_difference() -> None:
    random = np.random.default_rng(3)
    shared, own = random.normal(0.7, 0.1, size=8), random.normal(0, 0.001, size=8)
    difference = s.paired_difference(shared - 0.02, shared + own)
    assert difference.low < -0.02 < difference.high < 0


def test_one_pair_has_a_difference_and_no_interval() -> None:
    difference = s.paired_difference(np.array([0.7]), np.array([0.9]))
    assert difference.value == pytest.approx(-0.2)
    assert math.isnan(difference.low)
    assert math.isnan(difference.high)


def test_the_map_keeps_separate_clouds_apart_and_is_the_same_twice() -> None:
    random = np.random.default_rng(0)
    cloud = np.arange(120) % 3
    features = random.normal(size=(3, 20))[cloud] * 5 + random.normal(size=(120, 20))
    (first,), (second,) = (list(tsne(features, seed=4).values())[:1] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    distance = np.linalg.norm(first[:, None] - first[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (cloud[distance.argmin(1)] == cloud).mean() > 0.95


@pytest.mark.parametrize("rows", [1, 2, 5, 9])
def test_a_handful_of_rows_still_has_a_map(rows: int) -> None:
    maps = tsne(np.random.default_rng(0).normal(size=(rows, 4)), seed=0)
    assert [xy_n2.shape for xy_n2 in maps.values()] == [(rows, 2)]


@pytest.mark.parametrize(("rows", "perplexities"), [(90, [30]), (91, [30, 10]), (301, [30, 10, 100])])
def test_rows_allow_as_many_maps_as_they_have_neighbours_for(rows: int, perplexities: list[int]) -> None:
    random = np.random.default_rng(1)
    cloud = np.arange(rows) % 2
    features = random.normal(size=(2, 12))[cloud] * 6 + random.normal(size=(rows, 12))
    maps = tsne(features, seed=0)
    assert list(maps) == perplexities
    for xy_n2 in maps.values():
        middle = np.stack([xy_n2[cloud == c].mean(0) for c in (0, 1)])
        away = np.linalg.norm(xy_n2[:, None] - middle, axis=-1)
        assert (away.argmin(1) == cloud).mean() > 0.95


def test_a_point_can_be_followed_from_map_to_map() -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(4, 12))[np.arange(320) % 4] * 5 + random.normal(size=(320, 12))
    maps = tsne(features, seed=0)
    for perplexity in (10, 100):
        for axis in (0, 1):
            assert np.corrcoef(maps[30][:, axis], maps[perplexity][:, axis])[0, 1] > 0.8


def test_principal_components_are_those_of_a_singular_value_decomposition_and_never_mirrored() -> None:
    features = np.random.default_rng(3).normal(size=(60, 5)) * [1, 9, 3, 1, 1]
    found = principal_components(features.astype(np.float32))
    centred = features - features.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(found) == pytest.approx(np.abs(left[:, :2] * size[:2]), abs=1e-4)
    assert np.corrcoef(found[:, 0], features[:, 1])[0, 1] > 0.9
    assert np.corrcoef(found[:, 1], features[:, 2])[0, 1] > 0.9


@pytest.mark.parametrize(("rows", "dimensions"), [(1, 4), (2, 1), (3, 1), (2, 5)])
def test_of_few_rows_or_one_dimension_the_missing_components_are_zero(rows: int, dimensions: int) -> None:
    features = np.random.default_rng(4).normal(size=(rows, dimensions))
    found = principal_components(features)
    assert found.shape == (rows, 2)
    assert np.isfinite(found).all()
    if dimensions == 1:
        assert not found[:, 1].any()


def test_a_sample_keeps_every_split() -> None:
    split = np.repeat(["test", "train", "val"], [30, 900, 70])
    rows = sample_rows(split, at_most=100, seed=0)
    assert len(rows) <= 100
    assert {name: int((split[rows] == name).sum()) for name in ("test", "train", "val")} == {
        "test": 3,
        "train": 90,
        "val": 7,
    }
