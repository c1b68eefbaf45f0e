"""Bound the memory of images that are being decoded: large ones one at a time, small ones side by side.

All threads of a command share one budget, and so do its decoding processes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from trainer.core.memory import MemoryBudget, free_bytes, parse_size
from trainer.data import dicom
from trainer.data.decode import FORMATS, MAX_PIXELS
from trainer.data.files import read_image
from trainer.data.formats import DICOM
from trainer.data.manifest import StoredImage

SHARE = 0.1  # of the memory that is free when the first image is decoded
# Bytes per pixel at the peak, measured with Pillow 13: the decoder, its image, the copy that turns it
# upright, and the RGB array that remains.
PER_PIXEL = {"WEBP": 16, "AVIF": 12, "HEIF": 12, "JPEG2000": 19, "DICOM": 24}
USUAL = 11
SCALED = 24  # of a 16-bit image that is scaled first
COEFFICIENTS = 6  # of a progressive JPEG, also where it is decoded at a fraction

_budget: MemoryBudget | None = None


def set_limit(size: str | None) -> None:
    """Set the budget from a size such as ``2GB``; None: a tenth of what is free now. Raises InputError."""
    use(MemoryBudget(int(SHARE * free_bytes()) if size is None else parse_size(size, flag="--max-memory")))


def use(budget: MemoryBudget) -> None:
    """Take the bytes from ``budget`` from now on."""
    global _budget
    _budget = budget


def current() -> MemoryBudget:
    """Return the budget in use."""
    if _budget is None:
        set_limit(None)
    assert _budget is not None
    return _budget


@contextmanager
def reserved(image: StoredImage | bytes, *, min_side: int | None = None) -> Iterator[StoredImage | bytes]:
    """Wait until there is memory for decoding an image, and hold it during the block. Not to be nested.

    Yields the image, as bytes if it had to be read to know its size: decode that, so that it is read once.

    Args:
        min_side: as :func:`trainer.data.decode.decode_sized` gets it.
    """
    if not isinstance(image, bytes | Path) and not hasattr(image, "image"):
        with suppress(OSError):  # decoding finds the same again, and says so
            image = read_image(image)
    with current().reserved(decoding_bytes(image, min_side=min_side)):
        yield image


def decoding_bytes(image: StoredImage | bytes, *, min_side: int | None = None) -> int:
    """Return how much memory decoding takes at most, by the image's header; 0 if it will be refused."""
    scaled = getattr(image, "image", None)  # of a 16-bit image that is read with fewer bits
    source = image if scaled is None else scaled
    try:
        data = source if isinstance(source, bytes | Path) else source.read_bytes()
        stored = len(data) if isinstance(data, bytes) else data.stat().st_size
        file = data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
        with file:
            pixels = _pixel_bytes(file, min_side)
    except Exception:  # Pillow raises many types; decoding finds the same again, and says so
        return 0
    return stored + (pixels if scaled is None else pixels * SCALED // USUAL)


def _pixel_bytes(file: io.BufferedReader | io.BytesIO, min_side: int | None) -> int:
    if DICOM.installed and dicom.is_dicom(file.read(dicom.PREAMBLE + 4)):
        file.seek(0)
        width, height = dicom.size_of(file)
        return PER_PIXEL["DICOM"] * width * height if width * height <= MAX_PIXELS else 0
    file.seek(0)
    with Image.open(file, formats=FORMATS) as opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            return 0
        beside = COEFFICIENTS * width * height if opened.info.get("progressive") else 0
        if min_side is not None and opened.format == "JPEG":
            opened.draft(None, (min_side, min_side))
            width, height = opened.size
        return PER_PIXEL.get(opened.format or "", USUAL) * width * height + beside
