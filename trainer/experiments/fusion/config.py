"""Flags of a fusion of images and captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class FuseConfig(StudyConfig):
    """What to join, of what."""

    seeds: int = 3
    """Number of seeds per configuration."""
    hide_class_names: bool = False
    """Remove the names of all classes from captions first."""
    class_names: Path | None = None
    """YAML or JSON file of more names per class to look for: `cat: [cat, kitten]`."""
