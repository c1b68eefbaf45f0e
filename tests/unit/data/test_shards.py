"""Tar shards as webdataset has them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.image_files import encoded, noise
from trainer.core.errors import InputError
from trainer.data.decode import decode
from trainer.data.load import load


def shard(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def samples(first: int, count: int, **more: str) -> dict[str, bytes]:
    """As img2dataset writes them: image, caption, JSON."""
    members: dict[str, bytes] = {}
    for i in range(first, first + count):
        members[f"{i:05d}.png"] = encoded(noise(i))
        members[f"{i:05d}.txt"] = f"number {i}".encode()
        members[f"{i:05d}.json"] = json.dumps(
            {"key": f"{i:05d}", "label": f"c{i % 2}", "caption": "?"} | more
        ).encode()
    return members


def test_shards_give_rows_whose_images_stay_where_they_are(tmp_path: Path) -> None:
    shard(tmp_path / "00000.tar", samples(0, 8))
    shard(tmp_path / "00001.tar", samples(8, 8, group="g"))
    manifest = load(str(tmp_path), seed=0)
    assert len(manifest) == 16
    assert manifest.classes == ("c0", "c1")
    assert manifest.sample_id[9] == "00001/00009"
    assert manifest.caption[9] == "number 9"  # the .txt counts for more than the .json
    assert manifest.group[9] == "g"
    assert manifest.images is not None
    assert not any(isinstance(image, bytes) for image in manifest.images)
    assert all((decode(image) == noise(i)).all() for i, image in enumerate(manifest.images))


def test_the_folders_of_shards_are_splits_and_a_single_shard_is_data_too(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "val", "test")):
        shard(tmp_path / split / f"{i}.tar", samples(8 * i, 8))
    manifest = load(str(tmp_path), seed=0)
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [8, 8, 8]
    assert len(load(str(tmp_path / "train" / "0.tar"), seed=0)) == 8


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.77, 0.9])
def test_a_shard_cut_short_keeps_its_whole_images_and_is_named(tmp_path: Path, keep: float) -> None:
    whole = shard(tmp_path / "00000.tar", samples(0, 12))
    data = whole.read_bytes().rstrip(b"\0")
    whole.write_bytes(data[: int(len(data) * keep)])
    manifest = load(str(whole), seed=0)
    assert 0 < len(manifest) < 12
    assert manifest.images is not None
    assert all((decode(image) == noise(i)).all() for i, image in enumerate(manifest.images))
    assert [q.path for q in manifest.quarantined if "truncated" in q.reason] == ["00000.tar"]


def test_a_shard_cut_between_two_files_is_noticed_too(tmp_path: Path) -> None:
    whole = shard(tmp_path / "00000.tar", samples(0, 4))
    with tarfile.open(whole) as tar:
        third = tar.getmembers()[6]
    whole.write_bytes(whole.read_bytes()[: third.offset])
    assert "truncated" in load(str(whole), seed=0).quarantined[0].reason


def test_a_key_without_an_image_and_a_shard_that_is_none_are_quarantined(tmp_path: Path) -> None:
    shard(tmp_path / "00000.tar", samples(0, 4) | {"lonely.txt": b"no image"})
    (tmp_path / "00001.tar").write_bytes(b"not a tar at all" * 100)
    quarantined = dict(load(str(tmp_path), seed=0).quarantined)
    assert quarantined["00000/lonely"] == "a key without an image (it has .txt)"
    assert "damaged" in quarantined["00001.tar"]


def test_shards_without_images_are_refused(tmp_path: Path) -> None:
    shard(tmp_path / "00000.tar", {"a.txt": b"x"})
    with pytest.raises(InputError, match=r"no usable images.*a key without an image"):
        load(str(tmp_path), seed=0)


def test_an_image_that_vanished_from_its_shard_is_an_error_of_the_disk(tmp_path: Path) -> None:
    path = shard(tmp_path / "00000.tar", samples(0, 4))
    manifest = load(str(path), seed=0)
    path.write_bytes(path.read_bytes()[:2000])
    assert manifest.images is not None
    with pytest.raises(OSError, match="is truncated"):
        manifest.images[3].read_bytes()  # type: ignore[union-attr]
