"""Store vectors by the SHA-256 of the image: one folder per key, immutable shards.

The folder may be the copy of a place in a bucket (`trainer.storing.copies`). What counts is in the bucket
then: shards are committed there first, and opening a store copies those that are new.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trainer.core import scratch
from trainer.core.errors import InputError
from trainer.core.process_lock import LockHeld, take, wait_for
from trainer.features.key import EncoderKey
from trainer.features.shard import (
    KEY_FILE,
    Shard,
    adopt_orphans,
    finite_rows,
    names_in,
    notes_in,
    orphans_in,
    pack_shard,
    read_those_there,
    set_aside,
    shard_bytes,
    write_file,
    write_note,
    write_shard,
)
from trainer.features.shard_index import ShardIndex
from trainer.features.shared_key import SharedKey, Task, task_name
from trainer.storing.copies import origin_of
from trainer.storing.folder_location import FolderLocation

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

    def __init__(
        self, root: Path, key: EncoderKey, *, width: int | None = None, shared: bool = False
    ) -> None:
        """Open or create ``root/<key>``. Every shard is read and checked.

        Args:
            width: numbers of each vector, where that is known and the key does not tell.
            shared: several processes append at the same time, each task of theirs by :meth:`commit`.

        Raises:
            InputError: the folder cannot be created or written; a shard cannot be read; the bucket cannot be
                used.
        """
        self.folder = root / key.digest[:16]
        self.dtype = np.dtype(key.stored_dtype)
        self.warnings: list[str] = []
        self._origin = origin_of(self.folder)
        self._commits = SharedKey(self._origin or FolderLocation(self.folder))
        self._shared = shared or self._origin is not None
        self._key, self._key_is_there = key, False  # in the bucket, as far as it is known
        self._index = ShardIndex(width or key.width, first_counts=self._origin is not None)
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
        self,
        content: Sequence[str],
        vectors_nd: np.ndarray,
        *,
        sample_id: Sequence[str],
        imported: str = "",
        task: Task | None = None,
    ) -> None:
        """Write one shard durably. Call it inside :meth:`lock`, unless the store is shared.

        The encoder knows best: stored vectors of another width are set aside.

        Args:
            content: SHA-256 hex of each image.
            vectors_nd: float32 [N, D].
            sample_id: N names, for error messages.
            imported: file that the vectors come from; "" if the encoder made them.
            task: of a shared store: what the shard commits; None: the images of the shard.

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
            if self._shared:
                self._commit(task or Task(task_name(self._key.digest, content)), content, stored_nd, imported)
                return
            shard = write_shard(self.folder, content, stored_nd, imported=imported)
        except OSError as error:
            n, d = stored_nd.shape
            size = shard_bytes(n, d, self.dtype)
            raise InputError(self._no_room(f"{error.strerror}. A shard takes", size)) from error
        self._index.add([shard])

    def _commit(self, task: Task, content: Sequence[str], stored_nd: np.ndarray, imported: str) -> None:
        """Commit a shard as one of several writers. Where another one was first, its shard counts."""
        shard, data = pack_shard(content, stored_nd, imported=imported)
        standing = self._commits.commit(task, shard.note, data).note
        is_same = standing is not None and standing.sha256 == shard.note.sha256
        if self._origin is None:
            if not is_same:
                self._commits.discard(shard.note.name)
            if standing is not None:  # also for a winner that was killed before it could
                write_note(self.folder, standing)
        elif is_same:
            write_file(self.folder / f"{shard.note.name}.safetensors", data)
            write_note(self.folder, shard.note)
        if is_same:
            self._index.add([shard])
        else:
            self._read_new()

    def commit(self, task: Task) -> None:
        """Commit a task for which there is nothing to append: its images are stored, or corrupt."""
        self._write_key()
        self._commits.commit(task, None, b"")

    def mend(self, tasks: Mapping[str, Sequence[str]]) -> None:
        """Let tasks be done again whose vectors are missing although they are committed: files were deleted.

        Args:
            tasks: name → its images.
        """
        markers = {marker.task.name: marker for marker in self._commits.markers()}
        for name in tasks.keys() & markers.keys():
            note = markers[name].note
            # Its writer was killed before it wrote the note.
            if self._origin is None and note is not None and self._commits.is_intact(note):
                write_note(self.folder, note)
        self._read_new()
        for name in tasks.keys() & markers.keys():
            if not all(one in self or one in markers[name].task.bad for one in tasks[name]):
                self._commits.undo(name)

    def begin(self, task: str, worker: str) -> int:
        """Begin a task; returns how often this worker was killed by it: see :meth:`SharedKey.begin`."""
        return self._commits.begin(task, worker)

    def end(self, task: str, worker: str) -> None:
        """End a task, done or not."""
        self._commits.end(task, worker)

    def committed(self) -> set[str]:
        """Return the names of the tasks that are committed, by any process."""
        return self._commits.done()

    def tasks(self) -> list[Task]:
        """Return all committed tasks."""
        return [marker.task for marker in self._commits.markers()]

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
            if self._origin is not None and not self._key_is_there:
                self._commits.write_key(self._key_bytes())
                self._key_is_there = True
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _key_bytes(self) -> bytes:
        return json.dumps(self._key.fields, indent=1).encode()

    def _read_new(self) -> None:
        new, damaged = self._read_notes()
        if damaged and self._origin is not None:  # perhaps it is the copy alone that is
            for name in damaged:
                self.warnings.append(set_aside(self.folder, name, damaged[name]))
            more, damaged = self._read_notes(but={shard.note.name for shard in new})
            new += more
        self._set_aside(damaged | self._index.add(new))
        if self._index.different:
            self.warnings.append(
                f"{len(self._index.different):,} images in {self.folder.name} have different vectors from "
                "several machines; the first are used."
            )
            self._index.different.clear()

    def _read_notes(self, but: Set[str] = frozenset()) -> tuple[list[Shard], dict[str, str]]:
        """Return new shards, and what is wrong with damaged ones; of a bucket, after copying what is new.

        Args:
            but: names of shards to leave out, besides those that are known.
        """
        if self._origin is not None:
            self.warnings += self._commits.pull(self.folder)
        known = self._index.shards.keys() | but
        try:
            return read_those_there(
                [path for path in notes_in(self.folder) if path.stem not in known], self.dtype
            )
        except OSError as error:
            raise unreadable(self.folder, error) from error

    def _set_aside(self, damaged: dict[str, str]) -> None:
        """Set shards aside, by name, for a reason each."""
        for name, reason in damaged.items():
            self.warnings.append(set_aside(self.folder, name, reason))
            self._commits.forget(name)


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
