"""Image bytes → RGB, by one written policy.

The policy, whose version goes into the key of every cached vector: decode fully; before that refuse
more than MAX_PIXELS, and strips longer than MAX_ASPECT times their width; scale 16 bits to 8 (never
clip); apply the EXIF orientation; take the first frame; lay transparency on white; convert CMYK and
the rest to RGB. Colour profiles are ignored. A JPEG for an encoder is read at 1/2, 1/4 or 1/8 of its size
where that leaves twice what the encoder takes, and 512 pixels: several times faster, and what comes out is
nearly the same.
"""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image

from trainer.data.manifest import StoredImage

DECODE_POLICY = "2"
MAX_PIXELS = 120_000_000  # a 108-megapixel phone photo passes; as RGB it takes 360 MB at most
MAX_ASPECT = 200  # encoders scale the *shorter* side to theirs: 1 × 30,000 would become 224 × 6.7 million
# Only these: some of Pillow's other readers start programs (EPS) or are rarely exercised.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

Image.init()  # registers all readers now, rather than in the midst of threads
# What Pillow warns about (a damaged EXIF block, more than 89 megapixels) is either decided here or harmless.
warnings.filterwarnings("ignore", module="PIL")

# EXIF 2.3, tag 0x0112: how to turn what is stored into what was seen.
_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TRANSPOSED = (5, 6, 7, 8)  # those that exchange width and height


class DecodeError(Exception):
    """The bytes are not an image that can be used. ``reason`` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Decoded(NamedTuple):
    """An image, and how large it is where it is stored."""

    image_hwc: np.ndarray  # uint8 [H, W, 3]: all of it, or a JPEG at a fraction of its size
    width: int  # pixels as stored, turned as EXIF says
    height: int


def decode(image: StoredImage | bytes, *, least: int | None = None) -> np.ndarray:
    """uint8 [H, W, 3]: the image of :func:`decode_sized` alone."""
    return decode_sized(image, least=least).image_hwc


def decode_sized(
    image: StoredImage | bytes, *, least: int | None = None, most_pixels: int = MAX_PIXELS
) -> Decoded:
    """Decode one image by the policy above.

    Args:
        least: pixels that each side of a JPEG shall keep if it is read at a fraction; None for full size.
        most_pixels: that an image may have.

    Raises:
        Undecodable: truncated, not an image, too large, or pixels without a known range.
    """
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
        if not data:
            raise DecodeError("empty file")
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > most_pixels:
                raise DecodeError(
                    f"too large: {width} x {height} pixels, the limit is {most_pixels:,} in all"
                )
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise DecodeError(f"a strip: {width} x {height} pixels, the limit is 1 to {MAX_ASPECT}")
            if least is not None:
                opened.draft(None, (least, least))  # does nothing to other formats
            drafted = opened.size != (width, height)
            opened.load()
            orientation = _orientation(opened)
            upright = _upright(_to_rgb(opened), orientation)
            if not drafted:
                width, height = upright.size
            elif orientation in _TRANSPOSED:
                width, height = height, width
            return Decoded(np.array(upright), width, height)
    except DecodeError:
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError(f"too large: the limit is {MAX_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise DecodeError(f"not an image (begins with {data[:8]!r})") from error
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        raise DecodeError(f"cannot be decoded: {error or type(error).__name__}") from error


def thumbnail(image_hwc: np.ndarray, side: int = 64) -> bytes:
    """A WebP no larger than ``side`` × ``side`` pixels, of the image's proportions.

    Args:
        image_hwc: uint8 [H, W, 3].
    """
    image = Image.fromarray(image_hwc)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=80)
    return buffer.getvalue()


def degrade_to_thumbnail(image_hwc: np.ndarray, side: int) -> bytes:
    """A PNG of the image's size, of what is left of it in a thumbnail.

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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        return _from_16_bits(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        raise DecodeError("floating-point pixels have no known range; save the image with 8 or 16 bits")
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(pixels_hw: np.ndarray) -> Image.Image:
    """Scale 0…65535 to 0…255: ``convert("RGB")`` would clip everything above 255 to white."""
    if pixels_hw.min() < 0 or pixels_hw.max() > 65535:
        raise DecodeError("32-bit pixels have no known range; save the image with 8 or 16 bits")
    return Image.fromarray(np.round(pixels_hw / 257.0).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Read after ``load``: the TIFF reader turns its images itself."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block round an undamaged image
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _ORIENTATION.get(orientation)
    return image if method is None else image.transpose(method)
