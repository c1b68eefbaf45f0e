"""Corrected labels are written in the data's own format: the same columns, what else it says as it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.support.image_files import encoded, noise
from trainer.core import corrections
from trainer.core.corrections import Action, Correction
from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.checking.corrected_table import check_corrected_table, write_corrected_table
from trainer.experiments.inputs import understand_rows

FILES = [f"{i}.png" for i in range(8)]
SPLITS = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
LABELS = ["cat", "dog"] * 4
NOTES = ['a "quoted", one', "", "two\u2028lines", "ü", "1.50", "007", "x", "y"]


def rows(image: str) -> list[dict[str, Any]]:
    return [
        {image: name, "label": label, "split": split, "note": note}
        for name, label, split, note in zip(FILES, LABELS, SPLITS, NOTES, strict=True)
    ]


def images(folder: Path) -> Path:
    folder.mkdir()
    for seed, name in enumerate(FILES):
        (folder / name).write_bytes(encoded(noise(seed)))
    return folder


def as_csv(folder: Path) -> Path:
    path = images(folder) / "table.csv"
    write_csv(path, rows("path"), ";")
    return path


def as_metadata(folder: Path) -> Path:
    write_csv(images(folder) / "metadata.csv", rows("file_name"), ",")
    return folder


def as_json_lines(folder: Path) -> Path:
    path = images(folder) / "table.jsonl"
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows("path")))
    return path


def as_parquet(folder: Path) -> Path:
    """Images in the file, and labels as numbers, with their names, as the datasets library writes them."""
    folder.mkdir()
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    columns = {
        "image": [{"bytes": encoded(noise(seed)), "path": None} for seed in range(len(FILES))],
        "label": arrow.array([0, 1] * 4, type=arrow.int64()),
        "split": SPLITS,
        "note": NOTES,
        "id": FILES,
    }
    table = arrow.table(columns).replace_schema_metadata({"huggingface": json.dumps(names)})
    parquet.write_table(table, folder / "table.parquet")
    return folder / "table.parquet"


def write_csv(path: Path, rows: list[dict[str, Any]], separator: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return [
            {**row, "label": ["cat", "dog"][row["label"]]} for row in parquet.read_table(path).to_pylist()
        ]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().split("\n") if line]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def exported(data: Path, out: Path, *, test_too: bool = False) -> list[dict[str, Any]]:
    given = [
        Correction("0.png", "cat", "dog", Action.RELABEL),
        Correction("3.png", "dog", "", Action.DROP),
        Correction("6.png", "cat", "dog", Action.RELABEL),  # a test row
    ]
    file = out.with_name("c.csv")
    corrections.append(file, given)
    config = CheckConfig(data=str(data), corrections=file, corrected_table=out, correct_test=test_too)
    check_corrected_table(config)
    write_corrected_table(config, understand_rows(config))
    return read(out)


@pytest.mark.parametrize("write", [as_csv, as_metadata, as_json_lines, as_parquet])
def test_labels_are_corrected_and_all_else_is_as_it_was(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    data = write(tmp_path / "data")
    source = data / "metadata.csv" if data.is_dir() else data
    before = source.read_bytes()
    drawn = data.is_dir()  # splits: then any row may be a test row
    found = exported(data, tmp_path / f"out{source.suffix}", test_too=drawn)
    assert source.read_bytes() == before
    of_test = "dog" if drawn else "cat"
    assert [row["label"] for row in found] == ["dog", "dog", "cat", "cat", "dog", of_test, "dog"]
    assert [row["note"] for row in found] == [*NOTES[:3], *NOTES[4:]]
    assert [row["split"] for row in found] == [*SPLITS[:3], *SPLITS[4:]]
    corrected = tmp_path / "data" / f"corrected{source.suffix}"
    (tmp_path / f"out{source.suffix}").rename(source if data.is_dir() else corrected)
    again = load(str(data if data.is_dir() else corrected), seed=0)  # it is data as before
    assert (again.label_n >= 0).sum() == 7  # in a folder, an image that was dropped stays, without a label
    assert sorted(again.classes) == ["cat", "dog"]


def test_test_rows_are_corrected_where_that_is_asked_for(tmp_path: Path) -> None:
    found = exported(as_csv(tmp_path / "data"), tmp_path / "out.csv", test_too=True)
    assert [row["label"] for row in found][-2:] == ["dog", "dog"]


def test_nothing_is_replaced_and_what_has_no_table_is_said_to_have_none(tmp_path: Path) -> None:
    data = as_csv(tmp_path / "data")
    (tmp_path / "c.csv").touch()
    for out, message in ((data, "no file is replaced"), (tmp_path / "out.parquet", "must end in .csv")):
        with pytest.raises(InputError, match=message):
            check_corrected_table(
                CheckConfig(data=str(data), corrections=tmp_path / "c.csv", corrected_table=out)
            )
    with pytest.raises(InputError, match="there are none"):
        check_corrected_table(CheckConfig(data=str(data), corrected_table=tmp_path / "out.csv"))
    with pytest.raises(InputError, match="no table of labels"):
        check_corrected_table(
            CheckConfig(corrections=tmp_path / "c.csv", corrected_table=tmp_path / "out.csv")
        )
