"""Flags of a fusion of images and captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trainer.core.config import StudyConfig
from trainer.features.caption_augmentation import CaptionAugmentation
from trainer.features.image_augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class FuseConfig(StudyConfig):
    """What to join, of what."""

    seeds: int = 3
    """Number of seeds per configuration."""
    hide_class_names: bool = False
    """Remove the names of all classes from captions first."""
    class_names: Path | None = None
    """YAML or JSON file of more names per class to look for: `cat: [cat, kitten]`."""
    views: int = 0
    """Number of augmented views of each training image and its caption. With some, all heads are trained
    with them, too, and the two ways are compared; 0: without."""
    augment: Augmentation = field(default_factory=Augmentation)
    """Image augmentation."""
    wording: CaptionAugmentation = field(default_factory=CaptionAugmentation)
    """Caption augmentation."""
