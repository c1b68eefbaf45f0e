"""Drawing splits: stratified, seeded, groups kept whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.split import complete_splits, grouped_stratified_split

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["", "", "a", "b", "c", "d", "e", "f"])),
    min_size=1,
    max_size=60,
)


def _columns(rows: list[tuple[int, str]], *, pure: bool = False) -> tuple[np.ndarray, list[str]]:
    label_n = np.array([label for label, _ in rows])
    return label_n, [f"{label}{name}" if pure and name else name for label, name in rows]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 5))
def test_a_group_is_never_divided(rows: list[tuple[int, str]], seed: int) -> None:
    label_n, group = _columns(rows)
    split_n = grouped_stratified_split(label_n, group, seed=seed)
    for name in set(group) - {""}:
        assert len({split_n[i] for i, one in enumerate(group) if one == name}) == 1


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 5))
def test_a_class_with_three_groups_of_its_own_is_in_every_split(
    rows: list[tuple[int, str]], seed: int
) -> None:
    label_n, group = _columns(rows, pure=True)
    split_n = grouped_stratified_split(label_n, group, seed=seed)
    for label in np.unique(label_n):
        mine = np.flatnonzero(label_n == label)
        units = len({group[i] for i in mine} - {""}) + sum(group[i] == "" for i in mine)
        assert len(set(split_n[mine])) == min(units, 3)
        if units:
            assert "train" in split_n[mine]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 5))
def test_without_groups_each_class_keeps_its_share_to_within_a_row(labels: list[int], seed: int) -> None:
    label_n = np.array(labels)
    split_n = grouped_stratified_split(label_n, [""] * len(labels), seed=seed)
    for label in np.unique(label_n):
        n = int((label_n == label).sum())
        if n >= 7:  # below, one row for each split goes first
            counts = [
                int(((label_n == label) & (split_n == split)).sum()) for split in ("train", "val", "test")
            ]
            assert np.abs(np.array(counts) - n * np.array([0.70, 0.15, 0.15])).max() < 1.01


def test_the_same_seed_draws_the_same_split_and_another_seed_another() -> None:
    label_n = np.arange(100) % 3
    group = [f"g{i // 2}" if i % 4 else "" for i in range(100)]
    first, again, other = (grouped_stratified_split(label_n, group, seed=seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_whole_groups_come_within_one_group_of_the_shares() -> None:
    label_n = np.repeat(np.arange(60) % 2, 5)
    group = [f"patient{i // 5}" for i in range(300)]
    split_n = grouped_stratified_split(label_n, group, seed=0)
    for label in (0, 1):
        counts = [int(((label_n == label) & (split_n == split)).sum()) for split in ("train", "val", "test")]
        assert np.abs(np.array(counts) - [105, 22.5, 22.5]).max() <= 5


def test_val_is_drawn_from_train_and_test_stays() -> None:
    label_n = np.arange(100) % 2
    given_n = np.where(np.arange(100) < 80, "train", "test")
    split_n, made = complete_splits(given_n, label_n, [""] * 100, seed=0, name="data")
    assert made == ("val",)
    assert (split_n[80:] == "test").all()
    assert (split_n[:80] == "val").sum() == 12
    assert set(label_n[split_n == "val"]) == {0, 1}


def test_complete_splits_are_left_alone() -> None:
    given_n = np.array(["test", "train", "val"])
    split_n, made = complete_splits(given_n, np.array([0, 0, 1]), [""] * 3, seed=0, name="data")
    assert (split_n.tolist(), made) == (["test", "train", "val"], ())


def test_no_rows_are_no_error() -> None:
    split_n, _ = complete_splits(np.array([], dtype=str), np.array([], dtype=int), [], seed=0, name="data")
    assert len(split_n) == 0


@pytest.mark.parametrize(
    ("present", "absent"),
    [(["train"], "no val and no test"), (["train", "val"], "no test"), (["val", "test"], "no train")],
)
def test_a_missing_split_is_named_not_guessed(present: list[str], absent: str) -> None:
    with pytest.raises(InputError, match=f"faces has .* but {absent}"):
        complete_splits(
            np.array(present), np.zeros(len(present), int), [""] * len(present), seed=0, name="faces"
        )
