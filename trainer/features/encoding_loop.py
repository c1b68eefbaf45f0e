"""Encode missing images: load, encode and store in parallel; halve batches that do not fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from trainer.core.errors import InputError
from trainer.data.manifest import Manifest, rows_by_value
from trainer.features.backbone import OutOfMemory
from trainer.features.batch_size import cached_batch_size
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.image_loader import CORES, ImageLoader, ImageRequest, Prepared, View
from trainer.features.settings import EncoderSettings

COMMIT_EVERY = 2048  # images per shard: the most that a crash can lose
COMMIT_AFTER_S = 60.0  # … or a minute of work
WATCHED_S = 2.0  # after this time, switch from threads to processes …
STARVED = 0.25  # … if the encoder waits for more than this share of the time
AHEAD = 2  # batches decoded ahead


class VectorSink(Protocol):
    """What the loop asks of a `FeatureStore`."""

    @property
    def folder(self) -> Path: ...
    @property
    def warnings(self) -> list[str]: ...
    def __contains__(self, content: str) -> bool: ...
    def check_disk_space(self, count: int, width: int) -> None: ...
    def lock(self) -> AbstractContextManager[None]: ...
    def append(self, content: Sequence[str], vectors_nd: np.ndarray, *, sample_id: Sequence[str]) -> None: ...


class LazyEncoder:
    """Load the encoder on first use, so that fully cached data needs no torch."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._loaded: ImageEncoder | None = None

    def get(self) -> ImageEncoder:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> ImageEncoder:
        how = self._settings
        return ImageEncoder(how.folder, device=how.device, dtype=how.compute_dtype, space=how.space)


@dataclass
class Work:
    """Results and statistics of the encoding."""

    bad: dict[int, str] = field(default_factory=dict)  # row → why its image is bad
    encoded: int = 0  # distinct images
    calls: int = 0  # forward passes, including those that measured the batch size
    batch_size: int = 0  # last used; 0 if nothing was encoded
    processes: int = 0  # decoding processes; 0: threads
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("load", "decode", "transfer", "encode", "write"), 0.0)
    )  # time of the encoding thread by stage
    messages: list[str] = field(default_factory=list)  # for the user

    def add(self, other: Work) -> None:
        """Add the work of another encoder on the same rows."""
        self.bad |= other.bad
        self.encoded = max(self.encoded, other.encoded)
        self.calls += other.calls
        self.batch_size = min(self.batch_size or other.batch_size, other.batch_size or self.batch_size)
        self.processes = max(self.processes, other.processes)
        self.messages += other.messages
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - began


def encode_missing(
    manifest: Manifest,
    stores: Sequence[VectorSink],
    lazy: LazyEncoder,
    settings: EncoderSettings,
    *,
    measures: VectorSink | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Work:
    """Encode every distinct image that is not stored yet, holding the locks of the stores.

    An image is decoded once for all its views. Only training images have views other than 0.

    Args:
        stores: stores of view 0, 1, ….
        measures: store of the images' measures; None: nothing is measured. The caller must not hold its lock.
    """
    train = [manifest.content[row] for row in manifest.rows("train")]
    wanted = [manifest.content, *[train] * (len(stores) - 1)]
    if all(content in store for store, some in zip(stores, wanted, strict=True) for content in some):
        return Work()
    with ExitStack() as owned:
        for store in sorted(stores, key=lambda one: one.folder):  # same order in all processes: no deadlock
            owned.enter_context(store.lock())

        def encode() -> Work:
            loop = _Loop(manifest, stores, measures, settings, progress)
            try:
                loop.encode(lazy)
            finally:
                loop.close()
            return loop.work

        set_aside = sum(len(store.warnings) for store in stores)
        work = encode()
        if sum(len(store.warnings) for store in stores) > set_aside:  # imported vectors, of another width
            again = encode()
            again.encoded += work.encoded
            again.add(work)
            return again
    return work


def measure_missing(manifest: Manifest, measures: VectorSink, settings: EncoderSettings) -> None:
    """Measure the images that have none: encoded without measuring, or their measures were set aside."""
    missing = [
        _wanted(manifest, content, rows, (), measure=True)
        for content, rows in rows_by_value(manifest.content).items()
        if content not in measures
    ]
    if not missing:
        return
    feed = ImageLoader(missing, preparation_of(settings.folder), processes=0, ahead=AHEAD * 64)
    try:
        prepared = iter(feed)
        while batch := list(islice(prepared, COMMIT_EVERY)):
            measured = [(one.row, one.measures) for one in batch if one.measures is not None]
            _append_measures(measures, manifest, measured)
    finally:
        feed.close()


class _Loop:
    """An image loader, an encoder and a shard writer for each store."""

    def __init__(
        self,
        manifest: Manifest,
        stores: Sequence[VectorSink],
        measures: VectorSink | None,
        settings: EncoderSettings,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._settings, self._stores = settings, stores
        images = rows_by_value(manifest.content)
        in_train = {manifest.content[row] for row in manifest.rows("train")}
        self._missing = {
            content: views
            for content in images
            if (views := _missing(content, stores if content in in_train else stores[:1]))
        }
        self.work = Work(processes=0 if settings.workers == "auto" else settings.workers)
        self._counted = _Counted(progress, done=len(images) - len(self._missing), total=len(images))
        self._feed = ImageLoader(
            (
                _wanted(
                    manifest,
                    content,
                    images[content],
                    views,
                    measure=measures is not None and content not in measures,
                )
                for content, views in self._missing.items()
            ),
            preparation_of(settings.folder),
            augmentation=settings.augmentation,
            processes=self.work.processes,
            ahead=AHEAD * (64 if settings.batch_size == "auto" else settings.batch_size),
        )
        self._shards = [
            _Shard(manifest, store, measures, expected=sum(view in views for views in self._missing.values()))
            for view, store in enumerate(stores)
        ]

    def encode(self, lazy: LazyEncoder) -> None:
        """Encode and store all missing images."""
        prepared = iter(self._feed)
        first = _next_usable(prepared, self.work, self._counted)  # corrupt images need no encoder
        if first is not None:
            self._encode_from(first, prepared, lazy)
        with self.work.timed("write"):
            for shard in self._shards:
                shard.commit()

    def _encode_from(self, first: Prepared, others: Iterator[Prepared], lazy: LazyEncoder) -> None:
        """Overlap the encoding of a batch with storing the previous one and decoding the next."""
        with self.work.timed("load"):
            encoder = lazy.get()
            called = encoder.calls
            size = self._batch_size(encoder)
        self._feed.keep_ahead(AHEAD * size)
        caller = _Caller(encoder, size, self.work)
        began = time.perf_counter()
        flying: _Flight | None = None
        for batch in _batches(first, others, max(size // len(self._stores), 1), self.work):
            started = caller.start(batch)
            if flying is not None:
                _land(flying, self._shards, self.work, self._counted)
            flying = started
            self._use_processes_if_starved(time.perf_counter() - began)
        if flying is not None:
            _land(flying, self._shards, self.work, self._counted)
        self.work.calls = encoder.calls - called

    def _batch_size(self, encoder: ImageEncoder) -> int:
        if self._settings.batch_size != "auto":
            return self._settings.batch_size
        memory = self._settings.cache_dir / "batch_sizes.json"
        return cached_batch_size(encoder, self._stores[0].folder.name, memory, images=len(self._missing))

    def _use_processes_if_starved(self, lived_s: float) -> None:
        """With ``workers`` "auto", switch to processes if threads are slower than the encoder."""
        if self._settings.workers != "auto" or self.work.processes or CORES <= 2:
            return
        if lived_s > WATCHED_S and self.work.seconds["decode"] > STARVED * lived_s:
            self.work.processes = CORES
            self._feed.use_processes(CORES)

    def close(self) -> None:
        self._feed.close()
        for shard in self._shards:
            shard.close()


def _missing(content: str, stores: Sequence[VectorSink]) -> tuple[int, ...]:
    return tuple(view for view, store in enumerate(stores) if content not in store)


def _wanted(
    manifest: Manifest, content: str, rows: list[int], views: tuple[int, ...], *, measure: bool
) -> ImageRequest:
    assert manifest.images is not None
    return ImageRequest(tuple(rows), tuple(manifest.images[row] for row in rows), content, views, measure)


# --- batches on their way ---------------------------------------------------------------------


@dataclass
class _Flight:
    """A batch being encoded."""

    batch: list[Prepared]  # including corrupt images
    shown: list[tuple[int, int]]  # row and view, in the order of the vectors
    vectors: list[Callable[[], np.ndarray]]  # call to wait: float32 [b, D] each


class _Caller:
    """Call the encoder with batches that fit into memory."""

    def __init__(self, encoder: ImageEncoder, size: int, work: Work) -> None:
        self._encoder, self._size, self._work = encoder, size, work
        work.batch_size = size

    def start(self, batch: list[Prepared]) -> _Flight:
        shown, vectors = [], []
        for strays in (False, True):  # separately: original images skip the colour jitter
            views = [(one.row, view) for one in batch for view in one.views if (view.number > 0) == strays]
            shown += [(row, view.number) for row, view in views]
            at = 0
            while at < len(views):
                piece = [view for _, view in views[at : at + self._size]]
                try:
                    vectors.append(self._begin(piece))
                    at += len(piece)
                except OutOfMemory:
                    self._halve()
        return _Flight(batch, shown, vectors)

    def _begin(self, views: list[View]) -> Callable[[], np.ndarray]:
        count = len(views)
        full = views + views[-1:] * (self._encoder.padded_size(self._size) - count)
        colours = [view.colours for view in full if view.colours is not None]
        with self._work.timed("transfer"):
            sent = self._encoder.to_device(np.stack([view.pixels for view in full]))
        with self._work.timed("encode"):
            wait = self._encoder.forward_async(sent, np.stack(colours) if colours else None)
        return lambda: wait()[:count]

    def _halve(self) -> None:
        """Halve the batch size; the failed images are encoded again."""
        self._encoder.free_memory()
        if self._size == 1:
            raise InputError(
                "A single image does not fit into the memory of the device. Encoded images are cached. Free "
                "memory, use a smaller encoder, or pass --device cpu."
            )
        self._size //= 2
        self._work.batch_size = self._size
        self._work.messages.append(
            f"Batches of {2 * self._size} did not fit into memory; continued with {self._size}."
        )


def _land(flight: _Flight, shards: Sequence[_Shard], work: Work, counted: _Counted) -> None:
    with work.timed("encode"):
        vectors = [wait() for wait in flight.vectors]
    with work.timed("write"):
        if vectors:
            vectors_nd = np.concatenate(vectors)
            view_n = np.array([view for _, view in flight.shown])
            measured = [(one.row, one.measures) for one in flight.batch if one.measures is not None]
            for view in np.unique(view_n):  # ascending: measures are stored with the first
                at = np.flatnonzero(view_n == view)
                shards[view].add([flight.shown[i][0] for i in at], vectors_nd[at], measured)
                measured = []
    work.encoded += sum(bool(one.views) for one in flight.batch)
    for one in flight.batch:
        work.bad.update(one.bad)
    counted.more(len(flight.batch))


def _next_usable(prepared: Iterator[Prepared], work: Work, counted: _Counted) -> Prepared | None:
    for one in prepared:
        if one.views:
            return one
        work.bad.update(one.bad)
        counted.more(1)
    return None


def _batches(first: Prepared, others: Iterator[Prepared], size: int, work: Work) -> Iterator[list[Prepared]]:
    with work.timed("decode"):
        batch = [first, *islice(others, size - 1)]
    while batch:
        yield batch
        with work.timed("decode"):
            batch = list(islice(others, size))


class _Counted:
    """Counter of distinct images, for progress."""

    def __init__(self, progress: Callable[[int, int], None] | None, *, done: int, total: int) -> None:
        self._tell = progress or (lambda done, total: None)
        self._done, self._total = done, total
        self.more(0)

    def more(self, count: int) -> None:
        self._done += count
        self._tell(self._done, self._total)


class _Shard:
    """Collect vectors and measures and write them to their stores in a thread."""

    def __init__(
        self, manifest: Manifest, store: VectorSink, measures: VectorSink | None, *, expected: int
    ) -> None:
        self._manifest, self._store, self._measures = manifest, store, measures
        self._expected = expected
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._clear()

    def add(self, rows: list[int], vectors_nd: np.ndarray, measured: list[tuple[int, np.ndarray]]) -> None:
        if self._expected:  # check early, as soon as the width is known
            self._store.check_disk_space(self._expected, vectors_nd.shape[1])
            self._expected = 0
        self._rows += rows
        self._vectors.append(vectors_nd)
        self._measured += measured
        if len(self._rows) >= COMMIT_EVERY or time.perf_counter() - self._since > COMMIT_AFTER_S:
            self._begin()

    def commit(self) -> None:
        """Wait until everything is stored; re-raises errors."""
        self._begin()
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        self._writer.shutdown()

    def _begin(self) -> None:
        if self._writing is not None:
            self._writing.result()  # one shard at a time: bounds memory and raises errors
        if self._rows:
            self._writing = self._writer.submit(self._write, self._rows, self._vectors, self._measured)
        self._clear()

    def _write(
        self, rows: list[int], vectors: list[np.ndarray], measured: list[tuple[int, np.ndarray]]
    ) -> None:
        """Write measures first, so that every image with a vector has measures, even after a kill."""
        if self._measures is not None:
            _append_measures(self._measures, self._manifest, measured)
        _append(self._store, self._manifest, rows, np.concatenate(vectors))

    def _clear(self) -> None:
        self._rows: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._measured: list[tuple[int, np.ndarray]] = []
        self._since = time.perf_counter()


def _append_measures(
    measures: VectorSink, manifest: Manifest, measured: list[tuple[int, np.ndarray]]
) -> None:
    """Store measures by row, of images that no other process has measured meanwhile.

    Locked for the append only, and inside the encoder's lock where there is one: processes with different
    encoders block each other only briefly and cannot deadlock.
    """
    if not measured:
        return
    with measures.lock():
        new = [(row, one) for row, one in measured if manifest.content[row] not in measures]
        if new:
            _append(measures, manifest, [row for row, _ in new], np.stack([one for _, one in new]))


def _append(store: VectorSink, manifest: Manifest, rows: list[int], vectors_nd: np.ndarray) -> None:
    content = [manifest.content[row] for row in rows]
    store.append(content, vectors_nd, sample_id=[manifest.sample_id[row] for row in rows])
