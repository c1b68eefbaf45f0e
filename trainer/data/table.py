"""Read a table of images: CSV, TSV, JSON lines or Parquet, with a path or bytes per row."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from trainer.core.errors import InputError
from trainer.core.untrusted_json import parse_json
from trainer.data import files, formats, table_columns
from trainer.data.delimited import TextTable, read_json_lines, read_separated
from trainer.data.image_paths import ImagePaths
from trainer.data.label_sets import joined_columns
from trainer.data.manifest import Columns, Manifest, Quarantined, first_reasons, rows_by_value
from trainer.data.parquet_file import damage_refused, open_parquet, read_images, read_values
from trainer.data.split import manifest_with_splits, parse_split
from trainer.data.table_columns import BY_NAME, ColumnChoice

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
EXPECTED = (
    "A table has one row per image and a header: path (or, in Parquet, image with the bytes), label and, "
    "if you have them, caption, group, split, sample_id"
)
DOWNLOAD = (
    "Headroom downloads nothing: download the images with img2dataset, and pass the folder of its shards or "
    "a table of the local paths."
)
TEXT = (
    "Text is UTF-8: save it so (in Excel: CSV UTF-8), or convert it, for example with "
    "`iconv -f windows-1252 -t utf-8`"
)


@dataclass
class _Rows:
    """Columns of the manifest under construction."""

    sample_id: list[str] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)  # rows of the table
    quarantined: list[Quarantined] = field(default_factory=list)
    hint: str = ""  # what was tried for rows without a file


def read(path: Path, *, name: str, seed: int, chosen: ColumnChoice = BY_NAME) -> Manifest:
    """Read one table.

    Paths are relative to the folder of the table (see :class:`ImagePaths`). Two columns of a TSV without a
    header are caption and path (as in Conceptual Captions). Several captions of an image, in a list or in
    several rows, are joined by " | ". Rows without an image file are quarantined. Without splits 70/15/15 are
    drawn. Image bytes are hashed and read again on demand, not kept in memory.

    Raises:
        InputError: the table is unreadable, has no image column, URLs, several labels per image, an unknown
            split, or contradictory rows of one image.
    """
    table, stored = _read(path, chosen, name)
    column = _columns(table.names, chosen, name, stored=stored)
    if table.rows == 0:
        raise InputError(f"{name} has no rows. {EXPECTED}.")
    text = {
        role: [table_columns.as_text(value) for value in table.values(one)]
        for role, one in column.items()
        if role != "label" and one != stored
    }
    if chosen.labels:
        label = joined_columns(chosen.labels, table.names, table.values, name)
    else:
        label = _labels(table, column.get("label"), path, name)
    blank = [""] * table.rows
    caption, group, split = (text.get(role, blank) for role in ("caption", "group", "split"))
    if stored:
        try:
            rows = _from_cells(path, stored, text.get("id"))
        except InputError as error:
            raise InputError(f"{name} cannot be read. {error} {EXPECTED}.") from error
    else:
        rows = _from_paths(path.parent, text["image"], name)
        caption = _caption_of_each(text["image"], caption, (label, group, split), name)
    if not rows.sample_id:
        raise InputError(
            f"{name}: none of its {table.rows} rows has a usable image{_such_as(rows)}. {EXPECTED}."
        )
    return manifest_with_splits(
        name,
        Columns(
            sample_id=rows.sample_id,
            label=[label[at] for at in rows.at],
            split=[parse_split(split[at], where=f"{name}: row {at + 1}") for at in rows.at],
            content=rows.content,
            caption=[caption[at] for at in rows.at],
            group=[group[at] for at in rows.at],
            images=rows.images,
            notes=[*table.notes, *([rows.hint] if rows.hint else [])],
            unused=table_columns.unused([*table.names, *([stored] if stored else [])], column, chosen),
        ),
        quarantined=rows.quarantined,
        seed=seed,
    )


def located(path: Path, chosen: ColumnChoice, *, name: str) -> tuple[TextTable, list[str], str | None]:
    """Return a table without image bytes, the sample id of each row, and the name of its label column if any.
    Raises InputError as `read` does."""
    table, stored = _read(path, chosen, name)
    column = _columns(table.names, chosen, name, stored=stored)
    if stored is None:
        images = map(table_columns.as_text, table.values(column["image"]))
        return table, [files.printable(one) for one in images], column.get("label")
    given = [table_columns.as_text(one) for one in table.values(column["id"])] if "id" in column else None
    return table, _distinct(given) or [*map(_row_name, range(table.rows))], column.get("label")


# --- reading ----------------------------------------------------------------------------------


def _read(path: Path, chosen: ColumnChoice, name: str) -> tuple[TextTable, str | None]:
    """Return the table without image bytes, and the name of the column that has them, if any."""
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return _parquet(path, chosen, name)
        return (read_json_lines(path) if kind == ".jsonl" else read_separated(path, chosen)), None
    except InputError as error:
        raise InputError(f"{name} cannot be read. {error}") from error
    except (OSError, ValueError, csv.Error, arrow.ArrowException) as error:
        wrong_bytes = isinstance(error, UnicodeDecodeError) or "UTF8" in str(error)
        raise InputError(f"{name} cannot be read: {error}. {TEXT if wrong_bytes else EXPECTED}.") from error


def _parquet(path: Path, chosen: ColumnChoice, name: str) -> tuple[TextTable, str | None]:
    with damage_refused("Parquet"), open_parquet(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        bytes_in = [f.name for f in schema if table_columns.holds_bytes(f.type)]
        small = [f.name for f in schema if f.name not in bytes_in]
    images = [one for one in bytes_in if table_columns.is_image(one) or one == chosen.image]
    stored = table_columns.image_bytes_column(images, chosen, name)
    return TextTable(small, rows, partial(_values, path, name)), stored


def _values(path: Path, name: str, column: str) -> list[Any]:
    try:
        return read_values(path, column)
    except InputError as error:
        raise InputError(f"{name} cannot be read. {error}") from error


def _columns(
    present: Sequence[str], chosen: ColumnChoice, name: str, *, stored: str | None
) -> dict[str, str]:
    """Return the columns by role.

    Args:
        stored: the column of image bytes.
    """
    if stored:
        named = replace(chosen, image=None)
        return {**table_columns.by_role(present, named, name=name), "image": stored}
    column = table_columns.by_role(present, chosen, name=name)
    if "image" in column:
        return column
    address = table_columns.web_addresses(present)
    if address:
        raise InputError(f"{name} has web addresses in the column {address!r}. {DOWNLOAD}")
    taken = {one for role, one in column.items() if role != "id"}
    by_id = table_columns.file_id(one for one in present if one not in taken)
    if by_id:
        return {**column, "image": by_id}
    first = " The first line seems to be a row: add a header." if any(map(_looks_like_file, present)) else ""
    raise InputError(
        f"{name} has the columns {table_columns.listed(present)} and no image column.{first} Name it with "
        f"--image-column. {EXPECTED}."
    )


def _looks_like_file(name: str) -> bool:
    return Path(name).suffix.lower() in formats.extensions()


def _labels(table: TextTable, column: str | None, path: Path, name: str) -> list[str]:
    """Return labels as names. Hugging Face writes numbers, with their names in the file's metadata."""
    if column is None:
        return [""] * table.rows
    label = [
        table_columns.label_of(value, where=f"{name}: row {row}")
        for row, value in enumerate(table.values(column), start=1)
    ]
    return table_columns.class_names(label, _recorded_names(path, column), name=name)


def _recorded_names(path: Path, column: str) -> list[str] | None:
    """Return the class names that the datasets library writes into a Parquet file; None without."""
    if path.suffix.lower() != ".parquet":
        return None
    try:
        notes = parse_json((parquet.read_schema(path).metadata or {}).get(b"huggingface", b"{}"))
        names = notes["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return list(map(str, names)) if isinstance(names, list) else None


# --- images ---------------------------------------------------------------------------------


def _from_cells(path: Path, column: str, names: list[str] | None) -> _Rows:
    """Hash every image in the file. Raises InputError for a damaged one."""
    rows = _Rows()
    distinct = _distinct(names)
    for at, (cell, data) in enumerate(read_images(path, column)):
        sample_id = distinct[at] if distinct else _row_name(at)
        if data:
            rows.sample_id.append(sample_id)
            rows.images.append(cell)
            rows.content.append(hashlib.sha256(data).hexdigest())
            rows.at.append(at)
        else:
            rows.quarantined.append(Quarantined(sample_id, f"row {at + 1} has no bytes in {column}"))
    return rows


def _distinct(names: list[str] | None) -> list[str] | None:
    """Return the names where each row has one of its own, which one id per scene is not; else None."""
    return names if names and "" not in names and len(set(names)) == len(names) else None


def _row_name(at: int) -> str:
    return f"row/{at:08d}"


def _from_paths(folder: Path, names: list[str], name: str) -> _Rows:
    address = next((one for one in names if one.startswith(("http://", "https://"))), None)
    if address:
        raise InputError(f"{name} has URLs, such as {address}. {DOWNLOAD}")
    rows, paths = _Rows(), ImagePaths(folder)
    seen: dict[str, int] = {}
    first = [at for at, one in enumerate(names) if not one or seen.setdefault(one, at) == at]
    found = [paths.find(names[at]) for at in first]
    usable = [i for i, (_, wrong) in enumerate(found) if not wrong]
    hashes = dict(zip(usable, files.hash_images([found[i][0] for i in usable]), strict=True))
    for i, at in enumerate(first):
        one = names[at]
        result = hashes.get(i)
        if isinstance(result, str):
            rows.sample_id.append(files.printable(one))
            rows.images.append(found[i][0])
            rows.content.append(result)
            rows.at.append(at)
        else:
            reason = found[i][1] or f"cannot be read: {result.strerror}"  # type: ignore[union-attr]
            rows.quarantined.append(Quarantined(files.printable(one) or f"row {at + 1}", reason))
    rows.hint = paths.summary()
    return rows


def _caption_of_each(
    image: list[str], caption: list[str], others: Sequence[list[str]], name: str
) -> list[str]:
    """Join the captions of all rows of an image. Other columns must not differ."""
    together = list(caption)
    for one, rows in rows_by_value(image).items():
        if not one:
            continue  # not one image, but rows without a path
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
    first = first_reasons(rows.quarantined)
    return (f" ({first})" if first else "") + (f". {rows.hint.rstrip('.')}" if rows.hint else "")
