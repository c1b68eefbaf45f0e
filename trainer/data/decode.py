"""Decode images to RGB.

The policy, whose version is part of the key of every cached vector: refuse images of more than MAX_PIXELS or
with an aspect ratio above MAX_ASPECT; decode fully; scale 16 bits to 8 (never clip; before that, data that
uses fewer bits is scaled by :mod:`trainer.data.bit_depth`); apply the EXIF orientation; take the first frame;
composite transparency on white; convert CMYK and other modes to RGB. Colour profiles are ignored. DICOM is
read by :mod:`trainer.data.dicom`. A JPEG for an encoder is decoded at 1/2, 1/4 or 1/8 of its size if that
leaves 512 pixels and twice the encoder's input: several times faster, with nearly the same result.
"""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

from trainer.data import dicom
from trainer.data.files import read_image
from trainer.data.formats import DICOM, HEIC, PILLOW_FORMATS, describe_bytes
from trainer.data.manifest import StoredImage

DECODE_POLICY = "2"
OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})  # says nothing of the file
MAX_PIXELS = 120_000_000  # a 108-megapixel phone photo passes; as RGB it takes 360 MB at most
STRIP = 1 << 20  # pixels that are converted to RGB at once
MAX_ASPECT = 200  # encoders resize the *shorter* side: 1 × 30,000 would become 224 × 6.7 million
FORMATS: tuple[str, ...] = PILLOW_FORMATS

Image.init()  # registers all readers now, because it is not thread-safe
# What glibc allocates in smaller pieces, 16 MB by default, it may keep for the thread that freed them.
Image.core.set_block_size(64 << 20)
if HEIC.installed:
    from pi_heif import register_heif_opener

    register_heif_opener()
    FORMATS += ("HEIF",)
# Pillow's warnings (damaged EXIF, more than 89 megapixels) are handled here or harmless.
warnings.filterwarnings("ignore", module="PIL")
warnings.filterwarnings("ignore", module="pydicom")

# EXIF 2.3, tag 0x0112: transpose method by orientation.
_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPOSED = (5, 6, 7, 8)  # these swap width and height


class DecodeError(Exception):
    """The bytes are not a usable image; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Decoded(NamedTuple):
    """An image and its stored size."""

    image_hwc: np.ndarray  # uint8 [H, W, 3]; smaller than stored for a JPEG decoded at a fraction
    width: int  # pixels as stored, after EXIF orientation
    height: int


def decode(image: StoredImage | bytes, *, min_side: int | None = None) -> np.ndarray:
    """Decode one image by the policy above: uint8 [H, W, 3]."""
    return decode_sized(image, min_side=min_side).image_hwc


def decode_sized(
    image: StoredImage | bytes, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> Decoded:
    """Decode one image by the policy above.

    Args:
        min_side: minimum pixels per side of a JPEG decoded at a fraction; None: full size.
        max_pixels: larger images are refused.

    Raises:
        DecodeError: truncated, not an image, too large, or pixels without a known range.
    """
    with _opened(image, max_pixels) as opened:
        width, height = opened.size
        if min_side is not None and opened.format != "HEIF":  # there it would be an embedded thumbnail
            opened.draft(None, (min_side, min_side))  # no effect on formats other than JPEG
        drafted = opened.size != (width, height)
        opened.load()
        orientation = _orientation(opened)
        image_hwc = _pixels(_upright(opened, orientation))
        if not drafted:
            height, width = image_hwc.shape[:2]
        elif orientation in _TRANSPOSED:
            width, height = height, width
        return Decoded(image_hwc, width, height)


def decode_16_bits(image: StoredImage | bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray | None:
    """Return the values of a 16-bit greyscale image, int [H, W], upright; None for another image.

    Raises as :func:`decode_sized`.
    """
    with _opened(image, max_pixels) as opened:
        if not _is_16_bits(opened):
            return None
        opened.load()
        pixels_hw = np.asarray(_upright(opened, _orientation(opened)))
        _check_16_bits(pixels_hw)
        return pixels_hw


@contextmanager
def _opened(image: StoredImage | bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image of an allowed size; what the block raises is a DecodeError."""
    try:
        data = stored_bytes(image)
        if not data:
            raise DecodeError("empty file")
        with _open(data, max_pixels) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise DecodeError(
                    f"too large: {width} x {height} pixels, the limit is {max_pixels:,} in total"
                )
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise DecodeError(
                    f"too narrow: {width} x {height} pixels, the aspect limit is 1:{MAX_ASPECT}"
                )
            yield opened
    except DecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError(f"too large: the limit is {MAX_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise DecodeError(f"not an image that can be read ({describe_bytes(data)})") from error
    except Exception as error:  # Pillow raises many types on damaged files
        if getattr(error, "errno", None) in OUT_OF_RESOURCES:
            raise
        raise DecodeError(f"cannot be decoded: {error or type(error).__name__}") from error


def stored_bytes(image: StoredImage | bytes) -> bytes:
    """Return the bytes of an image's file.

    Raises:
        DecodeError: it cannot be read.
        OSError: the process may open no more files, or lacks memory.
    """
    try:
        return read_image(image)
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if DICOM.installed and dicom.is_dicom(data):
        return Image.fromarray(dicom.decode_dicom(data, max_pixels=max_pixels))
    return Image.open(io.BytesIO(data), formats=FORMATS)


def thumbnail(image_hwc: np.ndarray, side: int = 64) -> bytes:
    """Return a WebP of at most ``side`` × ``side`` pixels, with the image's aspect ratio.

    Args:
        image_hwc: uint8 [H, W, 3].
    """
    image = Image.fromarray(image_hwc)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=80)
    return buffer.getvalue()


def degrade_to_thumbnail(image_hwc: np.ndarray, side: int) -> bytes:
    """Return a PNG of the image reduced to a thumbnail and enlarged again.

    Args:
        image_hwc: uint8 [H, W, 3].
        side: pixels of the thumbnail's shorter side.
    """
    image = Image.fromarray(image_hwc)
    share = side / min(image.size)
    small = image.resize([max(1, round(share * length)) for length in image.size], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.resize(image.size, Image.Resampling.BICUBIC).save(buffer, format="PNG")
    return buffer.getvalue()


def _pixels(image: Image.Image) -> np.ndarray:
    """Return an image as uint8 [H, W, 3], converted in strips: of the whole there would be several copies."""
    width, height = image.size
    image_hwc = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(STRIP // width, 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        image_hwc[top:bottom] = np.asarray(_to_rgb(image.crop((0, top, width, bottom))))
    return image_hwc


def _to_rgb(image: Image.Image) -> Image.Image:
    if _is_16_bits(image):
        return _from_16_bits(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        raise DecodeError("floating-point pixels have no known range; save the image with 8 or 16 bits")
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _is_16_bits(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode == "I"


def _check_16_bits(pixels_hw: np.ndarray) -> None:
    if pixels_hw.min() < 0 or pixels_hw.max() > 65535:
        raise DecodeError("32-bit pixels have no known range; save the image with 8 or 16 bits")


def _from_16_bits(pixels_hw: np.ndarray) -> Image.Image:
    """Scale 0…65535 to 0…255: ``convert("RGB")`` would clip everything above 255 to white."""
    _check_16_bits(pixels_hw)
    return Image.fromarray(np.round(pixels_hw / 257.0).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Call after ``load``: the TIFF reader rotates images itself."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # damaged EXIF of an intact image
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _ORIENTATION.get(orientation)
    return image if method is None else image.transpose(method)
