"""With what to encode: one object that every step from a row to its vector reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from trainer.core.errors import InputError
from trainer.features.backbone import pick_dtype
from trainer.features.families import Space
from trainer.features.hub import resolve
from trainer.features.image_augmentation import Augmentation, AugmentationSpec
from trainer.features.key import EncoderKey, identity

Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """An encoder and how to use it.

    Attributes:
        encoder: ``demo``, a local folder or a Hugging Face id; unused where the data brings features.
        cache_dir: holds the feature store. One process at a time encodes with one encoder.
        device: "auto", "cpu", "cuda".
        dtype: what the encoder computes in, "float32", "bfloat16", or "auto": bfloat16 where ``device``
            computes in it natively.
        space: "pooled", the image tower's own output, or "shared", the space of images and texts.
        views: how many augmented views to make of each training image besides itself.
        augmentation: how these differ from it.
        batch_size: images per call of the encoder, "auto": measured (:mod:`trainer.features.batch_size`).
        workers: processes that decode, 0 for threads, "auto": processes once threads do not keep up.
        max_bad: the share of files, 0 to 1, that may be quarantined.
        drop_duplicates: of rows that show the same image keep one, see :func:`duplicates.repeats`.
        measure: measure each image that is encoded, once in its life.
    """

    encoder: str
    cache_dir: Path
    device: str = "auto"
    dtype: str = "float32"
    space: Space = "pooled"
    views: int = 0
    augmentation: AugmentationSpec = AugmentationSpec(Augmentation(), seed=0)  # noqa: RUF009  (immutable)
    batch_size: int | Auto = 64
    workers: int | Auto = 0
    max_bad: float = 0.05
    drop_duplicates: bool = False
    measure: bool = True

    def check(self) -> None:
        """Raise InputError for a value that makes no sense."""
        if self.batch_size != "auto" and self.batch_size < 1:
            raise InputError(f"The batch size is {self.batch_size}; it must be 1 or more, or auto.")
        if self.workers != "auto" and self.workers < 0:
            raise InputError(f"The number of workers is {self.workers}; it must be 0 or more, or auto.")
        if self.views < 0:
            raise InputError(f"The number of views is {self.views}; it must be 0 or more.")
        self.augmentation.how.check()

    @cached_property
    def folder(self) -> Path:
        """Where the encoder's files are. InputError if it is not to be had."""
        return resolve(self.encoder)

    @cached_property
    def compute_dtype(self) -> str:
        """What ``dtype`` stands for on ``device``."""
        return pick_dtype(self.dtype, self.device)

    def key(self, view: int = 0) -> EncoderKey:
        """The key under which vectors of a view are stored; 0 is the image itself."""
        return identity(
            self.folder,
            dtype=self.compute_dtype,
            cache_dir=self.cache_dir,
            space=self.space,
            view=view,
            augmentation=self.augmentation,
        )
