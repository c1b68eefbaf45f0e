"""What filters and augmentation did, and whom they threw out."""

from __future__ import annotations

from dashboard import parts, state
from dashboard.info import SweepInfo


def show(info: SweepInfo) -> None:
    parts.missing(info, "cells")


parts.page("Filter ablations", show, runs=state.ablations, key=state.ABLATION)
