"""Tags that people give rows of the data, as a plain CSV: a line each, the newest last."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.process_lock import exclusive

COLUMNS = ["sample_id", "tag", "when"]
LONGEST = 40  # characters of a tag


def read(path: Path) -> dict[str, str]:
    """Return the tag of each row that has one, by sample id; the last line about a row counts, and one
    without a tag takes it away. Without a file no row has any.

    Raises:
        InputError: what is there cannot be read, or is no CSV with these columns.
    """
    tags = {line[0]: line[1] for line in _lines(path)}
    return {sample_id: tag for sample_id, tag in tags.items() if tag}


def write(path: Path, sample_ids: Iterable[str], tag: str, *, when: str) -> None:
    """Give rows a tag in the place of any that they have; "" takes it away. Another process waits meanwhile;
    the file appears by rename.

    Args:
        when: ISO 8601.

    Raises:
        InputError: the tag is too long, or what is there is no file of tags.
        OSError: it cannot be written.
    """
    tag = tag.strip()
    if len(tag) > LONGEST:
        raise InputError(f"A tag has at most {LONGEST} characters; this one has {len(tag)}. Shorten it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), f"the tags in {path}"):
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows([COLUMNS, *_lines(path), *([one, tag, when] for one in sample_ids)])
        atomic.write_bytes(path, buffer.getvalue().encode())


def _lines(path: Path) -> list[list[str]]:
    try:
        content = path.read_text(encoding="utf-8-sig")
        header, *rows = csv.reader(io.StringIO(content), strict=True)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Expected a CSV in UTF-8.") from error
    rows = [row for row in rows if row]
    if header != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise InputError(f"{path} is no file of tags: expected the columns {', '.join(COLUMNS)}.")
    return rows
