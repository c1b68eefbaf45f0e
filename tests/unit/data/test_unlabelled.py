"""Rows without a label are left out of what is learned, and said; nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.data.manifest import Columns, Manifest, build_manifest, check_trainable
from trainer.data.unlabelled import labelled, labelled_rows
from trainer.features.extract import ExtractReport, Features

SPLITS = ["train", "train", "train", "val", "val", "test", "test"] * 3
LABELS = ["cat", "", "dog", "cat", "dog", "cat", ""] * 3


def rows(labels: list[str]) -> Manifest:
    names = [f"{i}.png" for i in range(len(labels))]
    return build_manifest("pets", Columns(sample_id=names, content=names, label=labels, split=SPLITS))


def test_they_are_counted_by_split_and_named() -> None:
    manifest = rows(LABELS)
    kept, said = labelled(manifest)
    assert len(kept) == 15
    assert (kept.label_n >= 0).all()
    assert kept.digest == manifest.digest
    assert said.startswith("Without a label, left out: 6 rows (train 3, test 3), such as '1.png'.")
    check_trainable(kept)


@pytest.mark.parametrize("labels", [["cat", "dog"] * 10 + ["cat"], [""] * 21])
def test_where_all_or_none_have_a_label_nothing_is_left_out(labels: list[str]) -> None:
    manifest = rows(labels)
    kept, said = labelled(manifest)
    assert kept is manifest
    assert said == ""


def test_a_row_with_none_of_several_labels_is_an_answer() -> None:
    manifest = replace(rows(LABELS), labels=("cat", "dog"), label_nc=np.zeros((21, 2), dtype=bool))
    assert len(labelled_rows(manifest)) == 21


def test_vectors_and_views_follow_their_rows() -> None:
    manifest = rows(LABELS)
    vectors_nd = np.arange(21, dtype=np.float32)[:, None]
    report = ExtractReport(*[None] * len(ExtractReport.__dataclass_fields__))  # type: ignore[arg-type]
    views_vnd = np.stack([vectors_nd[manifest.rows("train")] + 100])
    features = Features(manifest, vectors_nd, None, report, views_vnd=views_vnd)
    taken = features.take(labelled_rows(manifest))
    assert [f"{value:.0f}.png" for value in taken.vectors_nd[:, 0]] == list(taken.manifest.sample_id)
    assert taken.views_vnd is not None
    own = taken.vectors_nd[taken.manifest.rows("train")]
    np.testing.assert_array_equal(taken.views_vnd[0], own + 100)


# --- folders of images without a label ---------------------------------------------------------


def images_in(root: Path, *folders: str, each: int = 6) -> str:
    for number, name in enumerate(folders):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            Image.new("RGB", (8, 8), (number, i, len(name))).save(root / name / f"{i}.png")
    return str(root)


def labels_and_splits(manifest: Manifest, folder: str) -> tuple[set[str], set[str]]:
    rows = [i for i, one in enumerate(manifest.sample_id) if one.startswith(folder + "/")]
    assert rows
    label = {manifest.classes[manifest.label_n[i]] if manifest.label_n[i] >= 0 else "" for i in rows}
    return label, {str(manifest.split_n[i]) for i in rows}


def test_a_named_folder_beside_the_classes_holds_rows_without_a_label(tmp_path: Path) -> None:
    data = images_in(tmp_path, "cat", "dog", "pool/2024", "pool/2025")
    manifest = load(data, seed=0, unlabelled="pool")
    assert manifest.classes == ("cat", "dog")
    assert len(manifest) == 24
    assert labels_and_splits(manifest, "pool")[0] == {""}
    kept, said = labelled(manifest)
    assert len(kept) == 12
    assert said.startswith("Without a label, left out: 12 rows")
    check_trainable(kept)
    assert load(data, seed=0).classes != manifest.classes  # without the flag a class, as before


@pytest.mark.parametrize(
    ("folders", "named", "split"),
    [
        (["train/cat", "train/dog", "test/cat", "test/dog", "pool"], "pool", "train"),
        (["train/cat", "train/dog", "test/cat", "test/dog", "test/pool"], "test/pool", "test"),
        (["train/cat", "train/dog", "test/cat", "test/dog", "val/pool"], "val/pool", "train"),
        (["cat/train", "cat/test", "dog/train", "dog/test", "pool"], "pool", "train"),
        (["cat/train", "cat/test", "dog/train", "dog/test", "pool/test"], "pool/test", "test"),
    ],
)
def test_beside_splits_it_has_one_of_theirs_and_those_with_a_label_keep_their_own(
    tmp_path: Path, folders: list[str], named: str, split: str
) -> None:
    manifest = load(images_in(tmp_path, *folders), seed=0, unlabelled="pool")
    label, splits = labels_and_splits(manifest, named)
    assert label == {""}
    assert splits <= {split, "val"}  # of train, some become val
    kept, _ = labelled(manifest)
    for one, where in zip(kept.sample_id, kept.split_n, strict=True):
        assert ("test" in one) == (where == "test")
    assert set(kept.split_n) == {"train", "val", "test"}


def test_a_test_folder_without_labels_leaves_the_classes_of_train(tmp_path: Path) -> None:
    data = images_in(tmp_path, "train/cat", "train/dog", "test")
    with pytest.raises(InputError, match="If these images have no labels, pass --unlabelled test, or"):
        load(data, seed=0)
    manifest = load(data, seed=0, unlabelled="test")
    assert labels_and_splits(manifest, "test")[0] == {""}
    assert set(labelled(manifest)[0].split_n) == {"train", "val", "test"}


def test_one_class_beside_it_is_a_class(tmp_path: Path) -> None:
    manifest = load(images_in(tmp_path, "cat", "pool"), seed=0, unlabelled="pool")
    assert manifest.classes == ("cat",)
    assert int((manifest.label_n < 0).sum()) == 6


def test_the_folder_that_fiftyone_writes_is_read_where_it_is_named(tmp_path: Path) -> None:
    data = images_in(tmp_path, "cat", "dog", "_unlabeled")
    assert len(load(data, seed=0)) == 12
    assert len(load(data, seed=0, unlabelled="_unlabeled")) == 18


@pytest.mark.parametrize(
    ("folders", "named", "reason"),
    [
        (["cat", "dog"], "pool", "no folder of that name with images in it. Its folders: 'cat', 'dog'"),
        (["cat", "dog"], "", "no folder of that name"),
        (["cat", "pool"], "cat/pool", "no folder of that name"),
        (["pool/cat", "pool/dog"], "pool", "every image of .* is in a folder of that name"),
    ],
)
def test_a_name_that_leaves_nothing_is_refused(
    tmp_path: Path, folders: list[str], named: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        load(images_in(tmp_path, *folders), seed=0, unlabelled=named)


def test_images_beside_the_folders_still_need_a_class(tmp_path: Path) -> None:
    data = images_in(tmp_path, "cat", "dog", "pool", ".")
    with pytest.raises(InputError, match=r"6 images without a class, such as '0.png'"):
        load(data, seed=0, unlabelled="pool")


def test_where_labels_come_from_elsewhere_it_is_refused(tmp_path: Path) -> None:
    data = images_in(tmp_path, "cat", "dog", "pool")
    (tmp_path / "metadata.csv").write_text("file_name,label\ncat/0.png,cat\n")
    with pytest.raises(InputError, match=r"labels of .* are in metadata: leave the label of a row empty"):
        load(data, seed=0, unlabelled="pool")
    (tmp_path / "metadata.csv").write_text("file_name,caption\npool/0.png,a tail\n")
    manifest = load(data, seed=0, unlabelled="pool")
    assert manifest.caption[manifest.sample_id.index("pool/0.png")] == "a tail"
    for other in ("demo", str(tmp_path / "metadata.csv"), "hf:owner/name", str(tmp_path / "absent")):
        with pytest.raises(InputError, match=r"is for a folder of class folders, and .* is none"):
            load(other, seed=0, unlabelled="pool")
