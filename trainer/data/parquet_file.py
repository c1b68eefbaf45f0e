"""Read columns and images of a Parquet file in record batches: a row group may not fit into memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from trainer.core.errors import InputError, first_line
from trainer.data import table_columns

BUFFER = 1 << 20  # bytes of a column that are read from the disk at once
BATCH = 16 << 20  # bytes of images that are decoded at once …
KEPT = 64 << 20  # … and that are kept, for rows that are asked for again or out of order
MOST_ROWS = 256  # in a batch
ROWS_PER_BYTE = 64  # of the file; a table that claims more is damaged
TEXT_PER_BYTE = 50  # bytes of a column without images for each byte of the file, at most …
ALWAYS = 128 << 20  # … and so many whatever its size


def open_parquet(path: Path) -> parquet.ParquetFile:
    """Open a file so that a page of a column is in memory at a time, not all of it.

    Raises:
        ValueError: it claims more rows than its size can hold.
        OSError, arrow.ArrowException: it is damaged.
    """
    file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER)
    most = ROWS_PER_BYTE * path.stat().st_size
    if not 0 <= file.metadata.num_rows <= most:
        rows = file.metadata.num_rows
        file.close()
        raise ValueError(f"it claims {rows:,} rows, more than {ROWS_PER_BYTE} for each of its bytes")
    return file


@contextmanager
def damage_refused(what: str) -> Iterator[None]:
    """Raise InputError for whatever the block raises: pyarrow raises many types on damaged files.

    Args:
        what: is read, as the sentence begins.
    """
    try:
        yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{what} has text that is not UTF-8, such as {error.object[:40]!r}.") from error
    except Exception as error:
        raise InputError(f"{what}: {first_line(error).rstrip('.')}.") from error


def read_values(path: Path, column: str) -> list[Any]:
    """Return the values of a column that holds no images, one per row.

    Raises:
        InputError: the text is not UTF-8, is too much, or a value has no equivalent in Python.
    """
    values: list[Any] = []
    left = max(TEXT_PER_BYTE * path.stat().st_size, ALWAYS)  # a few bytes may stand for many values
    with damage_refused(f"The column {column!r}"), open_parquet(path) as file:
        for batch in file.iter_batches(MOST_ROWS, columns=[column]):
            left -= batch.nbytes
            if left < 0:
                raise ValueError(f"its values take more than {TEXT_PER_BYTE} times the size of the file")
            values += batch.column(0).to_pylist()
        if len(values) != file.metadata.num_rows:
            raise ValueError(f"it has {len(values):,} values for {file.metadata.num_rows:,} rows")
    return values


@dataclass(frozen=True)
class ParquetCell:
    """An image in a Parquet file, read on demand."""

    path: Path
    column: str
    row_group: int
    row: int  # in the row group

    def read_bytes(self) -> bytes:
        """Read the bytes. Raises OSError."""
        try:
            with _READING:
                return _row_group(self.path, self.column, self.row_group).image(self.row) or b""
        except OSError:
            raise
        except Exception as error:  # the file was replaced
            raise OSError(f"{self.path.name}: {first_line(error)}") from error


def read_images(path: Path, column: str) -> Iterator[tuple[ParquetCell, bytes | None]]:
    """Yield the image of each row and its bytes, None where there are none.

    Raises:
        InputError: the file is damaged.
    """
    with damage_refused(f"The column {column!r}"), open_parquet(path) as file:
        left = file.metadata.num_rows
        for index in range(file.num_row_groups):
            row = 0
            for batch in _batches(file, column, index):
                left -= len(batch)
                if left < 0:
                    raise ValueError(f"it has more rows than the {file.metadata.num_rows:,} of the file")
                for cell in batch:
                    yield ParquetCell(path, column, index, row), table_columns.bytes_of(cell)
                    row += 1
        if left:
            raise ValueError(f"it lacks {left:,} of {file.metadata.num_rows:,} rows")


def _batches(file: parquet.ParquetFile, column: str, index: int) -> Iterator[arrow.Array]:
    """Yield the cells of a row group in batches of some 16 MiB."""
    group = file.metadata.row_group(index)
    leaves = [group.column(at) for at in range(group.num_columns)]
    own = [one for one in leaves if f"{one.path_in_schema}.".startswith(f"{column}.")]
    stored = sum(one.total_uncompressed_size for one in own)
    rows = BATCH * max(group.num_rows, 1) // max(stored, 1)
    rows = min(max(rows, 1), MOST_ROWS)
    return (batch.column(0) for batch in file.iter_batches(rows, row_groups=[index], columns=[column]))


# --- single images ----------------------------------------------------------------------------

_READING = threading.Lock()  # one row group is decoded at a time: a page may be as large as the group


class _RowGroup:
    """The images of a row group: mostly asked for in order, by several threads, so the last ones are kept."""

    def __init__(self, path: Path, column: str, index: int) -> None:
        self._path, self._column, self._index = path, column, index
        self._start()

    def image(self, row: int) -> bytes | None:
        """Return the bytes of a row. Raises IndexError for one that is not there."""
        if row < self._first:
            self._start()
        while row >= self._next:
            self._read_on()
        at = self._first
        for batch in self._kept:
            if row < at + len(batch):
                return table_columns.bytes_of(batch[row - at])
            at += len(batch)
        raise IndexError(row)

    def _start(self) -> None:
        self._kept: deque[arrow.Array] = deque()
        self._first = self._next = self._bytes = 0  # rows that are kept, and their size
        self._batches = _batches(open_parquet(self._path), self._column, self._index)

    def _read_on(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            raise IndexError(f"row group {self._index} has {self._next} rows")
        self._kept.append(batch)
        self._next += len(batch)
        self._bytes += batch.nbytes
        while self._bytes > KEPT and len(self._kept) > 1:
            old = self._kept.popleft()
            self._first += len(old)
            self._bytes -= old.nbytes


@lru_cache(maxsize=2)  # threads that read in order are in two row groups at most
def _row_group(path: Path, column: str, index: int) -> _RowGroup:
    return _RowGroup(path, column, index)
