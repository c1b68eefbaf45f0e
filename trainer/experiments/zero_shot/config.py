"""Flags of a zero-shot run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig(StudyConfig):
    """What to compare, on what."""

    templates: Path | None = None
    """Text file of prompts, one per line, with {} or {c} for the class name. Default: an ensemble of ten."""
    class_names: Path | None = None
    """YAML or JSON file of more descriptive names per class: `cat: [cat, kitten]`; or one name per line, in
    the order of the classes."""
    head: str | None = None
    """Run id of a sweep on the same data, whose best head is also compared."""
    shots: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Training images per class in the few-shot curve."""
    margin: float = 0.01
    """Macro-F1 below zero-shot up to which a head still counts as level with it."""
    draws: int = 20
    """Number of random draws of these images. Increase it to extend a resumed study."""
