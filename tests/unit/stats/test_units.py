"""Rows that belong together: drawn, left out and swapped together; alone, everything is as without units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.stats.intervals import mean_difference, wilson, wilson_of_groups
from trainer.stats.paired_bootstrap import AUROC, PairedBootstrap, PredictionSet, swap_test
from trainer.stats.paired_comparison import (
    PairedComparison,
    accuracy_difference,
    mcnemar,
    sign_flip_test,
    sign_test,
)
from trainer.stats.units import effective_rows, numbered

COPIES = 4


def answers(seed: int = 0, rows: int = 60, classes: int = 2, heads: int = 1) -> PredictionSet:
    random = np.random.default_rng(seed)
    label = random.integers(classes, size=rows)
    pred = np.where(
        random.random((2, heads, rows)) < [[[0.8]], [[0.6]]],
        label,
        random.integers(classes, size=(2, heads, rows)),
    )
    return PredictionSet(label, pred, classes, random.random((2, heads, rows)) + 0.3 * label)


def copied(one: PredictionSet, order: np.ndarray) -> PredictionSet:
    """Every row several times, as one unit, in any order."""
    row = np.repeat(np.arange(len(one.label_n)), COPIES)[order]
    assert one.score_asn is not None
    scores = one.score_asn[..., row]
    return PredictionSet(one.label_n[row], one.pred_asn[..., row], one.classes, scores, unit_n=row)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), heads=st.integers(1, 2))
def test_copies_of_every_row_change_no_interval_and_no_test(seed: int, heads: int) -> None:
    one = answers(seed, heads=heads)
    order = np.random.default_rng(seed).permutation(len(one.label_n) * COPIES)
    several = copied(one, order)
    alone, together = (PairedBootstrap(each, seed=3, draws=40) for each in (one, several))
    for arm in (0, 1):
        for name, found in together.arm(arm).items():
            expected = alone.arm(arm)[name]
            for mine, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-5, err_msg=name)
    swapped = [swap_test(each, 0, 1, seed=5, swaps=300) for each in (one, several)]
    assert swapped[0].p == swapped[1].p
    np.testing.assert_array_equal(swapped[0].p_c, swapped[1].p_c)
    tests = []
    for each in (one, several):
        right_sn, other_sn = each.pred_asn == each.label_n
        tests.append(mcnemar(right_sn, other_sn, each.unit_n))
    assert tests[1].p == pytest.approx(tests[0].p)
    assert tests[1].only_one == COPIES * tests[0].only_one


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_units_of_one_row_each_are_no_units(seed: int) -> None:
    one = answers(seed)
    label, pred, rows = one.label_n, one.pred_asn, len(one.label_n)
    unit = np.random.default_rng(seed).permutation(rows) * 7
    labelled = PredictionSet(label, pred, one.classes, one.score_asn, unit_n=unit)
    pairs = [PairedComparison(each, seed=1).pair(0, 1) for each in (one, labelled)]
    assert pairs[0] == pairs[1]
    arms = [PairedBootstrap(each, seed=1, draws=20).arm(0)[AUROC].draws for each in (one, labelled)]
    np.testing.assert_array_equal(*arms)
    right, other = pred[0, 0] == label, pred[1, 0] == label
    assert wilson_of_groups(right, unit) == wilson(int(right.sum()), rows)
    assert accuracy_difference(right, other, unit) == accuracy_difference(right, other)
    value = one.score_asn[0, 0]  # type: ignore[index]
    assert mean_difference(value, unit) == mean_difference(value)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_flipping_signs_equals_flipping_them_in_all_ways(lead: list[int]) -> None:
    lead_u = np.array(lead)
    sums = [abs(np.dot(signs, lead_u)) for signs in itertools.product([-1, 1], repeat=len(lead))]
    assert sign_flip_test(lead_u) == pytest.approx(np.mean(np.array(sums) >= abs(lead_u.sum())))


def test_flipping_single_rows_is_the_sign_test() -> None:
    lead_u = np.array([1] * 9 + [-1] * 2 + [0] * 20)
    assert sign_flip_test(lead_u) == sign_test(np.array(9), np.array(2))


def test_rows_are_worth_no_more_than_their_units_where_these_agree() -> None:
    random = np.random.default_rng(0)
    own = random.random(40) < 0.7
    unit = np.repeat(np.arange(40), 5)
    assert effective_rows(np.repeat(own, 5), unit) == pytest.approx(40, rel=0.1)
    assert effective_rows(random.random(200) < 0.7, unit) == pytest.approx(200, rel=0.35)
    assert effective_rows(np.ones(200), unit) == 40  # nothing to see a design effect by
    assert effective_rows(np.ones(5), np.zeros(5)) == 1
    assert mean_difference(np.arange(5.0), np.zeros(5))[1:] == pytest.approx((np.nan, np.nan), nan_ok=True)


def test_sums_are_over_the_rows_of_each_unit_in_any_order() -> None:
    units = numbered(np.array([7, 3, 7, 7, 3]), 5)
    assert (units.count, units.grouped) == (2, True)
    np.testing.assert_array_equal(
        units.sums(np.array([[1, 0], [2, 0], [4, 1], [8, 0], [16, 1]])), [[18, 1], [13, 1]]
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_only_tests_that_know_of_groups_keep_their_level(grouped: bool) -> None:
    """Two equally good arms, 40 units of 5 rows that agree: the null is true."""
    random = np.random.default_rng(2)
    unit, rejected = np.repeat(np.arange(40), 5), 0
    for _ in range(200):
        right, other = (np.repeat(random.random(40) < 0.7, 5) for _ in range(2))
        rejected += mcnemar(right, other, unit if grouped else None).p < 0.05
    assert (rejected <= 18) if grouped else (rejected > 50)
