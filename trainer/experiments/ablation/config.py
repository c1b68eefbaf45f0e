"""Flags of an ablation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.core.config import StudyConfig
from trainer.features.caption_augmentation import Wording


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
    """What is trained: linear, mlp, or the id of a run of a sweep (its best head), or of one trial."""
    class_weight: Literal["none", "balanced", "effective"] | None = None
    """How classes count in the loss; left out: as the head has it."""
    retune: int = 0
    """Try this many configurations in every cell, on the validation rows, instead of one fixed head."""
    encoders: tuple[str, ...] = ()
    """Further encoders to train the same cells on."""
    score_encoder: str | None = None
    """CLIP that gives CLIP and aesthetic scores. Left out: the encoder."""
    aesthetic: str | None = None
    """LAION's linear aesthetic predictor: a .pth or .safetensors file, or owner/name/file of the hub."""
    captions_count: Literal["best", "mean", "worst"] = "best"
    """Which of a row's several captions makes its CLIP score."""
    wording: Wording = field(default_factory=Wording)
    """How far augmented captions stray; what that does to the CLIP score is measured."""
    mismatch: float = 0.0
    """Plant damage to be found: this share of the training rows gets label and caption of another class."""
    bad_source: float = 0.0
    """Plant damage: the same, and their images become thumbnails that were enlarged again."""
    shuffle_captions: float = 0.0
    """Plant damage: this share of the training rows exchange captions."""
    dry_run: bool = False
    """Only score the rows and say what the filters keep; trains nothing, writes nothing to MLflow."""
    report: Path | None = None
    """Also write tables and images to this Markdown file."""
