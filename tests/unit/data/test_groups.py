"""Groups come from names; splits that are drawn never divide them, data whose own splits do are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import SHARED
from trainer.core.errors import InputError
from trainer.data.duplicates import indivisible_units
from trainer.data.groups import check_group_leaks, drop_shared_groups, groups_across_splits, with_groups
from trainer.data.load import load
from trainer.data.manifest import SPLITS, Columns, Manifest, Quarantined, build_manifest
from trainer.data.split import complete_splits

FULL = {"r": "train", "v": "val", "t": "test"}
PERSON = r"(person\d+)_"
PEOPLE = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=50
)


def _manifest(group: str, split: str) -> Manifest:
    """One row for each letter; "-" is a row of no group."""
    return build_manifest(
        "toy",
        Columns(
            sample_id=[f"row{i}" for i in range(len(group))],
            label=["a"] * len(group),
            split=[FULL[one] for one in split],
            content=[f"c{i}" for i in range(len(group))],
            group=["" if one == "-" else one for one in group],
        ),
    )


def _drawn(rows: list[tuple[int, int, int]], given: list[str]) -> Manifest:
    """Rows of (person, class, image) with splits that a reader drew when it knew no groups."""
    label = [f"class{kind}" for _, kind, _ in rows]
    content = [f"c{image}" for _, _, image in rows]
    split_n, made = complete_splits(
        np.array(given, dtype="U5"),
        np.array(label),
        indivisible_units(content, [""] * len(rows)),
        seed=0,
        name="toy",
    )
    sample_id = [f"x/person{person}_{i}.png" for i, (person, _, _) in enumerate(rows)]
    return build_manifest(
        "toy", Columns(sample_id=sample_id, label=label, split=split_n, content=content), drawn_splits=made
    )


@given(PEOPLE, st.integers(0, 3))
def test_splits_that_are_drawn_divide_neither_groups_nor_copies(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    manifest = with_groups(_drawn(rows, [""] * len(rows)), PERSON, seed=seed)
    assert groups_across_splits(manifest) == {}
    unit = indivisible_units(manifest.content, manifest.group)
    assert all(len(set(manifest.split_n[np.array(unit) == one])) == 1 for one in set(unit))
    assert manifest.drawn_splits == SPLITS


@given(PEOPLE, st.integers(1, 10))
def test_val_is_drawn_anew_from_train_and_the_datas_own_test_stays(
    rows: list[tuple[int, int, int]], n_test: int
) -> None:
    before = _drawn(
        [*rows, *[(100 + i, 0, 100 + i) for i in range(n_test)]], ["train"] * len(rows) + ["test"] * n_test
    )
    after = with_groups(before, PERSON, seed=1)
    assert after.rows("test").tolist() == before.rows("test").tolist()
    assert groups_across_splits(after) == {}
    assert after.drawn_splits == ("val",)


def test_splits_are_drawn_as_a_reader_that_knew_the_groups_would_have_drawn_them() -> None:
    before = _drawn([(i // 3, i % 12, i % 110) for i in range(120)], [""] * 120)
    after = with_groups(before, PERSON, seed=3)
    label = np.array([before.classes[i] for i in before.label_n])
    group = [f"person{i // 3}" for i in range(120)]
    split_n, _ = complete_splits(
        np.array([""] * 120), label, indivisible_units(before.content, group), seed=3, name="toy"
    )
    assert after.group == tuple(group)
    assert after.split_n.tolist() == split_n.tolist()


def test_the_group_is_the_first_bracket_or_the_whole_match_and_else_what_it_was() -> None:
    manifest = build_manifest(
        "toy",
        Columns(
            sample_id=["p1_a", "p2_b", "q"],
            label=["b", "", "a"],
            split=["train", "test", "val"],
            content=["x", "y", "z"],
            group=["old", "", "old"],
        ),
    )
    assert with_groups(manifest, r"p(\d)_([ab])", seed=0).group == ("1", "2", "old")
    assert with_groups(manifest, r"p\d", seed=0).group == ("p1", "p2", "old")
    assert with_groups(manifest, r"p(?:(2)|\d)", seed=0).group == ("old", "2", "old")
    assert with_groups(manifest, r"p\d|x*", seed=0).group == ("p1", "p2", "old")


def test_all_other_columns_stay_and_the_digest_tells_the_groups() -> None:
    before = build_manifest(
        "toy",
        Columns(
            sample_id=["p1_a", "p1_b", "q"],
            label=["b10", "", "b2"],
            split=["train", "test", "val"],
            content=["x", "y", "z"],
            caption=["one", "", "three"],
            images=[b"x", b"y", b"z"],
            features_nd=np.eye(3, dtype=np.float32),
            corrupted=["", "wrong", ""],
        ),
        quarantined=[Quarantined("bad.png", "empty")],
    )
    after = with_groups(before, "p1", seed=0)
    same = ("name", "sample_id", "classes", "caption", "images", "content", "quarantined", "corrupted")
    for column in same:
        assert getattr(after, column) == getattr(before, column)
    for column in ("label_n", "split_n", "features_nd"):
        assert getattr(after, column).tolist() == getattr(before, column).tolist()
    assert len({before.digest, after.digest, with_groups(before, "p1_a", seed=0).digest}) == 3


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(person", r"--groups '\(person' is not a regular expression: missing \)"),
        ("a{99999999999999999999}", r"--groups .* is not a regular expression"),
        (PERSON, r"--groups .* matches none of the 2 rows of toy.*'row0'"),
    ],
)
def test_a_pattern_that_finds_nothing_is_refused_with_what_it_was_searched_in(
    pattern: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        with_groups(_manifest("--", "rt"), pattern, seed=0)


def test_a_group_in_two_splits_is_refused_whichever_two_they_are() -> None:
    check_group_leaks(_manifest("aab-bc--", "rrvrvtvt"))
    with pytest.raises(
        InputError,
        match=r"toy: 3 groups .*\(a in train and test; b in train and val; c in val and test\), .*"
        r"--drop-shared-groups.*--allow-leaks",
    ):
        check_group_leaks(_manifest("aabbcc--d", "rtrvvtrtr"))


def test_of_many_divided_groups_five_are_named() -> None:
    with pytest.raises(InputError, match=r"6 groups .*e in train and test; …\)"):
        check_group_leaks(_manifest("aabbccddeeff", "rtrtrtrtrtrt"))


def test_of_a_divided_group_the_rows_of_test_stay_or_else_of_val() -> None:
    manifest = _manifest("aaabbbc-d-", "rvtrrvrrtv")
    assert {name: rows.tolist() for name, rows in groups_across_splits(manifest).items()} == {
        "a": [0, 1, 2],
        "b": [3, 4, 5],
    }
    assert drop_shared_groups(manifest).sample_id == ("row2", "row5", "row6", "row7", "row8", "row9")


@given(st.lists(st.tuples(st.sampled_from("abcd-"), st.sampled_from("rvt")), max_size=30))
def test_after_dropping_no_group_is_divided_and_no_test_row_is_gone(rows: list[tuple[str, str]]) -> None:
    before = _manifest("".join(one for one, _ in rows), "".join(split for _, split in rows))
    after = drop_shared_groups(before)
    check_group_leaks(after)
    assert set(before.group) == set(after.group)
    assert [before.sample_id[i] for i in before.rows("test")] == [
        after.sample_id[i] for i in after.rows("test")
    ]


@pytest.mark.skipif(not (SHARED / "pneumonia").is_dir(), reason="the shared pneumonia images are not here")
def test_patients_of_the_pneumonia_set_who_stand_in_two_splits_are_found() -> None:
    manifest = with_groups(load(str(SHARED / "pneumonia"), seed=0), PERSON, seed=0)
    splits = [set(manifest.split_n[rows]) for rows in groups_across_splits(manifest).values()]
    assert sum({"train", "test"} <= one for one in splits) == 21
    assert sum({"val", "test"} <= one for one in splits) == 7
    left = drop_shared_groups(manifest)
    check_group_leaks(left)
    assert len(left.rows("test")) == len(manifest.rows("test"))
