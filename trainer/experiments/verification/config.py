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
    """Maximum number of folds of people; each is tested once."""
    pairs_per_fold: int = 300
    """Maximum number of same-person pairs per fold, and of different-person pairs."""
    pairs: Path | None = None
    """A file of pairs as LFW has it (`name i j` and `name i other j`, with or without the header of folds)
    instead of pairs that are drawn."""
    seeds: int = 2
    """Number of seeds of each candidate with random initialisation."""
    identify: bool = True
    """Also evaluate closed-set identification."""
