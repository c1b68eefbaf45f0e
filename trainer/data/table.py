"""Read a table of images: CSV, TSV, JSON lines or Parquet, with a path or bytes per row."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as parquet

from trainer.core.errors import InputError
from trainer.data import files, table_columns
from trainer.data.manifest import Columns, Manifest, Quarantined, rows_by_value
from trainer.data.split import manifest_with_splits, parse_split

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
EXPECTED = (
    "A table has one row per image and a header: path (or, in Parquet, image with the bytes), label and, "
    "if you have them, caption, group, split, sample_id"
)


@dataclass(frozen=True)
class ParquetCell:
    """An image in a Parquet file, read on demand."""

    path: Path
    column: str
    row_group: int
    row: int  # in the row group

    def read_bytes(self) -> bytes:
        """Read the bytes. Raises OSError."""
        try:
            return table_columns.bytes_of(_row_group(self.path, self.column, self.row_group)[self.row]) or b""
        except arrow.ArrowException as error:
            raise OSError(f"{self.path.name}: {error}") from error


@dataclass
class _Rows:
    """Columns of the manifest under construction."""

    sample_id: list[str] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)  # rows of the table
    quarantined: list[Quarantined] = field(default_factory=list)


def read(path: Path, *, name: str, seed: int) -> Manifest:
    """Read one table.

    Paths are relative to the folder of the table. A TSV of two columns without a header is caption, path (as
    in Conceptual Captions). Several captions of an image, in a list or in several rows, are joined by " | ".
    Rows without an image file are quarantined. Without splits 70/15/15 are drawn. Image bytes are hashed and
    read again on demand, not kept in memory.

    Raises:
        InputError: the table is unreadable, has no image column, URLs, an unknown split, or contradictory
            rows of one image.
    """
    try:
        table, stored = _small_columns(path)
    except (OSError, ValueError, csv.Error, arrow.ArrowException) as error:
        raise InputError(f"{name} cannot be read: {error}. {EXPECTED}; text is UTF-8.") from error
    column = _columns(table.column_names + ([stored] if stored else []), name)
    if table.num_rows == 0:
        raise InputError(f"{name} has no rows. {EXPECTED}.")
    text = {
        role: table_columns.column_as_text(table.column(one)) for role, one in column.items() if one != stored
    }
    label = _class_names(table, column.get("label"), text.get("label"))
    blank = [""] * table.num_rows
    caption, group, split = (text.get(role, blank) for role in ("caption", "group", "split"))
    if stored:
        rows = _from_cells(path, stored, text.get("id"))
    else:
        rows = _from_paths(path.parent, text["image"], name)
        caption = _caption_of_each(text["image"], caption, (label, group, split), name)
    if not rows.sample_id:
        raise InputError(
            f"{name}: none of its {table.num_rows} rows has a usable image{_such_as(rows)}. {EXPECTED}."
        )
    columns = Columns(
        sample_id=rows.sample_id,
        label=[label[at] for at in rows.at],
        split=[parse_split(split[at], where=f"{name}: row {at + 1}") for at in rows.at],
        content=rows.content,
        caption=[caption[at] for at in rows.at],
        group=[group[at] for at in rows.at],
        images=rows.images,
    )
    return manifest_with_splits(name, columns, quarantined=rows.quarantined, seed=seed)


# --- reading ----------------------------------------------------------------------------------


def _small_columns(path: Path) -> tuple[arrow.Table, str | None]:
    """Return the table without image bytes, and the name of the column that has them, if any."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            small = [f.name for f in schema if not table_columns.holds_bytes(f.type)]
            return file.read(small), table_columns.image_bytes_column(schema)
    if kind == ".jsonl":
        return arrow.json.read_json(path), None
    separator = "\t" if kind == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.reader(file, delimiter=separator), [])
    headless = kind == ".tsv" and len(first) == 2 and not _known(first)
    names = ["caption", "path"] if headless else None
    return arrow.csv.read_csv(
        path,
        read_options=arrow.csv.ReadOptions(column_names=names),
        parse_options=arrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=arrow.csv.ConvertOptions(
            column_types={one: arrow.string() for one in names or first},  # keeps the class "007"
            strings_can_be_null=False,
        ),
    ), None


def _known(names: Sequence[str]) -> bool:
    return any(one.lower() in known for one in names for known in table_columns.NAMES.values())


def _columns(present: Sequence[str], name: str) -> dict[str, str]:
    """Return the columns by role."""
    column = table_columns.by_role(present)
    if "image" not in column:
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, present))} and no image column. {EXPECTED}."
        )
    return column


def _class_names(table: arrow.Table, column: str | None, label: list[str] | None) -> list[str]:
    """Return labels as names. Hugging Face writes numbers, with their names in the file's metadata."""
    if column is None or label is None:
        return [""] * table.num_rows
    notes = (table.schema.metadata or {}).get(b"huggingface")
    names = None
    if notes:
        features = json.loads(notes).get("info", {}).get("features", {})
        names = features.get(column, {}).get("names")
    return table_columns.class_names(label, names)


@lru_cache(maxsize=8)  # several threads read rows mostly in order
def _row_group(path: Path, column: str, index: int) -> arrow.ChunkedArray:
    with parquet.ParquetFile(path) as file:
        return file.read_row_group(index, [column]).column(0)


# --- images ---------------------------------------------------------------------------------


def _from_cells(path: Path, column: str, names: list[str] | None) -> _Rows:
    """Hash every image in the file, one row group at a time."""
    rows, at = _Rows(), 0
    with parquet.ParquetFile(path) as file:
        for index in range(file.num_row_groups):
            for row, cell in enumerate(file.read_row_group(index, [column]).column(0)):
                data = table_columns.bytes_of(cell)
                sample_id = names[at] if names else f"row/{at:08d}"
                if data:
                    rows.sample_id.append(sample_id)
                    rows.images.append(ParquetCell(path, column, index, row))
                    rows.content.append(hashlib.sha256(data).hexdigest())
                    rows.at.append(at)
                else:
                    rows.quarantined.append(Quarantined(sample_id, f"row {at + 1} has no bytes in {column}"))
                at += 1
    return rows


def _from_paths(folder: Path, names: list[str], name: str) -> _Rows:
    address = next((one for one in names if one.startswith(("http://", "https://"))), None)
    if address:
        raise InputError(
            f"{name} has URLs, such as {address}. Headroom downloads nothing: download the images "
            "with img2dataset, and pass the folder of its shards or a table of the local paths."
        )
    rows = _Rows()
    seen: dict[str, int] = {}
    distinct = [one for at, one in enumerate(names) if seen.setdefault(one, at) == at]
    paths = [folder / one for one in distinct]
    problems = [
        files.problem(path) if one else "no path in this row"
        for one, path in zip(distinct, paths, strict=True)
    ]
    usable = [i for i, wrong in enumerate(problems) if not wrong]
    hashes = dict(zip(usable, files.hash_images([paths[i] for i in usable]), strict=True))
    for i, one in enumerate(distinct):
        result = hashes.get(i)
        if isinstance(result, str):
            rows.sample_id.append(files.printable(one))
            rows.images.append(paths[i])
            rows.content.append(result)
            rows.at.append(seen[one])
        else:
            reason = problems[i] or f"cannot be read: {result.strerror}"  # type: ignore[union-attr]
            rows.quarantined.append(Quarantined(files.printable(one) or f"row {seen[one] + 1}", reason))
    return rows


def _caption_of_each(
    image: list[str], caption: list[str], others: Sequence[list[str]], name: str
) -> list[str]:
    """Join the captions of all rows of an image. Other columns must not differ."""
    together = list(caption)
    for one, rows in rows_by_value(image).items():
        for column in others if len(rows) > 1 else ():
            values = sorted({column[row] for row in rows})
            if len(values) > 1:
                raise InputError(
                    f"{name} has {one!r} in {len(rows)} rows that contradict each other: {values[0]!r} and "
                    f"{values[1]!r}. Rows of one image may only differ in the caption."
                )
        joined = table_columns.CAPTIONS_JOINED_BY.join(
            dict.fromkeys(filter(None, (caption[row] for row in rows)))
        )
        for row in rows:
            together[row] = joined
    return together


def _such_as(rows: _Rows) -> str:
    first = "; ".join(f"{path}: {reason}" for path, reason in rows.quarantined[:3])
    return f" ({first})" if first else ""
