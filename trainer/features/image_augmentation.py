"""Views of an image for augmentation: 0 is the image as it is, 1, 2, … stray from it.

What is drawn depends on the image's bytes, the view's number and the seed alone, so that a view is the same
whenever, wherever and beside whichever others it is made. The crop is cut by Pillow, with the encoder's own
filter, where the image is decoded; mirroring and colours are changed by kornia, on the device.
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

VIEWS_VERSION = "1"  # raise it when the code below draws or changes otherwise


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far views stray. The usual values are milder than those for training an encoder: a frozen one shall
    still recognise what it sees."""

    least_area: float = 0.5
    """A crop keeps at least this share of the image (RandomResizedCrop, Szegedy et al. 2015)."""
    stretch: float = 4 / 3
    """Its width to height is up to so many times, or so many times less, the image's own."""
    flip: float = 0.5
    """How likely a view is mirrored, left to right."""
    brightness: float = 0.2
    """Brightness is multiplied by 1 ± up to this."""
    contrast: float = 0.2
    """Contrast likewise."""
    saturation: float = 0.2
    """Saturation likewise."""
    hue: float = 0.02
    """Hue is turned by up to this share of the colour wheel."""

    def check(self) -> None:
        """Raises InputError for a value that makes no sense."""
        bounds = {"least_area": (0.01, 1), "stretch": (1, 10), "hue": (0, 0.5)}
        for field in fields(self):
            low, high = bounds.get(field.name, (0, 1))
            value = getattr(self, field.name)
            if not low <= value <= high:
                flag = "--augment." + field.name.replace("_", "-")
                raise InputError(f"{flag} is {value}; it must be between {low} and {high}.")


class AugmentationSpec(NamedTuple):
    """What all views 1, 2, … of all images depend on, besides the image and the view's number."""

    how: Augmentation
    seed: int


def described(augmentation: AugmentationSpec) -> dict[str, Any]:
    """As JSON, for the key of what is made so."""
    return {"seed": augmentation.seed, **asdict(augmentation.how), "views_version": VIEWS_VERSION}


class Drawn(NamedTuple):
    """One view of one image."""

    box: tuple[float, float, float, float]  # left, top, right, bottom as shares of the image's sides
    colours: (
        np.ndarray
    )  # float32 [5]: factors of brightness, contrast, saturation; hue in radians; 1: mirrored


def draw(how: Augmentation, content: str, view: int, *, seed: int) -> Drawn:
    """What view ``view``, from 1, of the image with the SHA-256 ``content`` is."""
    rng = np.random.default_rng([seed, view, *np.frombuffer(bytes.fromhex(content), dtype=np.uint32)])
    area = rng.uniform(how.least_area, 1)
    aspect = math.exp(rng.uniform(-1, 1) * math.log(how.stretch))
    # Where a side would be longer than the image, the other one makes up for it: the area stays.
    width = min(math.sqrt(area * aspect), 1.0)
    height = min(area / width, 1.0)
    width = min(area / height, 1.0)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    factors = [rng.uniform(1 - reach, 1 + reach) for reach in (how.brightness, how.contrast, how.saturation)]
    turn = rng.uniform(-how.hue, how.hue) * 2 * math.pi
    mirrored = rng.random() < how.flip
    return Drawn((left, top, left + width, top + height), np.array([*factors, turn, mirrored], np.float32))


def crop(image_hwc: np.ndarray, drawn: Drawn, *, shape: tuple[int, int], resample: int) -> np.ndarray:
    """uint8 [H, W, 3] → uint8 [3, height, width]: the drawn part at the encoder's size. Safe in threads."""
    height, width, _ = image_hwc.shape
    left, top, right, bottom = drawn.box
    box = left * width, top * height, right * width, bottom * height
    image = Image.fromarray(image_hwc).resize(shape[::-1], Image.Resampling(resample), box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def recolour(pixels_bchw: torch.Tensor, colours_b5: torch.Tensor) -> torch.Tensor:
    """Change colours and mirror, each image by its own numbers.

    Args:
        pixels_bchw: float32 [B, 3, height, width], 0…255.
        colours_b5: float32 [B, 5], see :class:`Drawn`.

    Returns:
        float32 [B, 3, height, width], 0…255.
    """
    from kornia import enhance

    brightness, contrast, saturation, hue, mirrored = colours_b5.unbind(1)
    pixels = enhance.adjust_brightness_accumulative(pixels_bchw / 255, brightness)
    pixels = enhance.adjust_contrast_with_mean_subtraction(pixels, contrast)
    pixels = enhance.adjust_saturation_with_gray_subtraction(pixels, saturation)
    pixels = enhance.adjust_hue(pixels, hue) * 255
    return pixels.where(mirrored.view(-1, 1, 1, 1) < 0.5, pixels.flip(-1))
