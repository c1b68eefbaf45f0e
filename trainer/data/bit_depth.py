"""Scale 16-bit images by the bits that a data set uses.

A 16-bit file holds 10, 12 or 14 bits where a camera or a DICOM export wrote it: taken as 0 to 65,535, such an
image is nearly black. The largest value over all images of the data decides, not that of each image, so that
images stay comparable. The decision is part of an image's content address, and of a recorded head.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from trainer.core.json_cache import is_number, read_cache, write_cache
from trainer.data.decode import MAX_PIXELS, DecodeError, decode, decode_16_bits, stored_bytes
from trainer.data.files import FileSlice, read_image
from trainer.data.image_memory import reserved
from trainer.data.manifest import Manifest, StoredImage

BIT_DEPTHS = "bit_depths.json"  # in the cache folder: what the values of 16-bit images are
FULL = 16
BITS = (8, 10, 12, 14, FULL)  # that sensors and exports have
HEAD = 64  # bytes that tell a file's bit depth
SAMPLED = 50  # of cells in a table, one in so many is looked at first
DARK_BELOW = 1 << 12  # an image that stays below is nearly black on the full range
DARK = 0.5  # share of dark images from which they are warned of
_EIGHT_BITS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib"))
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PGM = re.compile(rb"P[25]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s+65535\s")
GREY, COLOUR = "grey", "colour"  # kinds of 16-bit images


@dataclass(frozen=True)
class ScaledImage:
    """A 16-bit image whose values are read as so many bits; its bytes are a PGM file of the full range."""

    image: StoredImage | bytes
    content: str  # SHA-256 hex of the file
    bits: int

    def read_bytes(self) -> bytes:
        """Read and scale. Raises OSError; DecodeError, also if the file has changed."""
        data = read_image(self.image)
        if hashlib.sha256(data).hexdigest() != self.content:
            raise DecodeError("changed since the data was listed")
        return scaled(data, self.bits)


class _Use(NamedTuple):
    """The values in the 16-bit images of a data set."""

    largest: int  # -1 if none can be decoded
    dark: float  # share of images that stay below 4,096


def with_used_bits(manifest: Manifest, *, cache_file: Path) -> Manifest:
    """Return the rows with their 16-bit images scaled by the bits in use, and a note on it.

    Args:
        cache_file: of the largest values, as every 16-bit image must be decoded for them.
    """
    grey, colour = _deep(manifest)
    notes = []
    if colour and _use(manifest, colour, cache_file).largest < 1 << 14:
        notes.append(
            f"{len(colour):,} 16-bit colour images use 14 bits or fewer, and are read too dark: only the "
            "upper 8 bits of colour are read. Save them with 8 bits."
        )
    if grey:
        use = _use(manifest, grey, cache_file)
        bits = _bits(use.largest) if use.largest >= 0 else FULL
        manifest = with_bits(manifest, bits, rows=grey)
        if bits < FULL:
            notes.append(
                f"{len(grey):,} 16-bit images use {bits} bits (largest value {use.largest:,}): scaled from 0–"
                f"{(1 << bits) - 1:,}."
            )
        elif use.dark >= DARK:
            notes.append(
                f"{use.dark:.0%} of the 16-bit images stay below 4,096, and are nearly black beside the "
                "others, as all are read as 0–65,535. Save images of one bit depth, or with 8 bits."
            )
    return replace(manifest, notes=(*manifest.notes, *notes))


def with_bits(manifest: Manifest, bits: int, *, rows: Sequence[int] | None = None) -> Manifest:
    """Return the rows with their 16-bit images read as ``bits``, as a head was trained.

    Args:
        rows: of the 16-bit images, where they are known.
    """
    if bits == FULL or manifest.images is None:
        return replace(manifest, bits=bits)
    images, content = list(manifest.images), list(manifest.content)
    for row in _deep(manifest)[0] if rows is None else rows:
        images[row] = ScaledImage(images[row], content[row], bits)
        content[row] = hashlib.sha256(f"{content[row]}/{bits} bits".encode()).hexdigest()
    digest = hashlib.sha256(f"{manifest.digest}/{bits} bits".encode()).hexdigest()
    return replace(manifest, images=tuple(images), content=tuple(content), digest=digest, bits=bits)


def stored_hashes(manifest: Manifest, rows: Sequence[int]) -> list[str]:
    """Return the SHA-256 hex of each row's image as it is stored, also where its content address says by
    which bits it is read; those change with other images of the data."""
    images = manifest.images
    return [
        image.content if images and isinstance(image := images[row], ScaledImage) else manifest.content[row]
        for row in rows
    ]


def with_bits_of_head(manifest: Manifest, bits: int | None, *, cache_file: Path) -> Manifest:
    """Return the rows as a head or other images read theirs; with their own bits where these had no 16-bit
    images, so that ``bits`` is None."""
    if bits is None:
        return with_used_bits(manifest, cache_file=cache_file)
    return with_bits(manifest, bits)


def scaled(image: StoredImage | bytes, bits: int | None, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return a 16-bit greyscale file as a PGM of the full range; the bytes of another file as they are.

    Args:
        bits: that are in use; None: those of this image.

    Raises:
        DecodeError: it cannot be decoded, or uses more bits.
    """
    data = stored_bytes(image)
    if bits == FULL or _kind(data) != GREY:
        return data
    pixels_hw = decode_16_bits(data, max_pixels=max_pixels)
    if pixels_hw is None:
        return data
    most = (1 << (bits or _bits(int(pixels_hw.max())))) - 1
    if pixels_hw.max() > most:
        raise DecodeError(
            f"a 16-bit image with the value {pixels_hw.max():,}, where the data uses {bits} bits (0–{most:,})"
        )
    full = np.round(np.arange(most + 1) * (65535 / most)).astype(">u2")  # of each value
    return b"P5 %d %d 65535\n%b" % (*pixels_hw.shape[::-1], full[pixels_hw].tobytes())


# --- which images, and what they use ----------------------------------------------------------


def _deep(manifest: Manifest) -> tuple[list[int], list[int]]:
    """Return the rows of 16-bit greyscale images, and of 16-bit colour images."""
    images = manifest.images or ()
    rows = [row for row, image in enumerate(images) if not _surely_eight_bits(image)]
    cells = [row for row in rows if not isinstance(images[row], Path | FileSlice | bytes)]
    # Reading a cell reads much of its file, and the images of a table are of one kind.
    if cells and not any(_kinds(images, cells[::SAMPLED])):
        rows = sorted(set(rows) - set(cells))
    of_row = dict(zip(rows, _kinds(images, rows), strict=True))
    return [row for row in rows if of_row[row] == GREY], [row for row in rows if of_row[row] == COLOUR]


def _surely_eight_bits(image: StoredImage | bytes) -> bool:
    return isinstance(image, Path) and image.suffix.lower() in _EIGHT_BITS


def _kinds(images: Sequence[StoredImage | bytes], rows: Sequence[int]) -> list[str]:
    def kind(row: int) -> str:
        try:
            return _kind(_start(images[row]), images[row])
        except OSError:
            return ""

    with ThreadPoolExecutor() as pool:
        return list(pool.map(kind, rows))


def _start(image: StoredImage | bytes) -> bytes:
    """Return the first bytes, of a file without reading the rest."""
    if isinstance(image, Path):
        with image.open("rb") as file:
            return file.read(HEAD)
    if isinstance(image, FileSlice):
        image = replace(image, size=min(image.size, HEAD))
    return read_image(image)[:HEAD]


def _kind(start: bytes, image: StoredImage | bytes | None = None) -> str:
    """Return `GREY` or `COLOUR` for a 16-bit image, "" for another one.

    Args:
        start: the first bytes.
        image: the whole, where ``start`` is not.
    """
    if start.startswith(_PNG):
        return "" if start[24:25] != b"\x10" else GREY if start[25:26] == b"\0" else COLOUR
    if start.startswith(_TIFF):
        file = image if isinstance(image, Path) else io.BytesIO(read_image(image or start))
        with suppress(Exception), Image.open(file, formats=["TIFF"]) as opened:
            return GREY if opened.mode == "I" or opened.mode.startswith("I;16") else ""
    return GREY if _PGM.match(start) else ""


def _use(manifest: Manifest, rows: list[int], cache_file: Path) -> _Use:
    """Return what the values of these rows are, from the cache if it has them."""
    name = hashlib.sha256("".join(sorted({manifest.content[row] for row in rows})).encode()).hexdigest()
    cache = read_cache(cache_file, _is_use)
    if name not in cache:
        images = manifest.images or ()
        with ThreadPoolExecutor() as pool:  # decoding releases the GIL
            found = [one for one in pool.map(lambda row: _largest(images[row]), rows) if one is not None]
        dark = sum(one < DARK_BELOW for one in found) / max(len(found), 1)
        cache[name] = [max(found, default=-1), dark]
        write_cache(cache_file, cache)
    return _Use(*cache[name])


def _is_use(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _bits(largest: int) -> int:
    return next((bits for bits in BITS if largest < 1 << bits), FULL)


def _largest(image: StoredImage | bytes) -> int | None:
    """Return the largest value of a 16-bit image, of colour rounded up; None if it cannot be decoded."""
    try:
        with reserved(image) as stored:
            pixels_hw = decode_16_bits(stored)
            return int(decode(stored).max()) << 8 | 255 if pixels_hw is None else int(pixels_hw.max())
    except DecodeError:  # quarantined when it is read
        return None
