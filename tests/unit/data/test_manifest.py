"""Rows, their digest, what can be trained on, and the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.data.manifest import Columns, Manifest, build_manifest, check_trainable, natural_key


def _manifest(label: str, split: str, *, made: tuple[str, ...] = ()) -> Manifest:
    """One character per row: class and (t)rain, (v)al, t(e)st."""
    names = {"t": "train", "v": "val", "e": "test"}
    return build_manifest(
        "toy",
        Columns(
            sample_id=[f"row{i}" for i in range(len(label))],
            label=list(label),
            split=[names[one] for one in split],
            content=["00" * 32] * len(label),
            caption=[f"caption {i}" for i in range(len(label))],
            images=[bytes([i]) for i in range(len(label))],
            corrupted=[f"how {i}" for i in range(len(label))],
        ),
        drawn_splits=made,
    )


def test_taking_rows_moves_all_columns_together_and_keeps_the_digest() -> None:
    whole = _manifest("aabb", "ttve")
    part = whole.take([3, 1])
    assert part.sample_id == ("row3", "row1")
    assert part.label_n.tolist() == [1, 0]
    assert part.split_n.tolist() == ["test", "train"]
    assert part.caption == ("caption 3", "caption 1")
    assert part.images == (b"\x03", b"\x01")
    assert part.corrupted == ("how 3", "how 1")
    assert part.classes == whole.classes
    assert part.digest == whole.digest
    assert len(whole.take([])) == 0


def test_the_digest_does_not_depend_on_the_order_of_reading() -> None:
    columns = {
        "sample_id": ["a", "b"],
        "label": ["x", "y"],
        "split": ["train", "val"],
        "content": ["11", "22"],
    }
    backwards = {name: list(reversed(values)) for name, values in columns.items()}
    assert (
        build_manifest("one", Columns(**columns)).digest
        == build_manifest("other", Columns(**backwards)).digest
    )


@pytest.mark.parametrize("column", ["sample_id", "label", "split", "content", "caption", "group"])
def test_the_digest_depends_on_every_column(column: str) -> None:
    columns = {
        "sample_id": ["a", "b"],
        "label": ["x", "y"],
        "split": ["train", "val"],
        "content": ["11", "22"],
        "caption": ["", "c"],
        "group": ["", "g"],
    }
    before = build_manifest("toy", Columns(**columns)).digest
    columns[column] = [columns[column][0], "test"]
    assert build_manifest("toy", Columns(**columns)).digest != before


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two rows are named 'a'"):
        build_manifest(
            "toy", Columns(sample_id=["a", "a"], label=["x", "y"], split=["train"] * 2, content=["1", "2"])
        )


@given(st.permutations(["1", "01", "2", "10", "fold2", "fold10", "x", "x1y", "x1z"]))
def test_classes_stand_in_natural_order_whatever_comes_first(names: list[str]) -> None:
    expected = ["01", "1", "2", "10", "fold2", "fold10", "x", "x1y", "x1z"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(max_size=8)))
def test_any_class_names_can_be_ordered(names: list[str]) -> None:
    assert len(sorted(set(names), key=natural_key)) == len(set(names))


@pytest.mark.parametrize(
    ("label", "split", "made", "message"),
    [
        ("", "", (), "no usable rows"),
        ("aaa", "tve", (), "a single class, 'a'"),
        ("aabb", "tvee", (), r"too few rows of 'b' \(0\)"),
        ("aaabb", "tvett", ("train", "val", "test"), r"'b' \(2\).*at least 3 for train \+ val \+ test"),
        ("aabbe", "tvtve", ("val",), r"'e' \(0\).*at least 2 for train \+ val"),
        ("aaabbb", "tvevev", ("train", "val", "test"), "no training row of 'b'"),
        ("aabb", "tete", (), "no val rows"),
        ("aabb", "tvtv", (), "no test rows"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    label: str, split: str, made: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_trainable(_manifest(label, split, made=made))


def test_the_smallest_trainable_data_passes() -> None:
    check_trainable(_manifest("abab", "ttve"))
    check_trainable(_manifest("aaabbb", "tvetve", made=("train", "val", "test")))


def test_the_demo_is_real_images_with_captions_and_splits_of_its_own() -> None:
    pack = load("demo", seed=0)
    check_trainable(pack)
    assert 10 <= len(pack.classes) <= 16
    assert 1500 <= len(pack) <= 2500
    assert pack.images is not None
    assert decode(pack.images[0]).shape == (128, 128, 3)
    assert np.mean([caption != "" for caption in pack.caption]) > 0.98
    assert pack.drawn_splits == ()
    assert pack.digest == load("demo", seed=1).digest


def test_the_demo_separates_series_and_spoils_training_rows_alone() -> None:
    pack = load("demo", seed=0)
    splits: dict[str, set[str]] = {}
    for group, split in zip(pack.group, pack.split_n, strict=True):
        splits.setdefault(group, set()).add(str(split))
    assert max(len(found) for found in splits.values()) == 1
    assert pack.corrupted is not None
    spoiled = np.array([how != "" for how in pack.corrupted])
    assert 0.05 < spoiled[pack.rows("train")].mean() < 0.3
    assert not spoiled[pack.rows("val")].any()
    assert not spoiled[pack.rows("test")].any()


def test_what_is_not_there_is_refused_and_the_choices_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder .*demo; a folder of images.*\.npz"):
        load(str(tmp_path / "nothing"), seed=0)
    (tmp_path / "table.xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match="not a supported kind of data"):
        load(str(tmp_path / "table.xlsx"), seed=0)
