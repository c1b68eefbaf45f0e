"""One input from the real world, and what reading it must come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Read:
    """The data is read."""

    classes: Mapping[str, int] | None = None  # rows of each class, {} for none; None: not looked at
    splits: Mapping[str, int] | None = None  # rows of each split; None: not looked at
    captions: int | None = None  # rows that have one; None: not looked at
    quarantined: int = 0
    conflicts: int = 0  # images that have several labels
    passed_over: Mapping[str, int] = field(default_factory=dict)  # files by extension
    says: tuple[str, ...] = ()  # words of the summary or the notices


@dataclass(frozen=True, init=False)
class Refused:
    """The data is refused with an InputError that has all these words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)


@dataclass(frozen=True)
class Case:
    """A kind of fault, an input of it, and the verdict."""

    name: str
    kind: str  # letter
    build: Callable[[Path], str]  # writes the input into a folder, and returns what --data gets
    verdict: Read | Refused
    flags: dict[str, str] = field(default_factory=dict)  # columns by role
