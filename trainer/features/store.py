"""Store vectors on disk by the SHA-256 of the image: one folder per key, immutable shards.

A shard is a safetensors file (vectors [n, D], content uint8 [n, 32]) and a JSON file with its SHA-256,
which is written last and makes the shard valid. Both are written atomically.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.features.key import EncoderKey

DAMAGED = (OSError, ValueError, KeyError, TypeError, SafetensorError)  # raised for a damaged shard
SHA256_BYTES = 32


class FeatureStore:
    """The vectors of one encoder key.

    Attributes:
        folder: folder of the key.
        dtype: storage type.
        warnings: messages on damaged shards that were set aside; their images count as missing.
    """

    def __init__(self, root: Path, key: EncoderKey) -> None:
        """Open or create ``root/<key>``. Every shard is read and its SHA-256 checked.

        Raises:
            InputError: the folder cannot be created or written.
        """
        self.folder = root / key.digest[:16]
        self.dtype = np.dtype(key.stored_dtype)
        self.warnings: list[str] = []
        self._shards: dict[str, np.ndarray] = {}  # name → vectors [n, D], as stored
        self._where: dict[str, tuple[str, int]] = {}  # content → shard name, row
        noted, data = self.folder / "key.json", json.dumps(key.fields, indent=1).encode()
        try:
            if not noted.is_file() or noted.read_bytes() != data:
                atomic.write_bytes(noted, data)
        except OSError as error:
            raise InputError(
                f"The cache folder {root} cannot be written: {error.strerror}. Pass another --cache-dir."
            ) from error
        self._read_new()

    def __contains__(self, content: str) -> bool:
        return content in self._where

    def __len__(self) -> int:
        return len(self._where)

    def contents(self) -> list[str]:
        """Return the SHA-256 of every stored image in hex, sorted."""
        return sorted(self._where)

    def lookup(self, content: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Find vectors.

        Returns:
            found: bool [N]; vectors: float32 [found.sum(), D] of the found images, in order.
        """
        found_n = np.array([one in self._where for one in content], dtype=bool)
        places = [self._where[one] for one in content if one in self._where]
        width = next(iter(self._shards.values())).shape[1] if self._shards else 0
        vectors_nd = np.empty((len(places), width), dtype=np.float32)
        for i, (name, row) in enumerate(places):
            vectors_nd[i] = self._shards[name][row]
        return found_n, vectors_nd

    def lookup_stored(self, content: Sequence[str]) -> np.ndarray:
        """Return vectors in their storage type, [N, D]. Raises KeyError for a missing image."""
        return np.stack([self._shards[name][row] for name, row in map(self._where.__getitem__, content)])

    def append(self, content: Sequence[str], vectors_nd: np.ndarray, *, sample_id: Sequence[str]) -> None:
        """Write one shard durably. Call it inside :meth:`lock`.

        Args:
            content: SHA-256 hex of each image.
            vectors_nd: float32 [N, D].
            sample_id: N names, for error messages.

        Raises:
            InputError: a vector has NaN or exceeds the range of the storage type; the disk is full.
        """
        with np.errstate(over="ignore"):
            stored_nd = np.ascontiguousarray(vectors_nd, dtype=self.dtype)
        bad = np.flatnonzero(~np.isfinite(stored_nd).all(axis=1))
        if len(bad):
            raise InputError(
                f"The encoder gave {sample_id[bad[0]]} (and {len(bad) - 1} more) a vector with NaN or values "
                f"beyond the range of {self.dtype}. The weights may be damaged; use another encoder."
            )
        from safetensors.numpy import save

        content_n32 = np.frombuffer(bytes.fromhex("".join(content)), dtype=np.uint8).reshape(-1, SHA256_BYTES)
        data = save({"vectors": stored_nd, "content": content_n32})
        sha256 = hashlib.sha256(data).hexdigest()
        note = {"sha256": sha256, "n": len(stored_nd), "d": stored_nd.shape[1]}
        try:
            atomic.write_bytes(self.folder / f"{sha256[:16]}.safetensors", data)
            atomic.write_bytes(self.folder / f"{sha256[:16]}.json", json.dumps(note).encode())
        except OSError as error:
            raise InputError(self._no_room(f"{error.strerror}. A shard takes", len(data))) from error
        self._add(sha256[:16], content, stored_nd)

    def check_disk_space(self, count: int, width: int) -> None:
        """Check the disk space for ``count`` vectors of ``width`` numbers.

        Raises:
            InputError: there is not enough space.
        """
        needed = count * (width * self.dtype.itemsize + SHA256_BYTES)
        if needed > shutil.disk_usage(self.folder).free:
            raise InputError(self._no_room(f"{count:,} vectors of {width} numbers take", needed))

    def _no_room(self, why: str, needed: int) -> str:
        free = shutil.disk_usage(self.folder).free
        return (
            f"The cache folder {self.folder} cannot be written: {why} {needed:,} bytes, {free:,} are free. "
            "Vectors stored before are intact. Free space or pass another --cache-dir, then run again."
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the key's lock, so that one process encodes at a time, and read new shards.

        Waits while another process holds it. The lock is released if its process is killed.
        """
        with locked(self.folder):
            for leftover in self.folder.glob(".*.tmp"):  # of a killed writer
                leftover.unlink(missing_ok=True)
            self._read_new()
            yield

    def _read_new(self) -> None:
        for note in sorted(self.folder.glob("*.json")):
            if note.name == "key.json" or note.stem in self._shards:
                continue
            try:
                self._add(note.stem, *read_shard(note))
            except DAMAGED as error:
                self._set_aside(note.stem, error)

    def _add(self, name: str, content: Sequence[str], vectors_nd: np.ndarray) -> None:
        self._shards[name] = vectors_nd
        self._where.update((one, (name, row)) for row, one in enumerate(content))

    def _set_aside(self, name: str, error: Exception) -> None:
        bad = self.folder / "bad"
        bad.mkdir(exist_ok=True)
        for suffix in (".json", ".safetensors"):
            path = self.folder / f"{name}{suffix}"
            if path.exists():
                os.replace(path, bad / path.name)
        self.warnings.append(
            f"Damaged shard {name}.safetensors ({error}) was moved to {bad}; its vectors count as missing."
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a key's folder, waiting while another process holds it."""
    from filelock import FileLock

    with FileLock(folder / ".lock"):
        yield


def read_shard(note: Path) -> tuple[list[str], np.ndarray]:
    """Return contents and vectors of a shard. Raises an exception of `DAMAGED` if it is damaged."""
    from safetensors.numpy import load

    expected = json.loads(note.read_text())
    data = note.with_suffix(".safetensors").read_bytes()
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise ValueError("its SHA-256 does not match")
    tensors = load(data)
    if list(tensors["vectors"].shape) != [expected["n"], expected["d"]]:
        raise ValueError("its shape does not match")
    return [row.tobytes().hex() for row in tensors["content"]], tensors["vectors"]
