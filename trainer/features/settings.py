"""Settings for encoding images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from trainer.core.errors import InputError
from trainer.features.backbone import pick_dtype
from trainer.features.families import Space
from trainer.features.hub import encoder_names, resolve
from trainer.features.image_augmentation import Augmentation, AugmentationSpec
from trainer.features.key import EncoderKey, encoder_key

Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """An encoder and how to use it.

    Attributes:
        encoder: ``demo``, a local folder or a Hugging Face id, or several joined by ``+``, whose features are
            concatenated; unused for precomputed features.
        cache_dir: folder of the feature cache on this machine. One process at a time encodes with an encoder.
        device: "auto", "cpu", "cuda".
        dtype: compute type: "float32", "bfloat16", or "auto": bfloat16 if ``device`` supports it natively.
        space: "pooled", the image tower's own output, another recipe (:mod:`trainer.features.recipes`), or
            "shared", the space of images and texts.
        views: number of augmented views of each training image.
        augmentation: settings of these views.
        batch_size: images per batch, "auto": measured (:mod:`trainer.features.batch_size`).
        workers: processes that decode, 0 for threads, "auto": processes if threads are slower than the
        encoder. max_bad: maximum share of corrupt files, 0 to 1.
        drop_duplicates: keep one row per image, see :func:`duplicates.redundant_rows`.
        measure: measure each encoded image.
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
        """Raise InputError for an invalid value."""
        if self.batch_size != "auto" and self.batch_size < 1:
            raise InputError(f"The batch size is {self.batch_size}; it must be 1 or more, or auto.")
        if self.workers != "auto" and self.workers < 0:
            raise InputError(f"The number of workers is {self.workers}; it must be 0 or more, or auto.")
        if self.views < 0:
            raise InputError(f"The number of views is {self.views}; it must be 0 or more.")
        self.augmentation.how.check()

    @cached_property
    def parts(self) -> tuple[EncoderSettings, ...]:
        """The settings of each encoder. Raises InputError for names that cannot be."""
        return tuple(replace(self, encoder=name) for name in encoder_names(self.encoder))

    @cached_property
    def folder(self) -> Path:
        """Folder of the encoder. Raises InputError if it is not available, or if there are several."""
        return resolve(self.encoder)

    @cached_property
    def compute_dtype(self) -> str:
        """Compute type: ``dtype`` with "auto" resolved."""
        return pick_dtype(self.dtype, self.device)

    def key(self, view: int = 0) -> EncoderKey:
        """Return the cache key of a view; 0 is the original image. Raises as :func:`key.encoder_key`."""
        return encoder_key(
            self.folder,
            dtype=self.compute_dtype,
            cache_dir=self.cache_dir,
            space=self.space,
            view=view,
            augmentation=self.augmentation,
        )
