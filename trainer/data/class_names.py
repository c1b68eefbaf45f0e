"""Find class names that are probably no classes: several labels in one, numbers to predict, spellings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from trainer.core.errors import InputError
from trainer.data.table_columns import listed, several_labels

SEPARATORS = ("|", ";", ",")  # between several labels
SEEN_ALONE = 0.5  # share of the joined names whose parts are also classes, from which they are several labels
MANY_NUMBERS = 10  # classes named by numbers, from which they may be a quantity
FEW_ROWS = 5  # mean rows per fractional number, below which it is one


def check_class_names(name: str, classes: Sequence[str], label_n: np.ndarray) -> None:
    """Refuse names of classes that no classifier should learn.

    Args:
        name: of the data.
        label_n: int [N], index into ``classes``; -1 without a label.

    Raises:
        InputError: names join several labels, as their parts are classes, too; or they are many fractional
            numbers with few rows each.
    """
    for separator in SEPARATORS:
        joined, proven = _joined(classes, separator)
        if proven and len(proven) >= SEEN_ALONE * len(joined):
            parts = _parts(proven[0], separator)
            raise InputError(
                several_labels(
                    f"{name} has the label {proven[0]!r}, and {' and '.join(map(repr, parts[:3]))} are "
                    f"labels, too"
                    f"{f' ({len(joined)} such labels)' if joined[1:] else ''}",
                    f"--label-separator {separator!r}",
                )
            )
    number = _numbers(classes)
    rows = int((label_n >= 0).sum())
    if number is None or (number == np.round(number)).all() or len(classes) <= MANY_NUMBERS:
        return
    if rows < FEW_ROWS * len(classes):
        raise InputError(
            f"{name} has {len(classes)} different numbers as labels, from {number.min():g} to "
            f"{number.max():g}, for {rows} rows: that looks like a quantity. Only a sweep learns numbers "
            "(--target number). For classes divide it into ranges, or name another column with "
            "--label-column."
        )


def notes_on_classes(classes: Sequence[str]) -> list[str]:
    """Return what is odd about the names of classes, a sentence each."""
    notes = []
    alike: dict[str, list[str]] = {}
    for one in classes:
        alike.setdefault(re.sub(r"[\s_\-]+", " ", one).strip().casefold(), []).append(one)
    pairs = [names for names in alike.values() if len(names) > 1]
    if pairs:
        more = f" and {len(pairs) - 1} more such classes" if len(pairs) > 1 else ""
        notes.append(f"Classes that differ only in case or spacing: {listed(pairs[0], most=5)}{more}.")
    for separator in SEPARATORS:
        joined, _ = _joined(classes, separator)
        recombined = _recombine(joined, separator)
        if joined and (recombined or separator in SEPARATORS[:2]):
            cure = f"If they are several labels per image, pass --label-separator {separator!r}."
            notes.append(
                f"{separator!r} in the name of {joined[0]!r}"
                f"{f' and {len(joined) - 1} more classes' if joined[1:] else ''}: each name is one class."
                f"{f' {cure}' if recombined else ''}"
            )
    number = _numbers(classes)
    if number is not None and len(number) > MANY_NUMBERS:
        counting = number.min() in (0, 1) and np.ptp(number) == len(number) - 1
        if not counting:
            notes.append(
                f"The {len(classes)} classes are numbers from {number.min():g} to {number.max():g}. If they "
                "are a quantity, such as an age, a classifier ignores their order."
            )
    return notes


def _joined(classes: Sequence[str], separator: str) -> tuple[list[str], list[str]]:
    """Return the names with the separator, and those of which every part is a class of its own."""
    joined = [one for one in classes if len(_parts(one, separator)) > 1]
    alone = set(classes) - set(joined)
    return joined, [one for one in joined if all(part in alone for part in _parts(one, separator))]


def _recombine(joined: Sequence[str], separator: str) -> bool:
    """Return whether most of these names are made of the same parts, so that they are probably several
    labels."""
    in_names = Counter(part for one in joined for part in set(_parts(one, separator)))
    shared = [one for one in joined if all(in_names[part] > 1 for part in _parts(one, separator))]
    return 2 * len(shared) > len(joined)


def _parts(name: str, separator: str) -> list[str]:
    return [part.strip() for part in name.split(separator) if part.strip()]


def _numbers(classes: Sequence[str]) -> np.ndarray | None:
    """Return the classes as finite numbers, float64 [C]; None if any is none."""
    try:
        number = np.array([float(one) for one in classes])
    except ValueError:
        return None
    return number if len(number) and np.isfinite(number).all() else None
