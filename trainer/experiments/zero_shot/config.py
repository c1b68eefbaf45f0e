"""Flags of a zero-shot run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig(StudyConfig):
    """What to compare, on what."""

    templates: Path | None = None
    """Text file of prompts, one a line, {} where a class's name goes. Left out: an ensemble of ten."""
    class_names: Path | None = None
    """YAML or JSON file of names that say more than the labels do, class by class: `cat: [cat, kitten]`."""
    head: str | None = None
    """Id of a sweep's run on the same data: its best head is compared, too."""
    shots: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Training images per class of the few-shot curve."""
    draws: int = 20
    """How often these images are drawn anew. More than before: a resumed study goes on."""
