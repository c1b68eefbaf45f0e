"""List the members of a tar file. What a header claims is checked against the file before it is believed."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

MAX_HEADER = 1 << 20  # bytes of a long name or of a pax header, which tarfile reads at once


def read_members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the members in order, each of them complete: its bytes are within the file.

    Raises:
        OSError: the file cannot be read.
        tarfile.TarError: it is no tar, or is truncated or damaged at this place.
    """
    with path.open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        try:
            with tarfile.open(fileobj=_Headers(raw), mode="r:") as tar:
                yield from _checked(tar, size)
        except (OSError, tarfile.TarError):
            raise
        except Exception as error:  # of a damaged header tarfile raises many types
            raise tarfile.ReadError(f"a damaged header ({error or type(error).__name__})") from error


def _checked(tar: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    at = -1
    while (member := tar.next()) is not None:
        if member.size < 0 or member.offset <= at:
            raise tarfile.ReadError(f"the header of {member.name!r:.80} is damaged")
        at = member.offset
        within = size - member.offset_data
        # a sparse member's size is not that of its data
        if member.isreg() and not member.issparse() and member.size > within:
            raise tarfile.ReadError(
                f"{member.name!r:.80} is truncated: {member.size:,} bytes by its header, {within:,} are there"
            )
        yield member
        tar.members.clear()  # type: ignore[attr-defined]  # it keeps them all
    # tarfile takes a header that it cannot read for the end
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end marker, or a damaged header")


class _Headers(io.RawIOBase):
    """What tarfile reads of a file: headers, none of which is large or lies before the file's start."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes, the limit is {MAX_HEADER:,}")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if not 0 <= offset < 1 << 63:
            raise tarfile.ReadError(f"a header claims to be at byte {offset:,}")
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()
