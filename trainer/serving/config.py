"""Flags of a batch prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trainer.core.config import CommonConfig


@dataclass(frozen=True, kw_only=True)
class PredictConfig(CommonConfig):
    """Flags for images and head."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Image files, and folders that are searched recursively. Put names that begin with a dash after --."""
    run: str | None = None
    """Id of the sweep, fine-tuning or fusion whose best head is used. Default: the newest finished sweep with
    a head for images. A fusion reads captions from metadata.csv beside the images."""
    model_uri: str | None = None
    """Logged model to use instead of a sweep: models:/NAME/VERSION or runs:/RUN_ID/model."""
    encoder: str | None = None
    """Folder or Hugging Face id of the sweep's encoder, if it has moved; of several, joined by + in the
    sweep's order."""
    out: Path = Path("predictions.csv")
    """Output CSV; an existing file is replaced."""
    top_k: int = 3
    """Number of classes per image, the most probable first. A head of several labels writes the probability
    of each label."""
    coverage: float | None = None
    """Share of images whose true class the column prediction_set shall hold (0.5 to 0.99), or whose true
    number lies from number_low to number_high. Default: that of the sweep."""
    max_bad: float = 0.05
    """Maximum share of corrupt files. With more, the CSV is written and the exit code is 1."""
    batch_size: int | Literal["auto"] = "auto"
    """Images per encoder batch. auto: the fastest of several, measured once and cached."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode images; 0: threads. auto: processes if threads are slower than the encoder."""
    max_memory: str | None = None
    """Memory for images while they are decoded, such as 2GB: larger ones are decoded one at a time. Default:
    a tenth of what is free."""
