"""Corrections of labels as a plain CSV: a row each, the newest last. Standard library only.

The last row about an image counts. A row that undoes it is one row more, so that nothing that anybody wrote
is lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Iterable, Sequence
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
    UNDO = "undo"  # the row before about this image does not count, and the one before that does again


class Correction(NamedTuple):
    """One line of the file."""

    sample_id: str
    old: str  # label in the data
    new: str  # label instead; "" unless it is relabelled
    action: Action
    who: str = ""
    when: str = ""  # ISO 8601
    why: str = ""
    content_hash: str = ""  # SHA-256 hex of the image's bytes, or of the vector's; "" if not known


NEEDED = ("sample_id", "old", "new", "action")
COLUMNS = ("sample_id", "content_hash", *NEEDED[1:], "who", "when", "why")  # as they are written


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
    number_of = [number for number, row in enumerate(rows, start=2) if row]
    found = [_parsed(path, number, header, rows[number - 2]) for number in number_of]
    idle = {n for n, one in enumerate(found) if one.action is Action.UNDO} - {*_undone(found).values()}
    if idle:
        n = min(idle)
        name = cut(found[n].sample_id, 80)
        raise InputError(
            f"{path}, line {number_of[n]}: there is nothing to undo about {name!r}. Delete the line."
        )
    return found


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
    _add(path, lambda before: list(corrections))


def undo(path: Path, save: Correction, *, who: str, when: str) -> int:
    """Undo the rows that were saved together with one, as far as nobody has corrected these images since.

    Args:
        who: undoes it, and ``when``.

    Returns:
        The number of rows that were undone.

    Raises: as `append`.
    """

    def rows(before: Sequence[Correction]) -> list[Correction]:
        found = last_save(before, among={saved_as(save)})
        return [one._replace(new="", action=Action.UNDO, who=who, when=when, why="") for one in found]

    return _add(path, rows)


def _add(path: Path, rows: Callable[[list[Correction]], list[Correction]]) -> int:
    """Add to a file the rows that follow from what it holds; returns their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(f".{path.name}.lock"), f"the corrections in {path}"):
        before = read(path) if path.exists() else []
        added = rows(before)
        if added:
            buffer = io.StringIO()
            writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(one._asdict() for one in (*before, *added))
            atomic.write_bytes(path, buffer.getvalue().encode())
    return len(added)


def standing(corrections: Sequence[Correction]) -> list[Correction]:
    """Return the rows that were not undone, in their order."""
    undone = _undone(corrections)
    return [one for n, one in enumerate(corrections) if n not in undone and one.action is not Action.UNDO]


def latest(corrections: Sequence[Correction]) -> dict[str, Correction]:
    """Return the correction that counts for each row, by id; rows that are kept have none."""
    last = {one.sample_id: one for one in standing(corrections)}
    return {name: one for name, one in last.items() if one.action is not Action.KEEP}


def saved_as(one: Correction) -> tuple[str, str]:
    """Return what rows that were saved together share: who and when."""
    return one.who, one.when


def last_save(
    corrections: Sequence[Correction], *, among: Container[tuple[str, str]] | None = None
) -> list[Correction]:
    """Return the rows of the newest save that count, without those that another row has overruled since.

    Args:
        among: saves to choose from, by `saved_as`; None: all.
    """
    counting: dict[str, Correction] = {}
    for one in standing(corrections):
        counting.pop(one.sample_id, None)  # so that the newest is the last
        counting[one.sample_id] = one
    found = [one for one in counting.values() if among is None or saved_as(one) in among]
    return [one for one in found if saved_as(one) == saved_as(found[-1])]


def overruled(corrections: Sequence[Correction]) -> list[tuple[Correction, Correction]]:
    """Return what one person wrote and another has overruled or undone: each with the row that counts."""
    undone = _undone(corrections)
    last = {one.sample_id: one for one in corrections} | {one.sample_id: one for one in standing(corrections)}
    found = {}
    for n, one in enumerate(corrections):
        final = last[one.sample_id]
        withdrawn = n in undone and corrections[undone[n]].who == one.who
        if one.action is Action.UNDO or withdrawn or one.who == final.who:
            continue
        if (one.action, one.new) != (final.action, final.new):
            found[one.sample_id] = (one, final)
    return list(found.values())


def contradictions(corrections: Sequence[Correction]) -> list[tuple[Correction, Correction]]:
    """Return rows that disagree about an image while nothing says which came later: they have one time, or
    none. Each with the row that contradicts it."""
    before: dict[str, Correction] = {}
    found = []
    for one in standing(corrections):
        other = before.get(one.sample_id, one)
        if (other.action, other.new) != (one.action, one.new) and other.when == one.when:
            found.append((other, one))
        before[one.sample_id] = one
    return found


def _undone(corrections: Sequence[Correction]) -> dict[int, int]:
    """Map the number of each row that was undone to that of the row that undid it."""
    open_rows: dict[str, list[int]] = {}
    found = {}
    for n, one in enumerate(corrections):
        rows = open_rows.setdefault(one.sample_id, [])
        if one.action is not Action.UNDO:
            rows.append(n)
        elif rows:
            found[rows.pop()] = n
    return found
