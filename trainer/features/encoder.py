"""Images → vectors, with the frozen image tower of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.features.backbone import LoadedBackbone, catch_out_of_memory
from trainer.features.families import Space, family_of
from trainer.features.image_augmentation import recolour
from trainer.features.model_files import image_settings
from trainer.features.preprocessing import Preparation, Size, preparation

if TYPE_CHECKING:
    import torch


class ImageEncoder:
    """A frozen image tower and how images are prepared for it.

    Attributes:
        family: the kind of model.
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
            space: "pooled", the tower's own output, or "shared", the space that images and texts share.
            tower: one that is loaded already, and ends elsewhere.

        Raises:
            InputError: weights or image settings cannot be used; no such device; no shared space.
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
        """Forward passes so far."""
        return self._tower.calls

    @property
    def parameters(self) -> int:
        """Numbers in the tower's weights."""
        return self._tower.parameters

    @property
    def shape(self) -> Size:
        """Height and width of a prepared image."""
        return self._preparation.shape

    @property
    def least(self) -> int | None:
        """Pixels that each side of a JPEG must keep when it is decoded: :attr:`Preparation.least`."""
        return self._preparation.least

    @property
    def device_name(self) -> str:
        """The device, for people: "cpu" or what the GPU is called."""
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
        """uint8 [H, W, 3] → uint8 [3, height, width] by the model's own settings. Safe in threads."""
        return self._preparation.pixels(image_hwc)

    def forward(self, pixels_bchw: np.ndarray) -> np.ndarray:
        """uint8 [B, 3, height, width] → float32 [B, D], one forward pass.

        Raises:
            OutOfMemory: the device has no memory for so many at once.
        """
        return self.begin(self.send(pixels_bchw))()

    def send(self, pixels_bchw: np.ndarray) -> torch.Tensor:
        """Bytes to the device; a GPU fetches them while this process goes on. OutOfMemory as above."""
        import torch

        pixels = torch.from_numpy(pixels_bchw)
        if self._tower.device.type != "cuda":
            return pixels
        with catch_out_of_memory():
            return pixels.pin_memory().to(self._tower.device, non_blocking=True)

    def begin(self, pixels: torch.Tensor, colours_b5: np.ndarray | None = None) -> Callable[[], np.ndarray]:
        """What was sent → float32 [B, D], once what comes back is called. OutOfMemory as above.

        Args:
            colours_b5: float32 [B, 5], how each image is changed first: :func:`views.recolour`.
        """
        import torch

        with catch_out_of_memory():
            ready = pixels.float()
            if colours_b5 is not None:
                ready = recolour(ready, torch.from_numpy(colours_b5).to(ready.device))
            ready = (ready - self._mean) / self._std
        wait = self._tower.begin(pixel_values=ready)
        return lambda: wait().numpy()

    def full(self, size: int) -> int:
        """Rows that a batch shall have at least, for a vector not to depend on how many others are with it.

        Matrix products of few rows are computed in another order. On CPUs 16 rows are enough (B/32, float32
        and bfloat16, oneDNN); on GPUs the kernel is chosen by the size, so that it must always be the same.
        """
        return size if self._tower.device.type == "cuda" else min(16, size)

    def forget(self) -> None:
        """Give back memory that is kept for later: after OutOfMemory."""
        import torch

        if self._tower.device.type == "cuda":
            torch.cuda.empty_cache()


def preparation_of(folder: Path) -> Preparation:
    """How the model in ``folder`` wants its images. Needs no torch. InputError as :func:`preparation`."""
    return preparation(image_settings(folder)[0], kind=family_of(folder).processor)
