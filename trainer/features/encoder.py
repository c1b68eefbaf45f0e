"""Encode images with the frozen image tower of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.core.errors import InputError
from trainer.features.backbone import LoadedBackbone, catch_out_of_memory
from trainer.features.families import Space, family_of
from trainer.features.image_augmentation import jitter_and_flip
from trainer.features.model_files import image_settings, image_size
from trainer.features.preprocessing import Preparation, Size, preparation

if TYPE_CHECKING:
    import torch


class ImageEncoder:
    """A frozen image tower with its preprocessing.

    Attributes:
        family: model family.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        dtype: str = "float32",
        space: Space = "pooled",
        tower: LoadedBackbone | None = None,
    ) -> None:
        """Load the image tower of the model in ``folder``; see :class:`LoadedBackbone`.

        Args:
            space: "pooled", the tower's own output, another recipe (:mod:`trainer.features.recipes`), or
                "shared", the space that images and texts share.
            tower: a loaded tower to use instead.

        Raises:
            InputError: weights or image settings cannot be used; no such device; no such space.
        """
        import torch

        self.family = family_of(folder)
        self._preparation = preparation_of(folder)
        self._tower = tower or LoadedBackbone(folder, self.family.tower(space), device=device, dtype=dtype)
        mean, std = (
            torch.tensor(three).view(3, 1, 1) for three in (self._preparation.mean, self._preparation.std)
        )
        self._mean, self._std = mean.to(self._tower.device), std.to(self._tower.device)

    @property
    def calls(self) -> int:
        """Number of forward passes so far."""
        return self._tower.calls

    @property
    def parameters(self) -> int:
        """Number of parameters of the tower."""
        return self._tower.parameters

    @property
    def shape(self) -> Size:
        """Height and width of a preprocessed image."""
        return self._preparation.shape

    @property
    def min_side(self) -> int | None:
        """Minimum pixels per side of a decoded JPEG, see :attr:`Preparation.min_side`."""
        return self._preparation.min_side

    @property
    def device_name(self) -> str:
        """Display name of the device: "cpu" or the name of the GPU."""
        import torch

        device = self._tower.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Encode a batch.

        Args:
            images: uint8 [H, W, 3] each, of any sizes.

        Returns:
            float32 [B, D], pooled as the family's paper does.
        """
        return self.forward(np.stack([self.prepare(image) for image in images]))

    def prepare(self, image_hwc: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → uint8 [3, height, width] with the model's preprocessing. Thread-safe."""
        return self._preparation.pixels(image_hwc)

    def forward(self, pixels_bchw: np.ndarray) -> np.ndarray:
        """uint8 [B, 3, height, width] → float32 [B, D], one forward pass.

        Raises:
            OutOfMemory: the batch is too large.
        """
        return self.forward_async(self.to_device(pixels_bchw))()

    def to_device(self, pixels_bchw: np.ndarray) -> torch.Tensor:
        """Copy pixels to the device, asynchronously to a GPU. Raises OutOfMemory as above."""
        import torch

        pixels = torch.from_numpy(pixels_bchw)
        if self._tower.device.type != "cuda":
            return pixels
        with catch_out_of_memory():
            return pixels.pin_memory().to(self._tower.device, non_blocking=True)

    def forward_async(
        self, pixels: torch.Tensor, colours_b5: np.ndarray | None = None
    ) -> Callable[[], np.ndarray]:
        """Start the forward pass; call the result to wait for float32 [B, D]. Raises OutOfMemory as above.

        Args:
            colours_b5: float32 [B, 5], parameters of :func:`image_augmentation.jitter_and_flip`.
        """
        import torch

        with catch_out_of_memory():
            ready = pixels.float()
            if colours_b5 is not None:
                ready = jitter_and_flip(ready, torch.from_numpy(colours_b5).to(ready.device))
            ready = (ready - self._mean) / self._std
        wait = self._tower.forward_async(pixel_values=ready)
        return lambda: wait().numpy()

    def padded_size(self, size: int) -> int:
        """Return the size to pad batches to, so that a vector does not depend on the size of its batch.

        Matrix products of few rows sum in another order. On CPUs 16 rows are enough (B/32, float32 and
        bfloat16, oneDNN); on GPUs the kernel depends on the size, so it must always be the same.
        """
        return size if self._tower.device.type == "cuda" else min(16, size)

    def free_memory(self) -> None:
        """Release cached GPU memory after OutOfMemory."""
        import torch

        if self._tower.device.type == "cuda":
            torch.cuda.empty_cache()


def preparation_of(folder: Path) -> Preparation:
    """Return the preprocessing of the model in ``folder``, without torch.

    Raises:
        InputError: as :func:`preparation`; it makes images of another size than the model takes.
    """
    family = family_of(folder)
    settings, source = image_settings(folder)
    prepared = preparation(settings, kind=family.processor, file=folder / source)
    takes = image_size(folder)
    if family.side is not None and takes is not None and prepared.shape != takes:
        (height, width), (high, wide) = prepared.shape, takes
        raise InputError(
            f"The image settings of {folder} ({source}) make images of {height} × {width} pixels, but its "
            f"config.json describes a model for {high} × {wide}. They belong to different models: fetch both "
            "files again from where the weights came from."
        )
    return prepared
