"""Flags of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from trainer.core.config import CommonConfig


@dataclass(frozen=True, kw_only=True)
class ReportConfig(CommonConfig):
    """What to report."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run ids or names of studies of --experiment: sweeps, fine-tunings, fusions, zero-shot runs, comparisons
    of encoders, ablations and verifications. Several are compared with the first."""
    out: Path = Path("report.html")
    """File to write: .html, or .pdf where a Chromium or Chrome is installed."""
