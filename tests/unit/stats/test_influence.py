"""What each row adds to a score, and the intervals that follow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.stats.influence import Linearised, of_accuracy, of_f1_macro, of_mean
from trainer.stats.intervals import mean_difference, wilson

CLASSES = 4
answers = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=2, max_size=40
)


def weighted_f1(label_n: np.ndarray, pred_n: np.ndarray, weight_n: np.ndarray) -> float:
    scores = []
    for one in set(label_n) | set(pred_n):
        twice = 2 * weight_n[(label_n == one) & (pred_n == one)].sum()
        scores.append(twice / (weight_n[label_n == one].sum() + weight_n[pred_n == one].sum()))
    return float(np.mean(scores))


@given(answers)
def test_the_influence_of_a_row_is_the_derivative_of_macro_f1_by_its_weight(
    rows: list[tuple[int, int]],
) -> None:
    label_n, pred_n = np.array(rows).T
    score = of_f1_macro(label_n, pred_n, classes=CLASSES)
    assert score.value == pytest.approx(weighted_f1(label_n, pred_n, np.ones(len(rows))))
    assert score.influence_n.sum() == pytest.approx(0, abs=1e-9)
    for row in range(len(rows)):
        more, less = np.ones(len(rows)), np.ones(len(rows))
        more[row] += 1e-5
        less[row] -= 1e-5
        slope = (weighted_f1(label_n, pred_n, more) - weighted_f1(label_n, pred_n, less)) / 2e-5
        assert score.influence_n[row] == pytest.approx(slope, abs=1e-6)


@given(answers, st.integers(1, 5))
def test_an_interval_holds_its_score_stays_within_0_and_1_and_has_a_width(
    rows: list[tuple[int, int]], size: int
) -> None:
    label_n, pred_n = np.array(rows).T
    unit_n = np.arange(len(rows)) // size
    for of in (of_accuracy, of_f1_macro):
        score = of(label_n, pred_n, classes=CLASSES)
        interval = score.interval(unit_n)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert interval.high - interval.low > 0.01
        assert interval.value == pytest.approx(score.value)


def test_the_error_of_accuracy_is_that_of_a_share_and_grows_with_groups_that_agree() -> None:
    right_n = np.tile([1, 1, 1, 0], 25)
    score = of_accuracy(right_n, np.ones(100, dtype=int), classes=2)
    alone = np.arange(100)
    assert score.standard_error(alone) == pytest.approx(np.sqrt(0.75 * 0.25 / 99))
    agreeing = np.argsort(np.argsort(-right_n, kind="stable"), kind="stable") // 5  # rows of a unit are alike
    assert score.standard_error(agreeing) == pytest.approx(np.sqrt(5 * 0.75 * 0.25 / 95), rel=1e-6)


def test_where_all_are_right_a_unit_is_worth_one_row() -> None:
    label_n = np.arange(30) % 3
    interval = of_accuracy(label_n, label_n, classes=3).interval(np.arange(30) // 5)
    assert interval == wilson(6, 6)


def test_sums_and_differences_are_those_of_values_and_influences() -> None:
    one, other = Linearised(0.8, np.array([0.1, -0.1])), Linearised(0.6, np.array([0.3, -0.3]))
    step = (one - other) * 0.5
    assert step.value == pytest.approx(0.1)
    assert step.influence_n == pytest.approx([-0.1, 0.1])
    assert (one + step).value == pytest.approx(0.9)
    assert Linearised.mean([one, other]).influence_n == pytest.approx([0.2, -0.2])


def test_without_groups_a_difference_of_means_has_students_interval() -> None:
    difference_n = np.random.default_rng(0).normal(0.1, 1, size=50)
    ours, theirs = of_mean(difference_n).difference_interval(np.arange(50)), mean_difference(difference_n)
    assert ours == pytest.approx(theirs)
    twice = of_mean(np.repeat(difference_n, 2)).difference_interval(np.repeat(np.arange(50), 2))
    assert twice == pytest.approx(theirs)  # copies of a row tell nothing new
