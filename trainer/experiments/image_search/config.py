"""Flags of a search for images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trainer.core.config import DataConfig


@dataclass(frozen=True, kw_only=True)
class SearchImagesConfig(DataConfig):
    """What to search for, and where."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """What the images should show, such as "a dog on grass". Needs an encoder with a text tower, such as
    CLIP. Put the words first, before the flags."""
    image: Path | None = None
    """Image file to find similar images of, instead of words. Works with any encoder."""
    top: int = 10
    """Number of images to find."""
    split: Literal["train", "val", "test"] | None = None
    """Search only this split. Default: all rows."""
    label: tuple[str, ...] = ()
    """Search only images with one of these labels."""
    recall: bool = False
    """Also measure recall at 1, 5 and 10 with the captions of the data: text to image, and image to text."""
    out: Path | None = None
    """Also write the images found to this CSV; an existing file is replaced."""

    @property
    def takes_several_labels(self) -> bool:
        """Return that an image may have several labels."""
        return True
