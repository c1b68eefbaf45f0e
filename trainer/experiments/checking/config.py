"""Flags of a check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.core.config import DataConfig


@dataclass(frozen=True, kw_only=True)
class CheckConfig(DataConfig):
    """What to check."""

    corrected_table: Path | None = None
    """New file for the data's own table (CSV, TSV, JSON lines, Parquet, or a folder's metadata file) with the
    labels of --corrections and without what they drop; its other columns as they are."""

    @property
    def label_kind(self) -> None:
        """Return that labels are understood as a sweep takes them: several, a number or a class."""
        return None

    @property
    def takes_several_labels(self) -> bool:
        """Return that an image may have several labels."""
        return True
