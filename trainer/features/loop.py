"""The encoding loop: threads read, decode and prepare; one thread encodes; shards are stored as they fill."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from trainer.data.decode import Undecodable, decode
from trainer.data.manifest import Manifest, Stored, rows_of
from trainer.features.encoder import ImageEncoder
from trainer.features.store import FeatureStore

COMMIT_EVERY = 2048  # pictures per shard: what a crash can lose
COMMIT_AFTER_S = 60.0  # and no more than a minute of a slow encoder's work
THREADS = min(32, (os.cpu_count() or 1) + 2)  # decoding releases the interpreter; some wait for the disk

# One picture on its way: a row that shows it, pixels uint8 [3, height, width] if usable, row → why it is bad.
_Prepared = tuple[int, np.ndarray | None, dict[int, str]]


class LazyEncoder:
    """Loads the encoder when the first picture needs it: who reuses everything never waits for torch."""

    def __init__(self, folder: Path, *, device: str, dtype: str) -> None:
        self._folder, self._device, self._dtype = folder, device, dtype
        self._loaded: ImageEncoder | None = None
        self._lock = threading.Lock()  # the first pictures come from several threads at once

    def get(self) -> ImageEncoder:
        with self._lock:
            if self._loaded is None:
                self._loaded = ImageEncoder(self._folder, device=self._device, dtype=self._dtype)
            return self._loaded

    @property
    def calls(self) -> int:
        return 0 if self._loaded is None else self._loaded.calls


def encode_missing(
    manifest: Manifest,
    store: FeatureStore,
    lazy: LazyEncoder,
    *,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[int, str], int]:
    """Encode every distinct picture that is not stored yet. Call it as the store's owner.

    Returns:
        row → why its picture is bad; and how many distinct pictures were encoded.
    """
    pictures = rows_of(manifest.content)
    missing = [rows for content, rows in pictures.items() if content not in store]
    done = len(pictures) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(pictures))
    bad: dict[int, str] = {}
    encoded = 0
    shard = _Shard(manifest, store)
    pool = ThreadPoolExecutor(THREADS)
    try:
        prepared = _ahead(pool, lambda rows: _prepare(manifest, rows, lazy), missing, depth=2 * batch_size)
        for batch in _batches(prepared, batch_size):
            ready = [(row, pixels) for row, pixels, _ in batch if pixels is not None]
            for _, _, reasons in batch:
                bad.update(reasons)
            if ready:
                vectors_bd = lazy.get().forward(np.stack([pixels for _, pixels in ready]))
                shard.add([row for row, _ in ready], vectors_bd)
            encoded += len(ready)
            done += len(batch)
            report(done, len(pictures))
        shard.commit()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for pictures that nobody will encode
    return bad, encoded


class _Shard:
    """Vectors on their way to the store."""

    def __init__(self, manifest: Manifest, store: FeatureStore) -> None:
        self._manifest, self._store = manifest, store
        self._clear()

    def add(self, rows: list[int], vectors_bd: np.ndarray) -> None:
        self._rows += rows
        self._vectors.append(vectors_bd)
        if len(self._rows) >= COMMIT_EVERY or time.perf_counter() - self._since > COMMIT_AFTER_S:
            self.commit()

    def commit(self) -> None:
        if self._rows:
            self._store.append(
                [self._manifest.content[row] for row in self._rows],
                np.concatenate(self._vectors),
                sample_id=[self._manifest.sample_id[row] for row in self._rows],
            )
        self._clear()

    def _clear(self) -> None:
        self._rows: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._since = time.perf_counter()


def _prepare(manifest: Manifest, rows: list[int], lazy: LazyEncoder) -> _Prepared:
    """Read and decode one picture, which several rows may share: a copy that is gone leaves the others."""
    assert manifest.images is not None
    bad: dict[int, str] = {}
    for row in rows:
        try:
            data = _read(manifest.images[row], manifest.content[row])
        except Undecodable as error:
            bad[row] = error.reason
            continue
        try:
            image_hwc = decode(data)
        except Undecodable as error:  # the same bytes everywhere: no copy is better
            return row, None, bad | {other: error.reason for other in rows if other not in bad}
        return row, lazy.get().prepare(image_hwc), bad
    return rows[0], None, bad


def _read(image: Stored | bytes, content: str) -> bytes:
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise Undecodable(
            f"was there when the data was listed, now cannot be read: {error.strerror}"
        ) from error
    if hashlib.sha256(data).hexdigest() != content:
        raise Undecodable("changed since the data was listed")
    return data


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[list[int]], _Prepared],
    items: Sequence[list[int]],
    *,
    depth: int,
) -> Iterator[_Prepared]:
    """Results in order, with up to ``depth`` items in work or waiting: memory stays bounded."""
    queue: deque[Future[_Prepared]] = deque()
    for item in items:
        queue.append(pool.submit(work, item))
        if len(queue) > depth:
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()


def _batches(prepared: Iterator[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    batch: list[_Prepared] = []
    for one in prepared:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
