"""How the tests of this folder encode."""

from __future__ import annotations

from pathlib import Path

from trainer.core.locations import cache_folder
from trainer.features.settings import EncoderSettings


def settings_of(encoder: str, cache_dir: Path, **changed: object) -> EncoderSettings:
    """The same settings in every process."""
    usual = {"device": "cpu", "batch_size": 8, "max_bad": 0.5}
    return EncoderSettings(encoder=encoder, cache_dir=cache_folder(cache_dir), **{**usual, **changed})  # type: ignore[arg-type]
