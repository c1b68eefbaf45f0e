"""Read the arrays of an ``.npz`` file. What it claims is checked before anything is allocated."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

SUFFIX = ".npy"
MAX_RATIO = 200  # by which features can be compressed; zeros alone are, a thousandfold
ALWAYS = 64 << 20  # bytes that are unpacked whatever the ratio
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # that NumPy writes


class NpzFile(Mapping[str, np.ndarray]):
    """The arrays of an open file by name, each read when it is asked for."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._entry = {one.filename.removesuffix(SUFFIX): one for one in archive.infolist()}
        self._left = max(MAX_RATIO * size, ALWAYS)  # bytes: entries may overlap

    def __iter__(self) -> Iterator[str]:
        return iter(self._entry)

    def __len__(self) -> int:
        return len(self._entry)

    def __getitem__(self, name: str) -> np.ndarray:
        """Read an array. Raises ValueError for one that is damaged, or is none of numbers or text."""
        entry = self._entry[name]
        if entry.compress_type not in _METHODS:
            raise ValueError(f"{name} is compressed in a way that NumPy does not use")
        self._left -= entry.file_size
        if self._left < 0:
            raise ValueError(
                f"{name} claims {entry.file_size:,} bytes, more than {MAX_RATIO} times what the file has"
            )
        with self._archive.open(entry) as packed:
            shape, dtype = _header(packed, name)
            _check(name, shape, dtype, entry.file_size - packed.tell())
        with self._archive.open(entry) as packed:
            return np.asarray(npy.read_array(packed, allow_pickle=False))


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """Open a file of :func:`numpy.savez`. Raises OSError, ValueError, zipfile.BadZipFile."""
    with path.open("rb") as file:
        if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
            raise ValueError("it is a single array (.npy)")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an npz archive, or it is truncated")
    with zipfile.ZipFile(path) as archive:
        yield NpzFile(archive, path.stat().st_size)


def _header(packed: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of an array as its first bytes say."""
    version = npy.read_magic(packed)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:  # 3.0 is of columns with names
        raise ValueError(f"{name} is written in version {version} of NumPy's format")
    try:
        shape, _, dtype = read(packed)
    except (RecursionError, MemoryError):  # brackets within brackets
        raise ValueError(f"the header of {name} is damaged") from None
    return shape, dtype


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype, there: int) -> None:
    """Raise ValueError for an array whose bytes are not what is there."""
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    elements: int = math.prod(shape)
    if any(length < 0 for length in shape) or (dtype.itemsize == 0 and elements):
        raise ValueError(f"{name} has the shape {shape} of {dtype}")
    if elements * dtype.itemsize != there:
        raise ValueError(f"{name} claims {elements * dtype.itemsize:,} bytes, {there:,} are there")
