"""Read ``metadata.csv`` and ``metadata.jsonl``: label, caption and group by file name."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as arrow

from trainer.core.errors import InputError, first_line
from trainer.data.delimited import TextTable, read_json_lines, read_separated
from trainer.data.label_sets import joined_columns
from trainer.data.table_columns import (
    BY_NAME,
    ColumnChoice,
    as_text,
    by_role,
    file_id,
    label_of,
    listed,
    plain,
)
from trainer.data.table_columns import unused as unused_columns

NAMES = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class ImageMetadata:
    """Metadata of one image; "" for a missing value."""

    source: str  # name of the metadata file
    label: str = ""
    caption: str = ""
    group: str = ""


class FolderMetadata(NamedTuple):
    """Metadata of the images of a folder."""

    entries: dict[str, ImageMetadata]  # by path below the folder
    has_labels: bool  # whether a label column gives the classes
    unused: list[str]  # columns without a role


def read_metadata(root: Path, folders: Iterable[str] = (), chosen: ColumnChoice = BY_NAME) -> FolderMetadata:
    """Read the metadata of ``root`` and of ``folders`` below it.

    ``file_name`` is relative to the folder of the metadata file. Several captions are joined by " | ".
    Columns are found as in a table. A label column that is neither called label nor chosen counts only where
    images are not in several class folders.

    Raises:
        InputError: the file is unreadable, lacks ``file_name`` or has an image twice; a chosen column is
            absent.
    """
    entries: dict[str, ImageMetadata] = {}
    has_labels = maybe_labels = False
    unused: list[str] = []
    for folder in ("", *folders):
        for path in (root / folder / name for name in NAMES):
            if not path.is_file():
                continue
            table = _read(path)
            column = _columns(path, table, chosen)
            firm = bool(chosen.label or chosen.labels) or plain(column.get("label", "")) == "label"
            has_labels, maybe_labels = has_labels or firm, maybe_labels or "label" in column
            unused += unused_columns(table.names, column, chosen)
            for row, record in enumerate(_records(table, column, chosen, str(path)), start=1):
                if not record["image"]:
                    raise InputError(
                        f"{path}: row {row} has no file_name. Each row needs file_name and any of label, "
                        "caption, group."
                    )
                sample_id = _sample_id(root, folder, as_text(record["image"]))
                if sample_id in entries:
                    raise InputError(
                        f"{path} names {sample_id!r}, which is already in {entries[sample_id].source}. Keep "
                        "one line per image; several captions go into metadata.jsonl as a list, captions."
                    )
                entries[sample_id] = ImageMetadata(
                    source=path.name,
                    label=label_of(record["label"], where=f"{path}: row {row}"),
                    caption=as_text(record["caption"]),
                    group=as_text(record["group"]),
                )
    in_folders = {Path(one).parts[:-1][1 if one.split("/")[0] in {*folders} else 0 :] for one in entries}
    return FolderMetadata(entries, has_labels or (maybe_labels and len(in_folders) <= 1), unused)


def located(path: Path, chosen: ColumnChoice = BY_NAME) -> tuple[TextTable, list[str], str | None]:
    """Return a metadata file, the path in its folder that each row names, and the name of its label column,
    if that gives the classes. Raises InputError as `read_metadata` does."""
    table, root = _read(path), path.parent
    column = _columns(path, table, chosen)
    ids = [_sample_id(root, "", as_text(one)) for one in table.values(column["image"])]
    return table, ids, column.get("label") if read_metadata(root, chosen=chosen).has_labels else None


def _read(path: Path) -> TextTable:
    try:
        return read_json_lines(path) if path.suffix == ".jsonl" else read_separated(path, BY_NAME)
    except InputError as error:
        raise InputError(f"{path} cannot be read. {error}") from error
    except (OSError, ValueError, csv.Error, arrow.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read: {first_line(error)}. Expected UTF-8 text with a file_name column."
        ) from error


def _columns(path: Path, table: TextTable, chosen: ColumnChoice) -> dict[str, str]:
    column = by_role(table.names, chosen, name=str(path))
    image = column.get("image") or file_id(table.names)
    if image is None:
        raise InputError(
            f"{path} has the columns {listed(table.names)}, and none is file_name. Each row needs file_name "
            "and any of label, caption, group."
        )
    return {**column, "image": image}


def _records(
    table: TextTable, column: dict[str, str], chosen: ColumnChoice, name: str
) -> Iterator[dict[str, object]]:
    """Yield image, label, caption and group of each row."""
    roles = ("image", "label", "caption", "group")
    values = [table.values(column[role]) if role in column else [None] * table.rows for role in roles]
    if chosen.labels:
        values[1] = joined_columns(chosen.labels, table.names, table.values, name)
    return (dict(zip(roles, row, strict=True)) for row in zip(*values, strict=True))


def _sample_id(root: Path, folder: str, given: str) -> str:
    """Return the path below ``root``. Backslashes are slashes where a file is called so."""
    slashed = given.replace("\\", "/")
    if slashed != given and not os.path.lexists(root / folder / given):
        given = slashed
    return "/".join([folder, *Path(given).parts]).lstrip("/")
