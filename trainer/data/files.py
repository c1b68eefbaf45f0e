"""Files that may hold images: which can be opened safely, and what is in them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainer.data.manifest import StoredImage

EXTENSIONS = frozenset(
    f".{name}"
    for name in "jpg jpeg jpe jfif png apng webp bmp dib gif tif tiff ppm pgm pbm pnm".split()  # noqa: SIM905
)
HASH_THREADS = 8  # hashing waits for the disk and releases the interpreter


@dataclass(frozen=True)
class FileSlice:
    """An image that lies inside a larger file. Like a path, it is read when somebody wants it."""

    path: Path
    offset: int  # bytes
    size: int  # bytes

    def read_bytes(self) -> bytes:
        """Raises OSError as a path would, also where the file has become shorter."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise OSError(f"{self.path.name} ends in the midst of it")
        return data


def printable(text: str) -> str:
    """A file name as text that can be printed and stored: bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def problem(path: Path) -> str:
    """Why a file cannot be opened safely, "" if it can. Only ``stat``: opening a pipe would wait for ever."""
    try:
        status = path.stat()
    except OSError as error:
        if path.is_symlink():
            return "a link to nothing"
        return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return "" if status.st_size else "empty file"


def hash_images(images: Sequence[StoredImage]) -> list[str | OSError]:
    """SHA-256 hex of every image's bytes, or why they could not be read."""
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        return list(pool.map(_sha256, images))


def _sha256(image: StoredImage) -> str | OSError:
    try:
        if not isinstance(image, Path):
            return hashlib.sha256(image.read_bytes()).hexdigest()
        with image.open("rb") as file:  # in pieces: it may be anything, of any size
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error
