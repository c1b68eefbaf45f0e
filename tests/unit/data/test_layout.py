"""Whatever the folders are called: no image is lost, and none is read twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.layout import Folder, understand
from trainer.data.listing import ImageFile
from trainer.data.split import split_in_name

NAMES = st.sampled_from(
    ["train", "test", "val", "seg_train", "seg_test", "seg_pred", "_unlabeled", "images", "masks", "a", "b"]
)


def listed(folders: set[Folder]) -> dict[Folder, list[ImageFile]]:
    return {
        folder: [ImageFile(Path(*folder, "0.png"), (*folder, "0.png"), len(folder), "")] for folder in folders
    }


@given(st.sets(st.lists(NAMES, max_size=4).map(tuple), min_size=1, max_size=9))
def test_every_folder_is_placed_or_passed_over_once(folders: set[Folder]) -> None:
    placed_once(folders, None)


@given(st.sets(st.lists(NAMES, max_size=4).map(tuple), min_size=1, max_size=9), NAMES)
def test_so_it_is_where_some_have_no_label(folders: set[Folder], unlabelled: str) -> None:
    placed_once(folders, unlabelled)


def placed_once(folders: set[Folder], unlabelled: str | None) -> None:
    try:
        layout = understand(listed(folders), {}, "data", unlabelled=unlabelled)
    except InputError:
        return
    passed_over = {
        folder for folder in folders if any(folder[: len(one)] == one for one in layout.passed_over)
    }
    assert set(layout.places) | passed_over == folders
    assert not set(layout.places) & passed_over
    splits = {place.split for place in layout.places.values()}
    assert "" not in splits or splits == {""}
    assert all(layout.places[folder].label == "" for folder in layout.unlabelled)
    if unlabelled is not None:
        assert {folder for folder in layout.places if unlabelled in folder} == layout.unlabelled


@pytest.mark.parametrize(
    ("name", "split", "rest"),
    [
        ("Training", "train", ()),
        ("test_set", "test", ()),
        ("seg_train", "train", ("seg",)),
        ("validationData", "val", ()),
        ("valset", "val", ()),
        ("val2017", "val", ()),
        ("bullet_train", "train", ("bullet",)),
    ],
)
def test_a_split_is_found_in_a_name(name: str, split: str, rest: tuple[str, ...]) -> None:
    assert split_in_name(name) == (split, rest)


@pytest.mark.parametrize("name", ["plane", "trains", "contest", "train_val", "", "0001"])
def test_other_names_speak_of_no_split(name: str) -> None:
    assert split_in_name(name) is None
