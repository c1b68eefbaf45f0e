"""Preprocess decoded images with the settings of a model's image processor, but without the processor.

Images are resized and cropped as 8-bit pixels, by Pillow as in Hugging Face's PIL processors, so that
batches are copied to the device as bytes and normalised there (``Preparation.mean`` and ``std``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainer.core.errors import InputError
from trainer.core.text import cut
from trainer.features.model_schema import FLAG, NULL, Rule, check, list_of, number, whole

Size = tuple[int, int]  # height, width

# Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision": values of the
# published code. The others are those of ImageNet (torchvision) and of Inception (Szegedy et al. 2015).
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class _Kind:
    """Defaults of an image processor (class of the same name in transformers)."""

    side: int
    square: bool  # an integer size means both sides, not the shorter one
    crop: bool
    resample: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]


KINDS = {
    "CLIP": _Kind(224, False, True, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD),
    "Siglip": _Kind(224, True, False, Image.Resampling.BICUBIC, HALF, HALF),
    "Blip": _Kind(384, True, False, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD),
    "ViT": _Kind(224, True, False, Image.Resampling.BILINEAR, HALF, HALF),
    "DeiT": _Kind(256, True, True, Image.Resampling.BICUBIC, IMAGENET_MEAN, IMAGENET_STD),
    "Bit": _Kind(224, False, True, Image.Resampling.BICUBIC, CLIP_MEAN, CLIP_STD),
    "ConvNext": _Kind(384, False, False, Image.Resampling.BICUBIC, HALF, HALF),
    "DINOv3ViT": _Kind(224, True, False, Image.Resampling.BILINEAR, IMAGENET_MEAN, IMAGENET_STD),
}
# Minimum pixels per side of a JPEG decoded at a fraction. Measures (at 256 pixels, see
# trainer.data.image_quality) must not depend on the encoder; with 512, most encoders, whose input is at most
# 256, share one decoding with the measures.
MIN_SIDE = 512
MOST_PIXELS = 4096  # per side: a model of more is a damaged file
CONVNEXT_WARPS_FROM = 384  # pixels; below, images are centre-cropped (Liu et al. 2022, published code)


@dataclass(frozen=True)
class Preparation:
    """Preprocessing of images for a model."""

    exact: Size | None  # resize to this size …
    shorter: int | None  # … or the shorter side to so many pixels …
    crop: Size | None  # … then centre-crop, with black padding
    resample: int  # Pillow resampling filter
    mean: tuple[float, ...]  # per channel, of pixels 0…255
    std: tuple[float, ...]

    @property
    def shape(self) -> Size:
        """Height and width of the output."""
        shape = self.crop or self.exact
        assert shape is not None
        return shape

    @property
    def min_side(self) -> int | None:
        """Minimum pixels per side of a decoded image, at least :data:`MIN_SIDE`; None: full size."""
        sides = self.exact or ((self.shorter,) if self.shorter else ())
        return max(MIN_SIDE, 2 * max(sides)) if sides else None

    def pixels(self, image_hwc: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → uint8 [3, height, width]. Thread-safe."""
        image = Image.fromarray(image_hwc)
        target = self.exact or _scaled(image.size, self.shorter)
        if target != (image.height, image.width):
            image = image.resize(target[::-1], Image.Resampling(self.resample))
        pixels_hwc = np.asarray(image)
        return np.ascontiguousarray(_middle(pixels_hwc, self.crop).transpose(2, 0, 1))


def preparation(
    settings: dict[str, Any], *, kind: str, file: Path | str = "preprocessor_config.json"
) -> Preparation:
    """Return the preprocessing for an image processor's settings (``preprocessor_config.json``).

    Args:
        kind: default image processor if the settings name none.
        file: where the settings were read, for messages.

    Raises:
        InputError: unknown image processor, or settings that cannot be, or give images no size.
    """
    name = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or kind)
    kind = re.sub(r"(FeatureExtractor|ImageProcessor)(Fast|Pil)?$", "", name)
    if kind not in KINDS:
        raise InputError(
            f"{file}: the encoder's image processor is {cut(repr(name), 60)}, which is not supported "
            f"({', '.join(KINDS)}). Extract the features elsewhere and pass them as .npz."
        )
    usual = KINDS[kind]
    given = _Given(settings, file)
    exact, shorter, crop = None, None, None
    if given.flag("do_resize", default=True):
        exact, shorter = _resize(given, usual)
    if given.flag("do_center_crop", default=usual.crop):
        crop = _size(given("crop_size", usual.side if kind != "DeiT" else 224, _SIZE))
    if kind == "ConvNext" and shorter:
        side = shorter
        if side < CONVNEXT_WARPS_FROM:
            shorter = int(side / given("crop_pct", 224 / 256, number(0.05, 1)))
            crop = crop or (side, side)
        else:
            exact, shorter = (side, side), None
    if not (exact or crop):
        raise InputError(
            f"{file}: the settings ({name}) give every image another size, so they cannot be "
            "encoded in batches. Set crop_size, or size with height and width."
        )
    factor = given("rescale_factor", 1 / 255, _FACTOR) if given.flag("do_rescale", default=True) else 1.0
    normalise = given.flag("do_normalize", default=True)
    mean = _three(given("image_mean", usual.mean, _MEAN)) if normalise else (0.0, 0.0, 0.0)
    std = _three(given("image_std", usual.std, _STD)) if normalise else (1.0, 1.0, 1.0)
    return Preparation(
        exact=exact,
        shorter=shorter,
        crop=crop,
        resample=_filter(given("resample", usual.resample, _RESAMPLE)),
        mean=tuple(value / factor for value in mean),
        std=tuple(value / factor for value in std),
    )


_FILTERS = {one.name.lower(): one for one in Image.Resampling}
_PIXELS = whole(1, MOST_PIXELS)
_FACTOR = number(1e-6, 1)
_RESAMPLE = Rule(
    f"a number of Pillow's, or one of {', '.join(_FILTERS)}",
    lambda value: (
        value.lower() in _FILTERS
        if isinstance(value, str)
        else type(value) in (int, Image.Resampling) and value in list(Image.Resampling)
    ),
)


def _channels(rule: Rule) -> Rule:
    """A number for each channel; one given number counts for all."""
    return rule | list_of(rule, 1, 3)


_MEAN, _STD = _channels(number(0, 255)), _channels(number(1e-6, 255))


def _sides(*names: str) -> Rule:
    """An object with these sides."""
    return Rule(
        f"an object with {' and '.join(names)} in such numbers",
        lambda value: isinstance(value, dict) and all(_PIXELS.fits(value.get(name)) for name in names),
    )


_SIZE = _PIXELS | list_of(_PIXELS, 2) | _sides("height", "width")
_EDGE = "shortest_edge"
_SHORTER = Rule(_sides(_EDGE).wanted, lambda value: _sides(_EDGE).fits(value) and "longest_edge" not in value)


@dataclass(frozen=True)
class _Given:
    """Image settings, each checked when it is read."""

    settings: dict[str, Any]
    file: Path | str

    def __call__(self, name: str, default: Any, rule: Rule) -> Any:
        value = self.settings.get(name, default)
        check(self.file, name, value, rule)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a switch; null is off, as in transformers."""
        return bool(self(name, default, FLAG | NULL))


def _resize(given: _Given, usual: _Kind) -> tuple[Size | None, int | None]:
    """Return (exact, shorter); one of them is None."""
    size = given("size", usual.side, _SIZE | _SHORTER)
    if _SHORTER.fits(size):
        return None, size[_EDGE]
    if isinstance(size, int) and not usual.square:
        return None, size
    return _size(size), None


def _size(size: Any) -> Size:
    if isinstance(size, int):
        return size, size
    return (size["height"], size["width"]) if isinstance(size, dict) else (size[0], size[1])


def _three(value: Any) -> tuple[float, ...]:
    values = [float(one) for one in (value if isinstance(value, list | tuple) else [value])]
    return tuple(values if len(values) == 3 else values * 3)


def _filter(value: Any) -> int:
    """Return Pillow's number of a resampling filter, which some files name in words."""
    return int(_FILTERS[value.lower()] if isinstance(value, str) else value)


def _scaled(size_wh: tuple[int, int], shorter: int | None) -> Size:
    """Return the size with ``shorter`` pixels on the shorter side; the longer side is rounded down."""
    width, height = size_wh
    if shorter is None:
        return height, width
    longer = int(shorter * max(size_wh) / min(size_wh))
    return (longer, shorter) if width <= height else (shorter, longer)


def _middle(pixels_hwc: np.ndarray, crop: Size | None) -> np.ndarray:
    """Centre-crop an image, padding it with black if it is too small."""
    if crop is None or crop == pixels_hwc.shape[:2]:
        return pixels_hwc
    spare = [have - want for have, want in zip(pixels_hwc.shape, crop, strict=False)]
    if min(spare) < 0:
        pad = [(-(lack // 2), lack // 2 - lack) if lack < 0 else (0, 0) for lack in spare]
        pixels_hwc = np.pad(pixels_hwc, [*pad, (0, 0)])
        spare = [max(0, lack) for lack in spare]
    top, left = (lack // 2 for lack in spare)
    return pixels_hwc[top : top + crop[0], left : left + crop[1]]
