"""Flags of a look at the machine."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.core.config import CommonConfig


@dataclass(frozen=True, kw_only=True)
class DoctorConfig(CommonConfig):
    """What to look at."""

    hub: bool = True
    """Ask the Hugging Face hub whether it answers. With HF_HUB_OFFLINE=1 it is not asked either."""
