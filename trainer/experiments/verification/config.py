"""Flags of a face verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(StudyConfig):
    """Whose photos, and which pairs."""

    data: str = ""
    """A folder with one folder of photos per person (or any other data with the person as label; `demo` takes
    drawings for people). Needed: no faces come along. Splits that the data brings are not used: people are
    split."""
    folds: int = 10
    """Into how many parts the people are cut; each is tested once. With few people there are fewer."""
    pairs_per_fold: int = 300
    """At most so many pairs of one person, and as many of two, in a fold."""
    pairs: Path | None = None
    """A file of pairs as LFW has it (`name i j` and `name i other j`, with or without the header of folds)
    instead of pairs that are drawn."""
    seeds: int = 2
    """With how many seeds each candidate that begins at random learns before one is chosen."""
    identify: bool = True
    """Also ask who of the known people it is (closed set)."""
