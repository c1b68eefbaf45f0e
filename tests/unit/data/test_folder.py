"""Reading a folder of images."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import class_folders, encoded, noise
from tests.support.paths import SHARED
from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable

BAD_IMAGES = SHARED / "bad_images"


def _load(root: Path) -> Manifest:
    return load(str(root), seed=0)


def _reasons(manifest: Manifest) -> dict[str, str]:
    return dict(manifest.quarantined)


def test_class_folders_give_classes_and_all_splits_are_drawn(tmp_path: Path) -> None:
    manifest = _load(class_folders(tmp_path, {"10": 20, "2": 20}))
    assert manifest.classes == ("2", "10")
    assert manifest.sample_id[0] == "10/0.png"
    assert manifest.drawn_splits == ("train", "val", "test")
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [28, 6, 6]
    check_trainable(manifest)


def test_content_is_the_hash_of_the_file(tmp_path: Path) -> None:
    manifest = _load(class_folders(tmp_path, {"a": 1, "b": 1}))
    assert manifest.images is not None
    for path, content in zip(manifest.images, manifest.content, strict=True):
        assert isinstance(path, Path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == content


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_split_folders_are_kept(tmp_path: Path, val: str) -> None:
    for i, split in enumerate(("train", val, "test")):
        class_folders(tmp_path / split, {"a": 2, "b": 2}, first_seed=10 * i)
    manifest = _load(tmp_path)
    assert manifest.drawn_splits == ()
    assert manifest.classes == ("a", "b")
    assert {
        one.split("/")[0]
        for one, split in zip(manifest.sample_id, manifest.split_n, strict=True)
        if split == "val"
    } == {val}


def test_val_is_taken_from_train_where_there_is_only_test(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 20, "b": 20})
    class_folders(tmp_path / "test", {"a": 3, "b": 3}, first_seed=50)
    manifest = _load(tmp_path)
    assert manifest.drawn_splits == ("val",)
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [34, 6, 6]
    assert all(manifest.sample_id[row].startswith("test/") for row in manifest.rows("test"))


def test_a_missing_test_folder_is_named(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", {"a": 2})
    class_folders(tmp_path / "val", {"a": 2})
    with pytest.raises(InputError, match="has train and val but no test"):
        _load(tmp_path)


def test_a_folder_beside_the_split_folders_is_refused_not_guessed(tmp_path: Path) -> None:
    for folder in ("train", "test", "unlabelled"):
        class_folders(tmp_path / folder, {"a": 1})
    with pytest.raises(InputError, match="beside them 'unlabelled'"):
        _load(tmp_path)


def test_images_without_a_class_are_refused(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1})
    (tmp_path / "loose.png").write_bytes(encoded(noise(9)))
    with pytest.raises(InputError, match=r"1 image without a class, such as 'loose\.png'"):
        _load(tmp_path)


def test_a_folder_without_images_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no usable images.*one folder per class"):
        _load(tmp_path)


def test_hidden_files_other_extensions_and_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1, ".thumbs": 1})
    (tmp_path / "a" / ".hidden.png").write_bytes(encoded(noise(7)))
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "b" / "UPPER.PNG").write_bytes(encoded(noise(8)))
    manifest = _load(tmp_path)
    assert manifest.sample_id == ("a/0.png", "b/0.png", "b/UPPER.PNG")
    assert manifest.quarantined == ()


def test_what_only_looks_like_an_image_file_is_quarantined_and_never_opened(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    os.mkfifo(tmp_path / "a" / "pipe.jpg")  # opening it would wait for ever
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "a" / "device.jpg").symlink_to("/dev/zero")
    assert _reasons(_load(tmp_path)) == {
        "a/pipe.jpg": "not a regular file",
        "a/empty.jpg": "empty file",
        "a/gone.jpg": "a broken link",
        "a/device.jpg": "not a regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_quarantined(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 1})
    (tmp_path / "a" / "0.png").chmod(0)
    assert _reasons(_load(tmp_path)) == {"a/0.png": "cannot be read: Permission denied"}


def test_a_folder_named_like_an_image_is_a_folder(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "album.jpg").mkdir()
    (tmp_path / "a" / "album.jpg" / "1.png").write_bytes(encoded(noise(5)))
    assert "a/album.jpg/1.png" in _load(tmp_path).sample_id


def test_links_to_files_are_followed_and_link_loops_end(tmp_path: Path) -> None:
    class_folders(tmp_path / "data", {"a": 1, "b": 1})
    class_folders(tmp_path, {"elsewhere": 2}, first_seed=20)
    (tmp_path / "data" / "a" / "link.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    (tmp_path / "data" / "a" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "c").symlink_to(tmp_path / "elsewhere")
    manifest = _load(tmp_path / "data")
    assert manifest.sample_id == ("a/0.png", "a/link.png", "b/0.png", "c/0.png", "c/1.png")
    assert manifest.quarantined == ()


def test_a_name_that_is_not_utf8_is_kept_and_printable(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    name = os.fsencode(tmp_path / "a") + b"/caf\xe9.png"
    with open(name, "wb") as file:
        file.write(encoded(noise(3)))
    manifest = _load(tmp_path)
    row = manifest.sample_id.index("a/caf\\xe9.png")
    assert manifest.images is not None
    assert decode(manifest.images[row]).shape == (12, 16, 3)
    manifest.sample_id[row].encode("utf-8")


def test_the_digest_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    first = class_folders(tmp_path / "one", {"a": 2, "b": 2})
    second = class_folders(tmp_path / "two", {"a": 2, "b": 2})
    assert _load(first).digest == _load(second).digest
    (second / "a" / "0.png").write_bytes(encoded(noise(99)))
    assert _load(first).digest != _load(second).digest


# --- metadata ----------------------------------------------------------------------------------


def _write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_metadata_gives_captions_and_keeps_groups_together(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 12, "b": 12})
    rows = [
        {"file_name": f"{name}/{i}.png", "caption": f"{name} number {i}", "group": f"{name}{i // 3}"}
        for name in "ab"
        for i in range(12)
    ]
    _write_csv(tmp_path / "metadata.csv", rows)
    manifest = _load(tmp_path)
    row = manifest.sample_id.index("b/7.png")
    assert (manifest.caption[row], manifest.group[row]) == ("b number 7", "b2")
    splits = {
        group: {s for g, s in zip(manifest.group, manifest.split_n, strict=True) if g == group}
        for group in manifest.group
    }
    assert all(len(found) == 1 for found in splits.values())
    check_trainable(manifest)


def test_a_label_column_gives_the_classes_of_a_flat_folder(tmp_path: Path) -> None:
    lines = []
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(encoded(noise(i)))
        lines.append(json.dumps({"file_name": f"{i}.png", "label": i % 2, "captions": ["one", "two"]}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    manifest = _load(tmp_path)
    assert manifest.classes == ("0", "1")
    assert manifest.label_n.tolist() == [0, 1, 0, 1, 0, 1]
    assert manifest.caption[0] == "one | two"


def test_metadata_may_lie_in_each_split_folder(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "val", "test")):
        class_folders(tmp_path / split, {"a": 1, "b": 1}, first_seed=10 * i)
        _write_csv(tmp_path / split / "metadata.csv", [{"file_name": "a/0.png", "caption": split}])
    manifest = _load(tmp_path)
    assert manifest.caption[manifest.sample_id.index("val/a/0.png")] == "val"


def test_an_image_that_metadata_names_in_vain_is_quarantined(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    _write_csv(tmp_path / "metadata.csv", [{"file_name": "a/gone.png", "caption": "x"}])
    assert _reasons(_load(tmp_path)) == {"a/gone.png": "named in metadata.csv, but there is no such file"}


def test_an_image_to_which_metadata_gives_no_label_has_none(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 3})
    _write_csv(
        tmp_path / "metadata.csv",
        [{"file_name": "a/0.png", "label": "cat"}, {"file_name": "a/1.png", "label": ""}],
    )
    manifest = _load(tmp_path)
    assert dict(zip(manifest.sample_id, manifest.label_n, strict=True)) == {
        "a/0.png": 0,
        "a/1.png": -1,
        "a/2.png": -1,
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.csv", "name,label\n0.png,a\n", "none is file_name"),
        ("metadata.csv", "file_name\na/0.png\na/0.png\n", "is already in"),
        ("metadata.jsonl", '{"file_name": "a/0.png"}\n{"file', "cannot be read"),
        ("metadata.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("metadata.csv", "file_name,caption\na/0.png,\udce9\n", "cannot be read"),
    ],
)
def test_unusable_metadata_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1})
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        _load(tmp_path)


# --- good, odd and broken files, with the verdict expected of each --------------------------------


@pytest.mark.skipif(not BAD_IMAGES.is_dir(), reason="needs ../shared/data/bad_images")
def test_every_file_of_the_bad_images_gets_its_verdict() -> None:
    with (BAD_IMAGES / "EXPECTED.tsv").open(encoding="utf-8") as file:
        expected = {row["path"]: row["verdict"] for row in csv.DictReader(file, delimiter="\t")}
    manifest = _load(BAD_IMAGES)
    assert manifest.images is not None
    verdicts = dict.fromkeys(_reasons(manifest), "quarantine")
    for sample_id, path in zip(manifest.sample_id, manifest.images, strict=True):
        try:
            decode(path)
            verdicts[sample_id] = "keep"
        except DecodeError:
            verdicts[sample_id] = "quarantine"
    assert {path: verdicts.get(path, "ignore") for path in expected} == expected
    assert set(verdicts) <= set(expected)


@pytest.mark.skipif(not BAD_IMAGES.is_dir(), reason="needs ../shared/data/bad_images")
def test_the_16_bit_image_is_not_white_and_the_turned_one_stands() -> None:
    grey = decode(BAD_IMAGES / "alpha" / "gray16.png")
    assert 50 < np.median(grey) < 200
    assert decode(BAD_IMAGES / "alpha" / "exif_rot.jpg").shape == (80, 60, 3)
