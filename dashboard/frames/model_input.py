"""What an encoder sees of an image, drawn from its thumbnail. Pure Pillow and numpy."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from trainer.stats.share_cut import shares_cut

MOST = 4096  # pixels per side of what a thumbnail is cut to: more is a damaged record


def model_input(thumbnail: object, field: object) -> bytes | None:
    """Return the part of a thumbnail that the encoder sees, in the shape of its input, as PNG.

    It has the encoder's resolution where that is lower than the thumbnail's. None without one of the two.

    Args:
        thumbnail: bytes of an image.
        field: `Samples.FIELD`.
    """
    numbers = _numbers(field)
    if not isinstance(thumbnail, bytes) or numbers is None:
        return None
    try:
        with Image.open(io.BytesIO(thumbnail)) as opened:
            image = opened.convert("RGB")
    except OSError:
        return None
    left, top, right, bottom, wide, high = numbers
    width, height = image.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    box = (box[0], box[1], max(box[2], box[0] + 1), max(box[3], box[1] + 1))
    if max(box[2] - box[0], box[3] - box[1]) > MOST:
        return None
    part = image.crop(box)  # black outside
    share = min(1.0, max(part.size) / max(wide, high))
    part = part.resize((max(round(share * wide), 1), max(round(share * high), 1)), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    part.save(buffer, format="PNG")
    return buffer.getvalue()


def width_within(image: object, side: int) -> int:
    """Return the width at which an image is no higher than ``side``, and no wider."""
    try:
        with Image.open(io.BytesIO(image)) as opened:  # type: ignore[arg-type]
            return max(round(side * min(1.0, opened.width / opened.height)), 1)
    except (OSError, TypeError):
        return side


def share_cut(field: object) -> float | None:
    """Return the share of an image's area that the encoder does not see; None if that is not known."""
    numbers = _numbers(field)
    if numbers is None:
        return None
    return float(shares_cut(np.array([numbers]))[0])


def _numbers(field: object) -> tuple[float, ...] | None:
    """Return six numbers that can be such a field; None for anything else."""
    try:
        numbers = tuple(float(one) for one in field)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        return None
    left, top, right, bottom, wide, high = numbers
    fits = left < right and top < bottom and 1 <= wide <= MOST and 1 <= high <= MOST
    return numbers if fits and max(map(abs, numbers)) <= MOST else None
