"""Flags of a fusion of images and captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class FuseConfig(StudyConfig):
    """What to join, of what."""

    seeds: int = 3
    """How many times each configuration is trained, each time with other random numbers."""
    hide_class_names: bool = False
    """Take the names of all classes out of the captions first."""
    class_names: Path | None = None
    """YAML or JSON file of further names, class by class, to look for: `cat: [cat, kitten]`."""
