"""What is compared: cells, each a filter with or without augmentation, and for each filter a random choice of
as many rows. Only training rows are ever filtered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from trainer.core.errors import InputError
from trainer.experiments.ablation.filters import (
    UNIQUE,
    Everything,
    Filter,
    FilterRows,
    UnknownScore,
    both,
    emptied_classes,
    parse,
)
from trainer.experiments.ablation.scores import AESTHETIC, AGREEMENT, CLIP, QUALITY

BASELINE = 0  # the number of the cell that keeps every row and does not augment

USUAL_GRID = {  # axes whose filters are crossed, by the score that they look at
    AESTHETIC: ("aesthetic>=top80%", "aesthetic>=top60%"),
    QUALITY: ("quality>=top80%", "quality>=top60%"),
    CLIP: ("clip>=top90%", "clip>=top75%", "clip>=top60%"),
}
USUAL_ALONE = {
    AGREEMENT: ("agreement>=top90%", "agreement>=top80%", "agreement>=top70%", "agreement>=top60%"),
    UNIQUE: ("unique",),
}


@dataclass(frozen=True)
class Cell:
    """One row of the ablation: train on what a filter keeps, with augmented views or without."""

    number: int
    filter: Filter
    augment: bool
    keep_n: np.ndarray  # bool [N], of the training rows

    @property
    def kept(self) -> int:
        """Training rows that stay."""
        return int(self.keep_n.sum())

    @property
    def removes(self) -> bool:
        """Whether a random choice of as many rows can be compared with it."""
        return not self.keep_n.all()

    def __str__(self) -> str:
        return f"{self.filter}{' + augmentation' if self.augment else ''}"


def usual(rows: FilterRows) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Axes and single filters that suit the scores at hand: an aesthetic score stands in for quality."""
    find_installed = set(rows.scores) | ({UNIQUE} if rows.group_n is not None else set())
    if AESTHETIC in find_installed:
        find_installed -= {QUALITY}
    axes = tuple(",".join(filters) for score, filters in USUAL_GRID.items() if score in find_installed)
    alone = [one for score, filters in USUAL_ALONE.items() if score in find_installed for one in filters]
    return axes, tuple(alone)


class ClassEmptied(InputError):
    """A filter keeps no row of a class."""


def design(
    rows: FilterRows,
    *,
    axes: Sequence[str],
    alone: Sequence[str],
    augment: bool,
    why_not: dict[str, str],
    left_out: list[str] | None = None,
) -> list[Cell]:
    """Every combination of the axes' filters, then the single ones; each again with augmentation if wanted.

    Args:
        axes: filters separated by commas; of each axis every filter, and none, meets every one of the others.
        alone: filters that are not crossed.
        why_not: for scores that these rows do not have, why.
        left_out: where given, it is told which filters would empty a class and are therefore left out; for
            filters that nobody asked for by name.

    Returns:
        cells, the first the baseline. Filters that keep the same rows as an earlier one are left out.

    Raises:
        InputError: a filter cannot be read or asks for a score that is not there.
        ClassEmptied: a filter empties a class.
    """
    crossed = product(*([Everything(), *read(axis.split(","))] for axis in axes))
    found: list[Cell] = []
    seen: set[bytes] = set()
    for one in (Everything(), *(both(*parts) for parts in crossed), *read(alone)):
        try:
            keep_n = keep(one, rows, why_not)
        except ClassEmptied:
            if left_out is None:
                raise
            left_out.append(str(one))
            continue
        if keep_n.tobytes() in seen:
            continue
        seen.add(keep_n.tobytes())
        for augmented in (False, True)[: 1 + augment]:
            found.append(Cell(len(found), one, augmented, keep_n))
    return found


def keep(one: Filter, rows: FilterRows, why_not: dict[str, str]) -> np.ndarray:
    """The filter's mask over training rows, bool [N].

    Raises:
        InputError: it asks for a score that is not there.
        ClassEmptied: it empties a class.
    """
    try:
        keep_n = one.keep(rows)
    except UnknownScore as missing:
        known = sorted([*rows.scores, *(["unique"] if rows.group_n is not None else [])])
        wanted = "unique" if missing.name == UNIQUE else missing.name
        why = why_not.get(missing.name, f"there is no score called {wanted!r}")
        raise InputError(
            f"The filter {str(one)!r} asks for {wanted!r}: {why}. At hand: {', '.join(known)}."
        ) from None
    emptied = emptied_classes(keep_n, rows)
    if emptied:
        named = ", ".join(map(repr, emptied[:5])) + (" and more" if len(emptied) > 5 else "")
        raise ClassEmptied(
            f"The filter {str(one)!r} keeps {int(keep_n.sum())} of {len(keep_n)} training rows and none of "
            f"the class {named}. Filter less, or take a share of each class: such as clip>=top80%/class."
        )
    return keep_n


def random_choice(cell: Cell, rows: FilterRows, *, seed: int, draw: int) -> np.ndarray:
    """As many training rows as the cell keeps, at random, bool [N]; no class is emptied.

    The same for all cells that keep as many, so that with and without augmentation are compared on the same
    rows.
    """
    random = np.random.default_rng([seed, draw, cell.kept])
    order = random.permutation(len(rows.label_n))
    # one row of each class first, so that none is emptied: the first in the random order
    firsts = order[np.unique(rows.label_n[order], return_index=True)[1]]
    chosen = order[: cell.kept]
    missing = firsts[~np.isin(firsts, chosen)]
    if len(missing):
        spare = chosen[~np.isin(chosen, firsts)]
        chosen = np.concatenate([np.setdiff1d(chosen, spare[-len(missing) :]), missing])
    keep_n = np.zeros(len(order), dtype=bool)
    keep_n[chosen] = True
    return keep_n


def read(texts: Sequence[str]) -> Iterator[Filter]:
    """Filters from their texts.

    Raises:
        InputError: one cannot be read.
    """
    for text in texts:
        try:
            yield parse(text)
        except ValueError as error:
            raise InputError(
                f"A filter cannot be read: {error}. Filters look like clip>=0.22, aesthetic>=top70%, "
                "quality>=top90%/class, unique, or such joined by & and |."
            ) from None
