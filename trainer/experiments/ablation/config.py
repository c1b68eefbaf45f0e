"""Flags of an ablation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.core.config import StudyConfig
from trainer.features.caption_augmentation import CaptionAugmentation


@dataclass(frozen=True, kw_only=True)
class AblateConfig(StudyConfig):
    """What to compare, on what."""

    filters: tuple[str, ...] = ()
    """Filters to try, one by one: "clip>=0.22", "aesthetic>=top70%", "quality>=top90%/class", unique, or such
    joined by & and |."""
    grid: tuple[str, ...] = ()
    """Axes of a grid: filters separated by commas. Each filter of an axis, and none, meets each of the
    others: --grid "quality>=top95%,quality>=top85%" "clip>=top90%,clip>=top75%". Neither this nor --filters:
    a usual choice for the scores at hand."""
    views: int | None = None
    """Augmented views of each training image; 0: no cells with augmentation. Left out: 2 where there are
    images."""
    seeds: int = 8
    """How many times each cell is trained, each time with other random numbers, the same for all cells; at
    least 6. More than before: a resumed ablation goes on."""
    head: str = "linear"
    """Head to train: linear, mlp, or the run id of a sweep (its best head) or of a trial."""
    class_weight: Literal["none", "balanced", "effective"] | None = None
    """Class weights in the loss. Default: those of the head."""
    retune: int = 0
    """Number of head configurations to tune in every cell, instead of one fixed head."""
    encoders: tuple[str, ...] = ()
    """Additional encoders for the same cells."""
    score_encoder: str | None = None
    """CLIP model for CLIP and aesthetic scores. Default: the encoder, if it is a single one."""
    aesthetic: str | None = None
    """LAION's linear aesthetic predictor: a .pth or .safetensors file, or owner/name/file of the hub."""
    captions_count: Literal["best", "mean", "worst"] = "best"
    """CLIP score of a row with several captions."""
    wording: CaptionAugmentation = field(default_factory=CaptionAugmentation)
    """Caption augmentation; its effect on the CLIP score is measured."""
    mismatch: float = 0.0
    """Plant noise: share of training rows that get label and caption of another class."""
    bad_source: float = 0.0
    """Plant noise: as --mismatch, with images reduced to thumbnails and enlarged again."""
    shuffle_captions: float = 0.0
    """Plant noise: share of training rows whose captions are shuffled."""
    dry_run: bool = False
    """Only score rows and report what the filters keep; no training, nothing in MLflow."""
    report: Path | None = None
    """Also write a report to this Markdown file."""
