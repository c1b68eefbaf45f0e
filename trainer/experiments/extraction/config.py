"""Flags of an extraction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trainer.core.config import DataConfig
from trainer.features.image_augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(DataConfig):
    """What to encode, and how."""

    space: Literal["pooled", "shared"] = "pooled"
    """pooled: the image tower's own output, which heads learn from. shared: the space of images and texts."""
    captions: bool = False
    """Encode the captions, too, into the space that images and texts share."""
    views: int = 0
    """Views of each training image besides itself, encoded for augmentation."""
    augment: Augmentation = field(default_factory=Augmentation)
    """How far views stray from their image."""
