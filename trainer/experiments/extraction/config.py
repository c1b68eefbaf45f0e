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
    """Also encode captions, into the shared space of images and texts."""
    views: int = 0
    """Number of augmented views of each training image to encode."""
    augment: Augmentation = field(default_factory=Augmentation)
    """Image augmentation."""
    part: str | None = None
    """I/N: encode as worker I of N over the same data and --cache-dir, then help the others. auto: read I
    and N from the variables of Slurm, Kubernetes or torchrun. Writes no run: extract without --part does,
    once all are done."""

    @property
    def takes_several_labels(self) -> bool:
        """Return that an image may have several labels."""
        return True
