"""Which hyperparameters matter, and which of their values serve best."""

from __future__ import annotations

from dashboard import parts
from dashboard.info import SweepInfo


def show(info: SweepInfo) -> None:
    parts.missing(info, "trials")


parts.page("Hyperparameters", show)
