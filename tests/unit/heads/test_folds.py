"""Folds divide no unit and spread the classes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.heads.folds import assign_folds


@given(
    label=st.lists(st.integers(0, 4), min_size=12, max_size=80),
    groups=st.integers(6, 40),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_a_unit_is_in_one_fold_and_every_fold_has_rows(
    label: list[int], groups: int, folds: int, seed: int
) -> None:
    unit = [row % groups if row % 3 else 1000 + row for row in range(len(label))]
    fold_rn = assign_folds(np.array(label), np.array(unit), folds=folds, repeats=2, seed=seed)
    assert fold_rn.shape == (2, len(label))
    for fold_n in fold_rn:
        assert set(fold_n) == set(range(folds))
        for one in set(unit):
            assert len({int(fold_n[row]) for row in range(len(label)) if unit[row] == one}) == 1


def test_classes_are_spread_evenly_and_repeats_differ() -> None:
    label_n = np.repeat([0, 1, 2], [50, 30, 20])
    fold_rn = assign_folds(label_n, np.arange(100), folds=5, repeats=3, seed=0)
    for fold_n in fold_rn:
        counts = np.array([[np.sum((fold_n == f) & (label_n == c)) for c in range(3)] for f in range(5)])
        assert (counts == [10, 6, 4]).all()
    assert not np.array_equal(fold_rn[0], fold_rn[1])
    again = assign_folds(label_n, np.arange(100), folds=5, repeats=3, seed=0)
    assert np.array_equal(fold_rn, again)


def test_classes_of_fewer_rows_than_folds_are_taken_as_they_come() -> None:
    fold_rn = assign_folds(np.array([0, 0, 1, 1, 2, 2]), np.arange(6), folds=5, repeats=1, seed=0)
    assert set(fold_rn[0]) == set(range(5))
