"""Store vectors on disk by the SHA-256 of the image: one folder per key, immutable shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trainer.core import scratch
from trainer.core.errors import InputError
from trainer.core.process_lock import LockHeld, take, wait_for
from trainer.features.key import EncoderKey
from trainer.features.shard import (
    KEY_FILE,
    adopt_orphans,
    finite_rows,
    names_in,
    notes_in,
    orphans_in,
    read_those_there,
    set_aside,
    shard_bytes,
    write_file,
    write_shard,
)
from trainer.features.shard_index import ShardIndex

LOCK_FILE = ".lock"
ORPHAN = "it has no note and is not intact"
PRUNED = ".pruned"  # suffix of folders that are being deleted


class FeatureStore:
    """The vectors of one encoder key.

    All vectors have one width and one storage type, are finite, and there is one of each image. A shard that
    breaks this is set aside, whoever wrote it; its images count as missing.

    Attributes:
        folder: folder of the key.
        dtype: storage type.
        warnings: messages on shards that were set aside.
    """

    def __init__(self, root: Path, key: EncoderKey, *, width: int | None = None) -> None:
        """Open or create ``root/<key>``. Every shard is read and checked.

        Args:
            width: numbers of each vector, where that is known and the key does not tell.

        Raises:
            InputError: the folder cannot be created or written; a shard cannot be read.
        """
        self.folder = root / key.digest[:16]
        self.dtype = np.dtype(key.stored_dtype)
        self.warnings: list[str] = []
        self._key, self._index = key, ShardIndex(width or key.width)
        if not self._has_key():
            with locked(self.folder):
                self._write_key()
        self._set_aside(dict.fromkeys(tidy_if_free(self.folder), ORPHAN))
        self._read_new()

    def __contains__(self, content: str) -> bool:
        return content in self._index.where

    def __len__(self) -> int:
        return len(self._index.where)

    @property
    def width(self) -> int | None:
        """Numbers of each vector; None while that is not known."""
        return self._index.width

    def contents(self) -> list[str]:
        """Return the SHA-256 of every stored image in hex, sorted."""
        return sorted(self._index.where)

    def lookup(self, content: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Find vectors.

        Returns:
            found: bool [N]; vectors: float32 [found.sum(), D] of the found images, in order.
        """
        found_n = np.array([one in self for one in content], dtype=bool)
        places = [self._index.where[one] for one in content if one in self]
        vectors_nd = np.empty((len(places), self._index.width or 0), dtype=np.float32)
        for i, (name, row) in enumerate(places):
            vectors_nd[i] = self._index.shards[name].vectors_nd[row]
        return found_n, vectors_nd

    def lookup_all(self, content: Sequence[str]) -> np.ndarray:
        """Return a vector for each image, float32 [N, D]. Raises KeyError for a missing image."""
        found_n, vectors_nd = self.lookup(content)
        if not found_n.all():
            raise KeyError(content[int(np.flatnonzero(~found_n)[0])])
        return vectors_nd

    def lookup_stored(self, content: Sequence[str]) -> np.ndarray:
        """Return vectors in their storage type, [N, D]. Raises KeyError for a missing image."""
        places = map(self._index.where.__getitem__, content)
        return np.stack([self._index.shards[name].vectors_nd[row] for name, row in places])

    def append(
        self, content: Sequence[str], vectors_nd: np.ndarray, *, sample_id: Sequence[str], imported: str = ""
    ) -> None:
        """Write one shard durably. Call it inside :meth:`lock`.

        The encoder knows best: stored vectors of another width are set aside.

        Args:
            content: SHA-256 hex of each image.
            vectors_nd: float32 [N, D].
            sample_id: N names, for error messages.
            imported: file that the vectors come from; "" if the encoder made them.

        Raises:
            InputError: a vector has NaN or exceeds the range of the storage type; the disk is full.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            stored_nd = np.ascontiguousarray(vectors_nd, dtype=self.dtype)
        bad = np.flatnonzero(~(finite_rows(stored_nd) & np.isfinite(vectors_nd).all(axis=1)))
        if len(bad):
            raise InputError(
                f"The encoder gave {sample_id[bad[0]]} (and {len(bad) - 1} more) a vector with NaN or values "
                f"beyond the range of {self.dtype}. The weights may be damaged; use another encoder."
            )
        self._set_aside(self._index.adopt_width(stored_nd.shape[1]))
        self._write_key()  # anew, if another process deleted the cache
        try:
            shard = write_shard(self.folder, content, stored_nd, imported=imported)
        except OSError as error:
            n, d = stored_nd.shape
            size = shard_bytes(n, d, self.dtype)
            raise InputError(self._no_room(f"{error.strerror}. A shard takes", size)) from error
        self._index.add([shard])

    def check_disk_space(self, count: int, width: int) -> None:
        """Check the disk space for ``count`` vectors of ``width`` numbers.

        Raises:
            InputError: there is not enough space.
        """
        needed = shard_bytes(count, width, self.dtype)
        if needed > self._free_bytes():
            raise InputError(self._no_room(f"{count:,} vectors of {width} numbers take", needed))

    def _free_bytes(self) -> int:
        # Another process may have deleted the folder.
        there = next(one for one in (self.folder, *self.folder.parents) if one.exists())
        return shutil.disk_usage(there).free

    def _no_room(self, why: str, needed: int) -> str:
        return (
            f"The cache folder {self.folder} cannot be written: {why} {needed:,} bytes, "
            f"{self._free_bytes():,} are free. Vectors stored before are intact. Free space or pass another "
            "--cache-dir, then run again."
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the key's lock, so that one process encodes at a time, and read new shards.

        Waits while another process holds it. The lock is released if its process is killed.
        """
        with locked(self.folder):
            self._write_key()  # anew, if the key was pruned meanwhile
            self._set_aside(dict.fromkeys(tidy(self.folder), ORPHAN))
            self._read_new()
            yield

    def _has_key(self) -> bool:
        noted, data = self.folder / KEY_FILE, self._key_bytes()
        try:
            return noted.is_file() and noted.stat().st_size == len(data) and noted.read_bytes() == data
        except FileNotFoundError:  # another process deletes it
            return False

    def _write_key(self) -> None:
        """Write what the key stands for, unless it is there. Call it inside the lock."""
        try:
            if not self._has_key():
                write_file(self.folder / KEY_FILE, self._key_bytes())
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _key_bytes(self) -> bytes:
        return json.dumps(self._key.fields, indent=1).encode()

    def _read_new(self) -> None:
        paths = [path for path in notes_in(self.folder) if path.stem not in self._index.shards]
        try:
            new, damaged = read_those_there(paths, self.dtype)
        except OSError as error:
            raise unreadable(self.folder, error) from error
        self._set_aside(damaged | self._index.add(new))

    def _set_aside(self, damaged: dict[str, str]) -> None:
        """Set shards aside, by name, for a reason each."""
        self.warnings += [set_aside(self.folder, name, reason) for name, reason in damaged.items()]


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file of the cache that the system does not let us read."""
    return InputError(
        f"{error.filename or path} in the feature cache cannot be read: {error.strerror}. Make it readable, "
        "or pass another --cache-dir."
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a key's folder, waiting while another process holds it.

    Raises:
        InputError: it cannot be written.
    """
    try:
        lock = wait_for(folder / LOCK_FILE, f"the cached vectors in {folder}")
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(folder: Path, error: OSError) -> InputError:
    place = error.filename or folder
    return InputError(
        f"The cache folder {folder} cannot be written: {place}: {error.strerror}. Pass another --cache-dir."
    )


def tidy(folder: Path) -> list[str]:
    """Finish what killed processes left in a key's folder. Call it inside the lock.

    Returns:
        Names of damaged shards without a note.
    """
    scratch.remove_leftovers(folder, ".", scratch.SUFFIX)
    return adopt_orphans(folder)


def remove_pruned(root: Path) -> None:
    """Delete what killed processes left of keys that they were deleting."""
    for name in names_in(root):
        if name.startswith(".") and name.endswith(PRUNED):
            shutil.rmtree(root / name, ignore_errors=True)


def tidy_if_free(folder: Path) -> list[str]:
    """Do as :func:`tidy`, unless a process is writing; delete what is left of pruned keys."""
    remove_pruned(folder.parent)
    half_written = (name.startswith(".") and name.endswith(scratch.SUFFIX) for name in names_in(folder))
    if not any(half_written) and not orphans_in(folder):
        return []
    try:
        lock = take(folder / LOCK_FILE)
    except (LockHeld, OSError):  # a cache that may only be read
        return []
    try:
        return tidy(folder)
    finally:
        lock.release()
