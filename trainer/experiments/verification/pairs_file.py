"""Pair files as Labeled Faces in the Wild has them.

A line of three fields, ``name i j``, is a pair of one person's photos i and j; one of four, ``name i other
j``, of two people's. The first line may be a header: folds and pairs of each kind in a fold (``10 300``), or
only the latter. http://vis-www.cs.umass.edu/lfw/README.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import natural_key
from trainer.experiments.verification.protocol import Protocol

FOLDS_OF_ONE_LIST = 10  # into which a file without folds is cut


class Line(NamedTuple):
    """One pair, as written."""

    number: int  # of the line, from 1
    names: tuple[str, str]
    photos: tuple[int, int]  # from 1


def read(
    path: Path, sample_id: Sequence[str], label: Sequence[str], *, missing: Sequence[str], seed: int
) -> tuple[Protocol, int]:
    """Return the pairs of a file, in its folds; and how many were left out because a photo of theirs is
    unusable.

    ``name/name_0001.jpg`` is photo 1 of a person; where no photo is called so, the first by natural order of
    the file names is. A file without folds is one list: all its people are set aside together, and its pairs
    are cut into ten folds in which the threshold is chosen, which share people then.

    Args:
        sample_id, label: of the rows; a label is a person's name.
        missing: names of files that were found and could not be used: they count, but have no row.

    Raises:
        InputError: the file cannot be read, a line is no pair, or names who or what is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"--pairs {path} cannot be read: {reason}.") from error
    per_fold, lines = parse(text, path)
    album = _Album(sample_id, label, missing)
    found = [tuple(album.row(line, side, path) for side in (0, 1)) for line in lines]
    usable = [number for number, rows in enumerate(found) if None not in rows]
    if not usable:
        raise InputError(f"--pairs {path} has no pair of which both photos can be used.")
    row_p2 = np.array([found[number] for number in usable], dtype=np.int64)
    same_p = np.array([lines[number].names[0] == lines[number].names[1] for number in usable])
    if same_p.all() or not same_p.any():
        kind = "one person" if same_p.all() else "two people"
        raise InputError(f"--pairs {path}: all pairs are of {kind}; both kinds are needed.")
    if per_fold:
        fold_p = np.array(usable) // (2 * per_fold)
        split_p = fold_p
    else:
        fold_p, split_p = _cut(same_p, seed=seed), np.zeros(len(usable), dtype=np.int64)
    numbers = np.unique(label, return_inverse=True)[1]
    return Protocol(row_p2, same_p, fold_p, split_p, disjoint=_disjoint(numbers[row_p2], fold_p)), len(
        lines
    ) - len(usable)


def parse(text: str, path: Path) -> tuple[int, list[Line]]:
    """Return pairs of each kind in a fold (0: there are no folds), and the pairs."""
    rows = [(n, _fields(line)) for n, line in enumerate(text.splitlines(), start=1) if line.strip(", \t")]
    if rows and "," in text and len(rows[0][1]) > 1 and not rows[0][1][1].isdecimal():
        rows.pop(0)  # a table's column names
    folds, per_fold = 1, 0
    if rows and len(rows[0][1]) <= 2 and all(field.isdecimal() for field in rows[0][1]):
        header = [int(field) for field in rows.pop(0)[1]]
        folds, per_fold = header if len(header) == 2 else (1, header[0])
    lines = [_line(number, fields, path) for number, fields in rows]
    if per_fold and len(lines) != 2 * folds * per_fold:
        raise InputError(
            f"--pairs {path}: its first line speaks of {folds} × 2 × {per_fold} = {2 * folds * per_fold} "
            f"pairs; there are {len(lines)}. Mend the header, or leave it out."
        )
    return (per_fold if folds > 1 else 0), lines


def _fields(line: str) -> list[str]:
    """Return the fields of a line: of a table (blank ones end a pair of one person), by tabs or by blanks."""
    mark = "\t" if "\t" in line else "," if "," in line else None
    return [field.strip() for field in line.split(mark) if field.strip()]


def _line(number: int, fields: list[str], path: Path) -> Line:
    if len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
    if len(fields) != 4 or not (fields[1].isdecimal() and fields[3].isdecimal()):
        raise InputError(
            f"--pairs {path}, line {number} is no pair. Write name, photo, photo, or name, photo, other "
            "name, photo, parted by tabs, commas or blanks; photos are numbers, from 1, not file names."
        )
    return Line(number, (fields[0], fields[2]), (int(fields[1]), int(fields[3])))


class _Album:
    """Photos of each person, by their numbers."""

    def __init__(self, sample_id: Sequence[str], label: Sequence[str], missing: Sequence[str]) -> None:
        self._row = {name: row for row, name in enumerate(sample_id)}
        self._files: dict[str, list[str]] = {}
        for name, person in [*zip(sample_id, label, strict=True), *((one, _folder(one)) for one in missing)]:
            self._files.setdefault(person, []).append(name)
        for names in self._files.values():
            names.sort(key=natural_key)

    def row(self, line: Line, side: int, path: Path) -> int | None:
        """Return the row of one photo of a pair; None where the photo is there but unusable."""
        name, photo = line.names[side], line.photos[side]
        files = self._files.get(name)
        if files is None:
            raise InputError(
                f"--pairs {path}, line {line.number}: there is no {name!r} in the data, whose people are "
                f"{', '.join(map(repr, sorted(self._files, key=natural_key)[:3]))} …"
            )
        stem = f"{name}_{photo:04d}"
        called = next((one for one in files if one.rpartition("/")[2].rpartition(".")[0] == stem), None)
        if called is None:
            if not 1 <= photo <= len(files):
                raise InputError(
                    f"--pairs {path}, line {line.number}: {name!r} has {len(files)} photos, no photo {photo}."
                )
            called = files[photo - 1]
        return self._row.get(called)


def _folder(name: str) -> str:
    return name.rpartition("/")[0].rpartition("/")[2]


def _cut(same_p: np.ndarray, *, seed: int) -> np.ndarray:
    """Return folds of pairs, each kind evenly over them."""
    random = np.random.default_rng(seed)
    fold_p = np.empty(len(same_p), dtype=np.int64)
    for kind in (True, False):
        members = random.permutation(np.flatnonzero(same_p == kind))
        fold_p[members] = np.arange(len(members)) % FOLDS_OF_ONE_LIST
    return fold_p


def _disjoint(person_p2: np.ndarray, fold_p: np.ndarray) -> bool:
    folds = np.repeat(fold_p, 2)
    return len(np.unique(np.stack([person_p2.ravel(), folds]), axis=1).T) == len(np.unique(person_p2))
