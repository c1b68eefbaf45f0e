"""Flags of a comparison of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from trainer.core.config import CommonConfig


@dataclass(frozen=True, kw_only=True)
class CompareConfig(CommonConfig):
    """Which runs to compare."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run ids or names of studies of --experiment: sweeps, fine-tunings, fusions, zero-shot runs or
    comparisons of encoders. RUN:HEAD names a head or a method. Default: the best head, or the method chosen
    on validation rows."""
    base: str | None = None
    """The one of them that the others are compared with. Default: the first."""
    fail_if_worse: bool = False
    """Exit with code 1 if a run is significantly worse than the base."""
    out: Path | None = None
    """JSON file for the figures of every class as well."""
