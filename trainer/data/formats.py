"""Which image formats are read, by extension and by first bytes; which need an optional package."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec

from trainer.core.stand_ins import BLANK, stand_in

# Other readers of Pillow start programs (EPS) or are rarely tested.
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
_OF_PILLOW = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
    *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx"),
)


@dataclass(frozen=True)
class Extra:
    """A format that needs an optional dependency."""

    name: str  # of the extra in pyproject.toml
    format: str
    module: str
    package: str  # as pip calls it
    extensions: tuple[str, ...]

    @cached_property
    def installed(self) -> bool:
        """Whether the package is there."""
        return find_spec(self.module) is not None

    @property
    def cure(self) -> str:
        """How to have the format read."""
        return f"{self.format} is read once {self.package} is installed (the extra {self.name!r})"


# Not pillow-heif, which reads the same: its wheels hold the x265 encoder (GPL).
HEIC = Extra("heic", "HEIC", "pi_heif", "pi-heif", (".heic", ".heif", ".hif"))
DICOM = Extra("dicom", "DICOM", "pydicom", "pydicom", (".dcm", ".dicom"))
EXTRAS = (HEIC, DICOM)

ARCHIVES = frozenset((".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar"))
UNPACK = "Images are not read from compressed files: unpack them (tar shards: gunzip, keep the .tar)."

# (offset, bytes there, format): what a file is whose extension says something else.
_SIGNATURES = (
    *((4, b"ftyp" + brand, HEIC.format) for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1")),
    *((4, b"ftyp" + brand, "AVIF") for brand in (b"avif", b"avis")),
    (4, b"ftyp", "a video (MP4 or MOV)"),
    (128, b"DICM", DICOM.format),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "Photoshop"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\x93NUMPY", "a NumPy array"),
)


@cache
def extensions() -> frozenset[str]:
    """Return the extensions of images that can be read here, in lower case with the dot."""
    own = frozenset(f".{name}" for name in _OF_PILLOW)
    return own.union(*(extra.extensions for extra in EXTRAS if extra.installed))


def described_extensions() -> str:
    """Return the common extensions, and how many more there are, for messages."""
    common = [
        one
        for one in (".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".heic", ".dcm")
        if one in extensions()
    ]
    return f"{', '.join(common)} and {len(extensions()) - len(common)} more"


def cures(kinds: Iterable[str]) -> str:
    """Return how files with these extensions could be read, as sentences; "" if they hold no images."""
    present = set(kinds)
    absent = [extra for extra in EXTRAS if not extra.installed and present.intersection(extra.extensions)]
    unpack = [UNPACK] if present & ARCHIVES else []
    return " ".join([*(f"{extra.cure}." for extra in absent), *unpack])


def describe_bytes(data: bytes) -> str:
    """Return what bytes are that are no readable image, by how they begin."""
    if meaning := stand_in(data):
        return meaning
    head = data[:512].lstrip(BLANK)
    for offset, sign, name in _SIGNATURES:
        if data[offset : offset + len(sign)] == sign or (offset == 0 and head.startswith(sign)):
            extra = next((one for one in EXTRAS if one.format == name and not one.installed), None)
            return extra.cure if extra else name
    return f"begins with {data[:8]!r}"
