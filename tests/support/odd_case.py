"""One input from the real world, and what reading it must come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.data.manifest import check_trainable


@dataclass(frozen=True)
class Read:
    """The data is read."""

    classes: dict[str, int] | None = None  # rows of each class; None: not looked at
    splits: dict[str, int] | None = None  # rows of each split; None: not looked at
    quarantined: int = 0
    says: tuple[str, ...] = ()  # words of the notes


class Refused:
    """The data is refused with an InputError that has all these words."""

    def __init__(self, *words: str) -> None:
        self.words = words


@dataclass(frozen=True)
class Case:
    """A kind of fault, an input of it, and the verdict."""

    name: str
    kind: str  # letter
    build: Callable[[Path], str]  # writes the input into a folder, and returns what --data gets
    verdict: Read | Refused
    flags: dict[str, str] = field(default_factory=dict)  # columns by role


def check(case: Case, folder: Path) -> None:
    """Read the case as commands that train do, and compare it with its verdict."""
    from trainer.data.table_columns import ColumnChoice

    data = case.build(folder)
    columns = ColumnChoice(**case.flags)
    if isinstance(case.verdict, Refused):
        with pytest.raises(InputError) as caught:
            check_trainable(load(data, seed=0, columns=columns))
        absent = [word for word in case.verdict.words if word not in str(caught.value)]
        assert not absent, f"{absent} not in: {caught.value}"
        return
    manifest = load(data, seed=0, columns=columns)
    rows = {name: int((manifest.label_n == i).sum()) for i, name in enumerate(manifest.classes)}
    splits = {split: len(manifest.rows(split)) for split in ("train", "val", "test")}
    said = " ".join(manifest.notes)
    assert case.verdict.classes is None or rows == case.verdict.classes
    assert case.verdict.splits is None or splits == case.verdict.splits
    assert len(manifest.quarantined) == case.verdict.quarantined, manifest.quarantined
    assert [word for word in case.verdict.says if word not in said] == [], said
    if rows:
        check_trainable(manifest)
