"""Copies of an image are found, kept on one side of a split, and refused in train and test at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.image_files import encoded, noise
from trainer.core.errors import InputError
from trainer.data.duplicates import (
    check_leaks,
    describe_label_conflicts,
    drop_label_conflicts,
    duplicate_rows,
    groups_drawn,
    indivisible_units,
    label_conflicts,
    redundant_rows,
    unit_numbers,
)
from trainer.data.load import load
from trainer.data.manifest import Columns, Manifest, build_manifest


def _manifest(content: str, split: str) -> Manifest:
    full = {"r": "train", "v": "val", "t": "test"}
    return build_manifest(
        "toy",
        Columns(
            sample_id=[f"row{i}" for i in range(len(content))],
            label=["a", "b"] * (len(content) // 2) + ["a"] * (len(content) % 2),
            split=[full[one] for one in split],
            content=list(content),
        ),
    )


def test_copies_are_found_in_order_of_first_appearance() -> None:
    assert [rows.tolist() for rows in duplicate_rows("xayaxx")] == [[0, 4, 5], [1, 3]]
    assert duplicate_rows("abc") == []


def test_of_copies_a_test_row_stays_before_a_val_row_before_the_first() -> None:
    goes_n = redundant_rows(_manifest("aaabbbcc", "rvtrvrrr"))
    assert np.flatnonzero(goes_n).tolist() == [0, 1, 3, 5, 7]


def test_an_image_in_train_and_test_is_refused_and_both_rows_are_named() -> None:
    with pytest.raises(
        InputError, match=r"toy: 1 duplicate .*row1 and row3.*--drop-duplicates.*--allow-leaks"
    ):
        check_leaks(_manifest("abcb", "rrvt"))
    check_leaks(_manifest("abbccd", "rrrttv"))


def test_copies_with_different_labels_are_conflicts_and_are_dropped_whole() -> None:
    manifest = _manifest("aabbcacd", "rrrtrrvv")  # labels a, b, a, b …
    conflicts = label_conflicts(manifest)
    assert [rows.tolist() for rows in conflicts] == [[0, 1, 5], [2, 3]]
    assert describe_label_conflicts(manifest, conflicts[:1]) == (
        "1 vector occurs with several labels: row0 (a) and row1 (b) and row5 (b)."
    )
    kept = drop_label_conflicts(manifest, conflicts)
    assert kept.sample_id == ("row4", "row6", "row7")
    assert (kept.dropped_conflicts, kept.digest != manifest.digest) == (5, True)
    unlabelled = replace(manifest, label_n=np.full(len(manifest), -1))
    assert label_conflicts(unlabelled) == []


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "", "g", "h", "i"])), max_size=30)
)
def test_bound_rows_are_those_that_share_an_image_or_a_group_in_any_number_of_steps(
    rows: list[tuple[str, str]],
) -> None:
    unit = indivisible_units([content for content, _ in rows], [group for _, group in rows])
    n = len(rows)
    linked = np.eye(n, dtype=bool)
    for i in range(n):
        for j in range(n):
            linked[i, j] |= rows[i][0] == rows[j][0] or (rows[i][1] == rows[j][1] != "")
    for _ in range(n):
        linked = linked @ linked
    for i in range(n):
        for j in range(n):
            together = i == j or (unit[i] == unit[j] != "")
            assert together == linked[i, j]


def test_rows_of_a_group_and_copies_of_an_image_are_one_unit_and_groups_of_one_row_are_none() -> None:
    manifest = replace(_manifest("abcbd", "ttttr"), group=("g", "", "", "h", "h"))
    assert unit_numbers(manifest).tolist() == [0, 1, 2, 1, 1]
    assert groups_drawn(manifest) == 3
    alone = replace(_manifest("abcde", "ttttr"), group=("g", "", "h", "i", "i"))
    assert groups_drawn(alone) is None


def test_splits_that_are_drawn_never_divide_copies(tmp_path: Path) -> None:
    for i in range(60):
        for kind in ("a", "b"):
            (tmp_path / kind).mkdir(exist_ok=True)
            content = noise(i % 20 if kind == "a" else 100 + i)
            (tmp_path / kind / f"{i}.png").write_bytes(encoded(content))
    manifest = load(str(tmp_path), seed=0)
    assert len(duplicate_rows(manifest.content)) == 20
    check_leaks(manifest)
    assert {str(split) for split in manifest.split_n} == {"train", "val", "test"}
