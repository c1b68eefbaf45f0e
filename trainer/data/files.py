"""Check and hash image files."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainer.data.manifest import StoredImage

MAX_IMAGE = 1 << 30  # bytes: uncompressed, with 16 bits of RGBA, the largest image has 960 MB
CHUNK = 1 << 20  # bytes that are read at once
HASH_THREADS = 8  # hashing waits for the disk and releases the GIL


@dataclass(frozen=True)
class FileSlice:
    """An image inside a larger file, read on demand."""

    path: Path
    offset: int  # bytes
    size: int  # bytes

    def read_bytes(self) -> bytes:
        """Read the bytes. Raises OSError, also if the file is too short."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise OSError(f"{self.path.name} is truncated")
        return data


def read_image(image: StoredImage | bytes) -> bytes:
    """Return the bytes of an image. Raises OSError, also for a file that is too large to be one."""
    if isinstance(image, bytes):
        return image
    size = image.stat().st_size if isinstance(image, Path) else getattr(image, "size", 0)
    if size > MAX_IMAGE:
        raise OSError(errno.EFBIG, f"too large: {size:,} bytes, the limit is {MAX_IMAGE:,}")
    return image.read_bytes()


def printable(text: str) -> str:
    """Return a file name as printable text; bytes that are not UTF-8 become ``\\xNN``."""
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair, as JSON can hold
        return text.encode("utf-8", "backslashreplace").decode()


def problem(path: Path) -> str:
    """Return why a file cannot be opened, "" if it can."""
    return size_and_problem(path)[1]


def size_and_problem(file: Path | os.DirEntry[str]) -> tuple[int, str]:
    """Return the size of a file in bytes, and why it cannot be opened, "" if it can.

    Uses ``stat`` only: opening a pipe could block.
    """
    try:
        status = file.stat()
    except ValueError:  # a zero byte, half a surrogate pair
        return 0, "not a file name"
    except OSError as error:
        if os.path.islink(file):
            return 0, "a broken link"
        gone = isinstance(error, FileNotFoundError)
        return 0, "no such file" if gone else f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return 0, "not a regular file"
    return status.st_size, "" if status.st_size else "empty file"


def hash_images(images: Sequence[StoredImage]) -> list[str | OSError]:
    """Return the SHA-256 of each image in hex, or the error that reading it raised."""
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        return list(pool.map(_sha256, images))


def _sha256(image: StoredImage) -> str | OSError:
    try:
        if not isinstance(image, Path):
            return hashlib.sha256(image.read_bytes()).hexdigest()
        with image.open("rb") as file:  # in chunks: the file may have any size
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error


def sha256_of(file: io.BufferedReader, part: FileSlice) -> str:
    """Return the SHA-256 of a part of an open file in hex. Raises OSError if the file is too short."""
    digest, left = hashlib.sha256(), part.size
    file.seek(part.offset)
    while left:
        data = file.read(min(left, CHUNK))  # in chunks: the part may have any size
        if not data:
            raise OSError(f"{part.path.name} is truncated")
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()
