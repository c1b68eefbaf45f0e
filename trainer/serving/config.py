"""Flags of a batch prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trainer.core.config import CommonConfig


@dataclass(frozen=True, kw_only=True)
class PredictConfig(CommonConfig):
    """What to answer, with which head."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Image files, and folders that are searched for them, subfolders included. A name that begins with a
    dash goes behind a --."""
    run: str | None = None
    """Id of the sweep whose best head answers. Left out: the newest finished one that has such a head."""
    model_uri: str | None = None
    """Instead of a sweep a model that one logged: models:/NAME/VERSION or runs:/RUN_ID/model."""
    encoder: str | None = None
    """Where the sweep's encoder is on this machine, if not where it was: a folder or a Hugging Face id."""
    out: Path = Path("predictions.csv")
    """The CSV to write, replacing what is there."""
    top_k: int = 3
    """Classes named for each image, the likeliest first."""
    max_bad: float = 0.05
    """Largest share of files that may be unusable; with more the exit code is 1, and the CSV is written."""
    batch_size: int | Literal["auto"] = "auto"
    """Images per call of the encoder. auto: the fastest of a few, measured once and remembered."""
    workers: int | Literal["auto"] = "auto"
    """Processes that decode; 0: threads do. auto: processes once threads do not keep up with the encoder."""
