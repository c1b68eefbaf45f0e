"""Tables of images: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.support.image_files import encoded, noise
from trainer.core.errors import InputError
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.data.manifest import Manifest, check_trainable

LABELS = ["cat", "dog"] * 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in range(len(LABELS)):
        (tmp_path / "images" / f"{i}.png").write_bytes(encoded(noise(i)))
    return tmp_path


def _lines(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _pixels_are_their_own(manifest: Manifest) -> bool:
    assert manifest.images is not None
    number = [int(Path(one).stem.rsplit("/", 1)[-1]) for one in manifest.sample_id]
    return all((decode(image) == noise(i)).all() for i, image in zip(number, manifest.images, strict=True))


@pytest.mark.parametrize(("suffix", "between"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_of_paths_gives_label_caption_group_and_split(
    folder: Path, suffix: str, between: str
) -> None:
    splits = ["train"] * 8 + ["valid"] * 2 + ["Test"] * 2
    rows = [
        between.join([f"images/{i}.png", label, f'"a {label}, number {i}"', f"g{i}", splits[i]])
        for i, label in enumerate(LABELS)
    ]
    header = between.join(["Path", "label", "caption", "group", "split"])
    manifest = load(_lines(folder / f"table{suffix}", header, *rows), seed=0)
    check_trainable(manifest)
    assert manifest.classes == ("cat", "dog")
    assert manifest.caption[3] == "a dog, number 3"
    assert manifest.group[3] == "g3"
    assert [len(manifest.rows(split)) for split in ("train", "val", "test")] == [8, 2, 2]
    assert manifest.drawn_splits == ()
    assert _pixels_are_their_own(manifest)


def test_class_names_stay_as_they_are_written(folder: Path) -> None:
    rows = [f'images/{i}.png,"{"007" if label == "cat" else "1.50"}"' for i, label in enumerate(LABELS)]
    manifest = load(_lines(folder / "t.csv", '"path","label"', *rows), seed=0)
    assert set(manifest.classes) == {"007", "1.50"}


def test_captions_of_several_rows_or_of_a_list_come_together(folder: Path) -> None:
    rows = [f"images/{i}.png,{label},{which}" for i, label in enumerate(LABELS) for which in ("one", "two")]
    manifest = load(_lines(folder / "t.csv", "image,label,caption", *rows), seed=0)
    assert len(manifest) == len(LABELS)
    assert set(manifest.caption) == {"one | two"}
    lines = [
        json.dumps({"path": f"images/{i}.png", "label": label, "captions": ["x", "y"]})
        for i, label in enumerate(LABELS)
    ]
    assert set(load(_lines(folder / "t.jsonl", *lines), seed=0).caption) == {"x | y"}


@pytest.mark.parametrize("labels", [("cat", "dog"), ("dog", "dog")])
def test_every_row_without_a_path_is_counted(folder: Path, labels: tuple[str, str]) -> None:
    rows = [f"images/{i}.png,{label},c{i}" for i, label in enumerate(LABELS)]
    without = [f",{label},none {i}" for i, label in enumerate(labels)]
    manifest = load(_lines(folder / "t.csv", "path,label,caption", *rows[:3], *without, *rows[3:]), seed=0)
    assert len(manifest) == len(LABELS)
    assert manifest.quarantined == (("row 4", "no path in this row"), ("row 5", "no path in this row"))
    assert manifest.caption == tuple(f"c{i}" for i in range(len(LABELS)))


def test_a_tsv_without_header_is_read_as_conceptual_captions_are_written(folder: Path) -> None:
    manifest = load(
        _lines(folder / "cc.tsv", *(f"a photo of {i}\timages/{i}.png" for i in range(12))), seed=0
    )
    assert manifest.caption[4] == "a photo of 4"
    assert manifest.classes == ()
    with pytest.raises(InputError, match="has no labels"):
        check_trainable(manifest)


def _parquet(path: Path, image: list, kind: arrow.DataType, **metadata: str) -> str:
    table = arrow.table(
        {"image": arrow.array(image, kind), "label": [int(label == "dog") for label in LABELS]}
    )
    table = table.replace_schema_metadata(metadata)
    parquet.write_table(table, path, row_group_size=5)
    return str(path)


def test_parquet_holds_the_bytes_themselves_and_gives_them_back(folder: Path) -> None:
    manifest = load(
        _parquet(folder / "t.parquet", [encoded(noise(i)) for i in range(12)], arrow.binary()), seed=0
    )
    assert manifest.classes == ("0", "1")
    assert manifest.images is not None
    assert all(isinstance(image.read_bytes(), bytes) for image in manifest.images)  # type: ignore[union-attr]
    assert _pixels_are_their_own(manifest)


def test_parquet_of_hugging_face_has_class_names_in_its_metadata(folder: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    cells = [{"bytes": encoded(noise(i)), "path": f"{i}.png"} for i in range(12)]
    cells[7] = {"bytes": None, "path": "7.png"}
    manifest = load(_parquet(folder / "t.parquet", cells, kind, huggingface=json.dumps(features)), seed=0)
    assert manifest.classes == ("cat", "dog")
    assert len(manifest) == 11
    assert manifest.quarantined[0].reason == "row 8 has no bytes in image"


def test_rows_without_a_usable_image_are_quarantined_with_a_reason(folder: Path) -> None:
    (folder / "images" / "empty.png").touch()
    (folder / "images" / "folder.png").mkdir()
    rows = [f"images/{i}.png,{label}" for i, label in enumerate(LABELS)]
    rows += ["images/gone.png,cat", "images/empty.png,cat", "images/folder.png,dog"]
    manifest = load(_lines(folder / "t.csv", "path,label", *rows), seed=0)
    assert len(manifest) == 12
    assert dict(manifest.quarantined) == {
        "images/gone.png": "no such file",
        "images/empty.png": "empty file",
        "images/folder.png": "not a regular file",
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["label,caption", "cat,x"], "no image column"),
        (["path,label"], "no rows"),
        (["path,label", "https://example.org/1.jpg,cat"], "URLs.*img2dataset"),
        (["path,label,split", "images/1.png,cat,holdout"], "row 1 is in the split 'holdout'"),
        (
            ["path,label", "images/1.png,cat", "images/1.png,dog"],
            "contradict each other: 'cat' and 'dog'",
        ),
        (["path,label", "nowhere.png,cat"], "none of its 1 rows has a usable image.*no such file"),
        (["path,label", "images/1.png,cat", "too,many,columns"], "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(folder: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(_lines(folder / "t.csv", *lines), seed=0)


def test_a_parquet_file_without_images_or_cut_short_is_refused(folder: Path) -> None:
    parquet.write_table(arrow.table({"label": ["cat"]}), folder / "none.parquet")
    with pytest.raises(InputError, match="no image column"):
        load(str(folder / "none.parquet"), seed=0)
    whole = Path(_parquet(folder / "t.parquet", [encoded(noise(i)) for i in range(12)], arrow.binary()))
    (folder / "cut.parquet").write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        load(str(folder / "cut.parquet"), seed=0)
