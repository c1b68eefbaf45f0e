"""The interval of macro-F1: against the bootstrap, with few rows of a class, with nothing to vary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trainer.stats.intervals import confusion_matrix, f1_macro, wilson
from trainer.stats.macro_f1 import macro_f1_interval, rows_per_class


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 9),
    rows=st.integers(1, 60),
    units=st.one_of(st.none(), st.integers(1, 8)),
)
def test_the_interval_holds_scikit_learns_macro_f1_and_has_a_width(
    seed: int, classes: int, rows: int, units: int | None
) -> None:
    random = np.random.default_rng(seed)
    label, pred = random.integers(classes, size=(2, rows))
    unit = None if units is None else random.integers(units, size=rows)
    found = macro_f1_interval(label, pred, classes=classes, unit_n=unit, seed=0, draws=30)
    assert found.value == pytest.approx(f1_score(label, pred, average="macro", zero_division=0))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 1e-3


def test_with_many_rows_of_each_class_it_is_that_of_the_bootstrap_over_rows() -> None:
    random = np.random.default_rng(0)
    label = random.integers(4, size=300)
    pred = np.where(random.random(300) < 0.7, label, random.integers(4, size=300))
    found = macro_f1_interval(label, pred, classes=4, seed=1)
    drawn = random.integers(300, size=(1500, 300))
    by_rows = [float(f1_macro(confusion_matrix(label[rows], pred[rows], classes=4))) for rows in drawn]
    assert found[1:] == pytest.approx(np.quantile(by_rows, [0.025, 0.975]), abs=0.01)


def test_with_five_rows_of_each_class_it_covers_what_it_says() -> None:
    """37 classes as easily mistaken as Oxford Pets'; percentiles of draws cover 84 %."""
    random = np.random.default_rng(0)
    chance_cc = np.full((37, 37), 0.0)
    for index, recall in enumerate(random.beta(2, 1.2, size=37)):
        chance_cc[index, (index + np.array([1, 2, 5])) % 37] = (1 - recall) / 3
        chance_cc[index, index] = recall
    truth = float(f1_macro(chance_cc))
    label = np.repeat(np.arange(37), 5)
    covered = 0
    for trial in range(100):
        pred = (random.random(len(label))[:, None] > chance_cc.cumsum(1)[label]).sum(1).clip(max=36)
        found = macro_f1_interval(label, pred, classes=37, seed=trial, draws=200)
        covered += found.low <= truth <= found.high
    assert covered >= 90


def test_where_all_answers_are_right_it_is_wilsons_of_classes_as_small_as_the_smallest() -> None:
    label = np.array([0] * 50 + [1] * 5)
    assert macro_f1_interval(label, label, classes=2, seed=0) == wilson(10, 10)
    balanced = np.repeat(np.arange(37), 5)
    assert macro_f1_interval(balanced, balanced, classes=37, seed=0) == wilson(185, 185)
    nothing = macro_f1_interval(label, 1 - label, classes=2, seed=0)
    assert nothing == wilson(0, 10)
    unit = np.repeat(np.arange(11), 5)  # one group of class 1
    assert macro_f1_interval(label, label, classes=2, unit_n=unit, seed=0) == wilson(2, 2)


def test_rows_of_a_class_are_counted_at_the_median_class_that_occurs() -> None:
    assert rows_per_class(np.array([0, 0, 0, 0, 5, 5, 7])) == 2
