"""Read ``metadata.csv`` and ``metadata.jsonl``: label, caption and group by file name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.core.errors import InputError
from trainer.data.table_columns import CAPTIONS_JOINED_BY

NAMES = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class ImageMetadata:
    """Metadata of one image; "" for a missing value."""

    source: str  # name of the metadata file
    label: str = ""
    caption: str = ""
    group: str = ""


def read_metadata(root: Path, folders: Iterable[str] = ()) -> tuple[dict[str, ImageMetadata], bool]:
    """Read the metadata of ``root`` and of ``folders`` below it.

    ``file_name`` is relative to the folder of the metadata file. Several captions are joined by " | ".
    Columns other than file_name, label, caption, captions and group are ignored.

    Returns:
        entries by path below ``root``; and whether any file has a label column.

    Raises:
        InputError: the file is unreadable, lacks ``file_name``, or has an image twice.
    """
    entries: dict[str, ImageMetadata] = {}
    has_labels = False
    for folder in ("", *folders):
        for path in (root / folder / name for name in NAMES):
            if not path.is_file():
                continue
            for record in _records(path):
                sample_id = "/".join([folder, *Path(_text(record["file_name"])).parts]).lstrip("/")
                if sample_id in entries:
                    raise InputError(
                        f"{path} names {sample_id!r}, which is already in {entries[sample_id].source}. Keep "
                        "one line per image; several captions go into metadata.jsonl as a list, captions."
                    )
                has_labels = has_labels or "label" in record
                entries[sample_id] = ImageMetadata(
                    source=path.name,
                    label=_text(record.get("label")),
                    caption=_text(record.get("caption")) or _text(record.get("captions")),
                    group=_text(record.get("group")),
                )
    return entries, has_labels


def _records(path: Path) -> Iterator[dict]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a byte-order mark
            rows: Iterable = csv.DictReader(file) if path.suffix == ".csv" else _json_lines(file)
            for number, row in enumerate(rows, start=1):
                if not isinstance(row, dict) or not row.get("file_name"):
                    raise InputError(
                        f"{path}: row {number} has no file_name. Each row needs file_name and any of label, "
                        "caption, group."
                    )
                yield row
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be read: {error}. Expected UTF-8 text with a file_name column."
        ) from error


def _json_lines(file: Iterable[str]) -> Iterator[object]:
    return (json.loads(line) for line in file if line.strip())


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return CAPTIONS_JOINED_BY.join(_text(part) for part in value)
    return str(value).strip()
