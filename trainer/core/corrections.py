"""Corrections of labels as a plain CSV: a row each, the newest last. Standard library only.

The last row about an image counts, so that what was corrected by mistake is kept again by one row more, and
nothing that anybody wrote is lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.process_lock import exclusive
from trainer.core.text import cut


class Action(StrEnum):
    """What is done with a row."""

    RELABEL = "relabel"
    DROP = "drop"
    KEEP = "keep"  # the label is right after all


class Correction(NamedTuple):
    """One line of the file."""

    sample_id: str
    old: str  # label in the data
    new: str  # label instead; "" unless it is relabelled
    action: Action
    who: str = ""
    when: str = ""  # ISO 8601
    why: str = ""


NEEDED = ("sample_id", "old", "new", "action")


def read(path: Path) -> list[Correction]:
    """Return the corrections in a file, in its order.

    Raises:
        InputError: there is no such file, it is no CSV with these columns, or a line makes no sense; with its
            number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"There is no file {path} of corrections.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}. Expected a CSV in UTF-8.") from error
    try:
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV: {error}.") from error
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; its first line must name {', '.join(NEEDED)}."
        )
    return [_parsed(path, number, header, row) for number, row in enumerate(rows, start=2) if row]


def _parsed(path: Path, number: int, header: Sequence[str], row: Sequence[str]) -> Correction:
    if len(row) != len(header):
        raise InputError(f"{path}, line {number}: {len(row)} cells, and the first line has {len(header)}.")
    cells = dict(zip(header, row, strict=True))
    action = cells["action"].strip().lower()
    if action not in set(Action):
        raise InputError(f"{path}, line {number}: {cut(action, 40)!r} is no action; use {', '.join(Action)}.")
    if (action == Action.RELABEL) != bool(cells["new"]):
        needs = "needs a new label" if action == Action.RELABEL else "takes no new label"
        raise InputError(f"{path}, line {number}: {action} {needs}.")
    known = {name: cells.get(name, "") for name in Correction._fields if name != "action"}
    return Correction(**known, action=Action(action))


def append(path: Path, corrections: Iterable[Correction]) -> None:
    """Add corrections to a file, which is made if there is none. Another process waits meanwhile, so that no
    row is lost; the file appears by rename.

    Raises:
        InputError: what is there is no file of corrections.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), f"the corrections in {path}"):
        before = read(path) if path.exists() else []
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(Correction._fields)
        writer.writerows([*before, *corrections])
        atomic.write_bytes(path, buffer.getvalue().encode())


def latest(corrections: Iterable[Correction]) -> dict[str, Correction]:
    """Return the correction that counts for each row, by id; rows that are kept have none."""
    last = {one.sample_id: one for one in corrections}
    return {name: one for name, one in last.items() if one.action is not Action.KEEP}


def overruled(corrections: Sequence[Correction]) -> list[tuple[Correction, Correction]]:
    """Return what one person wrote and another has overruled: each with the correction that counts."""
    last = {one.sample_id: one for one in corrections}
    found = {}
    for one in corrections:
        final = last[one.sample_id]
        if one.who != final.who and (one.action, one.new) != (final.action, final.new):
            found[one.sample_id] = (one, final)
    return list(found.values())
