"""Flags of a check."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.core.config import DataConfig


@dataclass(frozen=True, kw_only=True)
class CheckConfig(DataConfig):
    """What to check."""
