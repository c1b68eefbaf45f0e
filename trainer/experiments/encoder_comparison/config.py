"""Flags of a comparison of encoders."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.core.config import StudyConfig


@dataclass(frozen=True, kw_only=True)
class EncodersConfig(StudyConfig):
    """Which encoders, on what."""

    encoders: tuple[str, ...] = ("demo",)
    """Two or more encoders, as for --encoder of other commands: `demo path/to/model demo+path/to/model`."""
    seeds: int = 5
    """Probes per encoder, each trained on another 90 % of the training rows, the same for all encoders."""
    margin: float = 0.01
    """Macro-F1 that a faster encoder may lack: it is recommended if it is shown to be less below the best."""
