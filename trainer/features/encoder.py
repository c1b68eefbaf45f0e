"""Pictures → vectors and texts → vectors, with the frozen towers of one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.errors import InputError, first_line
from trainer.features.families import Space, family_of
from trainer.features.preparation import Preparation, Size, preparation
from trainer.features.saved import image_settings, read_json
from trainer.features.tower import LoadedTower, room

if TYPE_CHECKING:
    import torch

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")


class ImageEncoder:
    """A frozen image tower and how pictures are prepared for it.

    Attributes:
        family: the kind of model.
    """

    def __init__(
        self, folder: Path, *, device: str = "auto", dtype: str = "float32", space: Space = "pooled"
    ) -> None:
        """Load the image tower of the model in ``folder``; device and dtype as :class:`LoadedTower` has them.

        Args:
            space: "pooled", the tower's own output, or "shared", the space that images and texts share.

        Raises:
            InputError: weights or image settings cannot be used; no such device; no shared space.
        """
        import torch

        self.family = family_of(folder)
        self._preparation = preparation_of(folder)
        self._tower = LoadedTower(folder, self.family.tower(space), device=device, dtype=dtype)
        mean, std = (
            torch.tensor(three).view(3, 1, 1) for three in (self._preparation.mean, self._preparation.std)
        )
        self._mean, self._std = mean.to(self._tower.device), std.to(self._tower.device)

    @property
    def calls(self) -> int:
        """Forward passes so far."""
        return self._tower.calls

    @property
    def shape(self) -> Size:
        """Height and width of a prepared picture."""
        return self._preparation.shape

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
            TooLarge: the device has no memory for so many at once.
        """
        return self.begin(self.send(pixels_bchw))()

    def send(self, pixels_bchw: np.ndarray) -> torch.Tensor:
        """Bytes to the device; a GPU fetches them while this process goes on. TooLarge as above."""
        import torch

        pixels = torch.from_numpy(pixels_bchw)
        if self._tower.device.type != "cuda":
            return pixels
        with room():
            return pixels.pin_memory().to(self._tower.device, non_blocking=True)

    def begin(self, pixels: torch.Tensor) -> Callable[[], np.ndarray]:
        """What was sent → float32 [B, D], once what comes back is called. TooLarge as above."""
        with room():
            ready = (pixels.float() - self._mean) / self._std
        wait = self._tower.begin(pixel_values=ready)
        return lambda: wait().numpy()

    def full(self, size: int) -> int:
        """Rows that a batch shall have at least, for a vector not to depend on how many others are with it.

        Matrix products of few rows are computed in another order. On CPUs 16 rows are enough (B/32, float32
        and bfloat16, oneDNN); on GPUs the kernel is chosen by the size, so that it must always be the same.
        """
        return size if self._tower.device.type == "cuda" else min(16, size)

    def forget(self) -> None:
        """Give back memory that is kept for later: after TooLarge."""
        import torch

        if self._tower.device.type == "cuda":
            torch.cuda.empty_cache()


def preparation_of(folder: Path) -> Preparation:
    """How the model in ``folder`` wants its pictures. Needs no torch. InputError as :func:`preparation`."""
    return preparation(image_settings(folder)[0], kind=family_of(folder).processor)


class TextEncoder:
    """A frozen text tower and its tokenizer: into the space that images and texts share."""

    def __init__(self, folder: Path, *, device: str = "auto", dtype: str = "float32") -> None:
        """Load the text tower of the model in ``folder``.

        Raises:
            InputError: the model has no text tower; tokenizer or weights cannot be used; no such device.
        """
        from transformers import AutoTokenizer

        family = family_of(folder)
        family.tower("shared")
        assert family.text is not None
        # transformers makes an empty tokenizer where there are no words, and every text becomes the same.
        if not any((folder / name).is_file() for name in TOKENIZER_FILES):
            raise InputError(f"{folder} has no tokenizer ({', '.join(TOKENIZER_FILES)}). Save it there too.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the libraries raise many kinds
            raise InputError(
                f"The tokenizer in {folder} cannot be loaded: {first_line(error)}. Fetch or save it again."
            ) from error
        self.length = int(read_json(folder / "config.json")["text_config"]["max_position_embeddings"])
        # SigLIP learnt from texts padded to the full length (Zhai et al. 2023, published code).
        self._padding = "max_length" if family.name == "SigLIP" else "longest"
        self._masked = family.name != "SigLIP"
        self._tower = LoadedTower(folder, family.text, device=device, dtype=dtype)

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Encode a batch.

        Returns:
            float32 [B, E], and bool [B]: the text had more than :attr:`length` tokens and was cut.
        """
        whole = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        tokens = self._tokenizer(
            list(texts), padding=self._padding, truncation=True, max_length=self.length, return_tensors="pt"
        )
        wanted = ("input_ids", "attention_mask") if self._masked else ("input_ids",)
        inputs = {name: tokens[name].to(self._tower.device) for name in wanted}
        cut = np.array([len(ids) > self.length for ids in whole])
        return self._tower(**inputs).numpy(), cut
