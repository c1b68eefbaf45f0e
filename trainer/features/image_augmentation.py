"""Augment images by random crop, flip and colour jitter.

View 0 is the original image; views 1, 2, … are augmented. A view depends only on the image's bytes, its
number and the seed. Crops are made by Pillow, with the encoder's resampling filter, when the image is
decoded; flip and colour jitter by kornia, on the device.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from trainer.core.errors import InputError

if TYPE_CHECKING:
    import torch

VIEWS_VERSION = "1"  # increase when the code below changes its results


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strength of image augmentation. The defaults are milder than for training an encoder, because a frozen
    encoder must still recognise the content."""

    least_area: float = 0.5
    """Minimum share of the image that a crop keeps (RandomResizedCrop, Szegedy et al. 2015)."""
    stretch: float = 4 / 3
    """Maximum factor by which the aspect ratio of a crop changes."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    brightness: float = 0.2
    """Brightness is multiplied by a factor of 1 ± this at most."""
    contrast: float = 0.2
    """Maximum change of contrast, as a factor of 1 ± this."""
    saturation: float = 0.2
    """Maximum change of saturation, as a factor of 1 ± this."""
    hue: float = 0.02
    """Maximum shift of hue, as a share of the colour wheel."""

    def check(self) -> None:
        """Raise InputError for a value out of range."""
        bounds = {"least_area": (0.01, 1), "stretch": (1, 10), "hue": (0, 0.5)}
        for field in fields(self):
            low, high = bounds.get(field.name, (0, 1))
            value = getattr(self, field.name)
            if not low <= value <= high:
                flag = "--augment." + field.name.replace("_", "-")
                raise InputError(f"{flag} is {value}; it must be between {low} and {high}.")


class AugmentationSpec(NamedTuple):
    """Settings and seed of augmented views."""

    how: Augmentation
    seed: int


def augmentation_fields(augmentation: AugmentationSpec) -> dict[str, Any]:
    """Return the settings as JSON fields of a cache key."""
    return {"seed": augmentation.seed, **asdict(augmentation.how), "views_version": VIEWS_VERSION}


class ViewParameters(NamedTuple):
    """Random parameters of one view."""

    box: tuple[float, float, float, float]  # left, top, right, bottom as shares of the image's sides
    colours: (
        np.ndarray
    )  # float32 [5]: factors of brightness, contrast, saturation; hue in radians; 1: flipped


def draw(how: Augmentation, content: str, view: int, *, seed: int) -> ViewParameters:
    """Draw the parameters of view ``view``, from 1, of the image with the SHA-256 ``content``."""
    rng = np.random.default_rng([seed, view, *np.frombuffer(bytes.fromhex(content), dtype=np.uint32)])
    area = rng.uniform(how.least_area, 1)
    aspect = math.exp(rng.uniform(-1, 1) * math.log(how.stretch))
    # A side is at most that of the image; the other side compensates, so the area is kept.
    width = min(math.sqrt(area * aspect), 1.0)
    height = min(area / width, 1.0)
    width = min(area / height, 1.0)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    factors = [rng.uniform(1 - reach, 1 + reach) for reach in (how.brightness, how.contrast, how.saturation)]
    hue = rng.uniform(-how.hue, how.hue) * 2 * math.pi
    flip = rng.random() < how.flip
    return ViewParameters(
        (left, top, left + width, top + height), np.array([*factors, hue, flip], np.float32)
    )


def crop(
    image_hwc: np.ndarray, drawn: ViewParameters, *, shape: tuple[int, int], resample: int
) -> np.ndarray:
    """uint8 [H, W, 3] → uint8 [3, height, width]: the crop at the encoder's input size. Thread-safe."""
    height, width, _ = image_hwc.shape
    left, top, right, bottom = drawn.box
    box = left * width, top * height, right * width, bottom * height
    image = Image.fromarray(image_hwc).resize(shape[::-1], Image.Resampling(resample), box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def jitter_and_flip(pixels_bchw: torch.Tensor, colours_b5: torch.Tensor) -> torch.Tensor:
    """Apply colour jitter and horizontal flip, with parameters per image.

    Args:
        pixels_bchw: float32 [B, 3, height, width], 0…255.
        colours_b5: float32 [B, 5], see :class:`ViewParameters`.

    Returns:
        float32 [B, 3, height, width], 0…255.
    """
    from kornia import enhance

    brightness, contrast, saturation, hue, flip = colours_b5.unbind(1)
    pixels = enhance.adjust_brightness_accumulative(pixels_bchw / 255, brightness)
    pixels = enhance.adjust_contrast_with_mean_subtraction(pixels, contrast)
    pixels = enhance.adjust_saturation_with_gray_subtraction(pixels, saturation)
    pixels = enhance.adjust_hue(pixels, hue) * 255
    return pixels.where(flip.view(-1, 1, 1, 1) < 0.5, pixels.flip(-1))
