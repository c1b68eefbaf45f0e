"""The encoding loop: pictures come prepared, one thread encodes, one stores; what is too large is halved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from trainer.data.manifest import Manifest, rows_of
from trainer.errors import InputError
from trainer.features.batches import remembered_batch_size
from trainer.features.encoder import ImageEncoder
from trainer.features.feed import CORES, Feed, Prepared, Wanted
from trainer.features.preparation import Preparation
from trainer.features.store import FeatureStore
from trainer.features.tower import TooLarge

Auto = Literal["auto"]
COMMIT_EVERY = 2048  # pictures per shard: what a crash can lose
COMMIT_AFTER_S = 60.0  # and no more than a minute of a slow encoder's work
WATCHED_S = 2.0  # for so long threads decode before it is judged whether they keep up …
STARVED = 0.25  # … which they do not where the encoder waits for longer than this share of the time
AHEAD = 2  # batches that are being decoded while one is encoded


class LazyEncoder:
    """Loads the encoder when the first picture needs it: who reuses everything never waits for torch."""

    def __init__(self, folder: Path, *, device: str, dtype: str) -> None:
        self._folder, self._device, self._dtype = folder, device, dtype
        self._loaded: ImageEncoder | None = None

    def get(self) -> ImageEncoder:
        if self._loaded is None:
            self._loaded = ImageEncoder(self._folder, device=self._device, dtype=self._dtype)
        return self._loaded

    @property
    def calls(self) -> int:
        return 0 if self._loaded is None else self._loaded.calls


@dataclass
class Work:
    """What the loop did."""

    bad: dict[int, str] = field(default_factory=dict)  # row → why its picture is bad
    encoded: int = 0  # distinct pictures
    batch_size: int = 0  # the last that was used; 0 where nothing was encoded
    processes: int = 0  # that decoded; 0 where threads did
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("load", "decode", "transfer", "encode", "write"), 0.0)
    )  # how long the encoding thread waited for each
    said: list[str] = field(default_factory=list)  # for people

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - began


def encode_missing(
    manifest: Manifest,
    store: FeatureStore,
    lazy: LazyEncoder,
    preparation: Preparation,
    *,
    batch_size: int | Auto,
    workers: int | Auto,
    memory: Path,
    progress: Callable[[int, int], None] | None,
) -> Work:
    """Encode every distinct picture that is not stored yet. Call it as the store's owner.

    Args:
        batch_size: pictures per call of the encoder, "auto": the fastest of a few that are tried with noise.
        workers: processes that decode, 0: threads; "auto": threads, and processes when they do not keep up.
        memory: a file in which the batch size that was found is remembered.
    """
    pictures = rows_of(manifest.content)
    missing = [(content, rows) for content, rows in pictures.items() if content not in store]
    work = Work(processes=0 if workers == "auto" else workers)
    counted = _Counted(progress, done=len(pictures) - len(missing), total=len(pictures))
    feed = Feed(
        (_wanted(manifest, content, rows) for content, rows in missing),
        preparation,
        processes=work.processes,
        ahead=AHEAD * (64 if batch_size == "auto" else batch_size),
    )
    shard = _Shard(manifest, store, expected=len(missing))
    try:
        prepared = iter(feed)
        first = _next_usable(prepared, work, counted)  # bad pictures alone need no encoder
        if first is not None:
            with work.timed("load"):
                encoder = lazy.get()
                size = batch_size
                if size == "auto":
                    size = remembered_batch_size(encoder, store.folder.name, memory, most=len(missing))
            caller = _Caller(encoder, size, work)
            began = time.perf_counter()
            flying: _Flight | None = None
            for batch in _batches(first, prepared, size, work):
                started = caller.start(batch)
                if flying is not None:
                    _land(flying, shard, work, counted)
                flying = started
                if workers == "auto" and work.processes == 0 and CORES > 2:
                    lived = time.perf_counter() - began
                    if lived > WATCHED_S and work.seconds["decode"] > STARVED * lived:
                        work.processes = CORES
                        feed.use_processes(CORES)
            if flying is not None:
                _land(flying, shard, work, counted)
        with work.timed("write"):
            shard.commit()
    finally:
        feed.close()
        shard.close()
    return work


def _wanted(manifest: Manifest, content: str, rows: list[int]) -> Wanted:
    assert manifest.images is not None
    return Wanted(tuple(rows), tuple(manifest.images[row] for row in rows), content)


# --- batches on their way ---------------------------------------------------------------------


@dataclass
class _Flight:
    """A batch that the encoder has begun."""

    batch: list[Prepared]  # usable or not
    rows: list[int]  # of the usable ones
    vectors: list[Callable[[], np.ndarray]]  # wait for them: float32 [b, D] each


class _Caller:
    """Calls the encoder with as many pictures at once as its memory holds."""

    def __init__(self, encoder: ImageEncoder, size: int, work: Work) -> None:
        self._encoder, self._size, self._work = encoder, size, work
        work.batch_size = size

    def start(self, batch: list[Prepared]) -> _Flight:
        pixels = [one.pixels for one in batch if one.pixels is not None]
        vectors, at = [], 0
        while at < len(pixels):
            piece = pixels[at : at + self._size]
            try:
                vectors.append(self._begin(piece))
                at += len(piece)
            except TooLarge:
                self._halve()
        return _Flight(batch, [one.row for one in batch if one.pixels is not None], vectors)

    def _begin(self, pixels: list[np.ndarray]) -> Callable[[], np.ndarray]:
        count = len(pixels)
        full = pixels + pixels[-1:] * (self._encoder.full(self._size) - count)
        with self._work.timed("transfer"):
            sent = self._encoder.send(np.stack(full))
        with self._work.timed("encode"):
            wait = self._encoder.begin(sent)
        return lambda: wait()[:count]

    def _halve(self) -> None:
        """Nothing is lost: the pictures that did not fit are called again, in halves."""
        self._encoder.forget()
        if self._size == 1:
            raise InputError(
                "The device has no memory for a single picture. What was encoded is kept; free memory, "
                "choose a smaller encoder, or pass --device cpu."
            )
        self._size //= 2
        self._work.batch_size = self._size
        self._work.said.append(
            f"Memory was too small for {2 * self._size} pictures at once; went on with half."
        )


def _land(flight: _Flight, shard: _Shard, work: Work, counted: _Counted) -> None:
    with work.timed("encode"):
        vectors = [wait() for wait in flight.vectors]
    with work.timed("write"):
        if vectors:
            shard.add(flight.rows, vectors)
    work.encoded += len(flight.rows)
    for one in flight.batch:
        work.bad.update(one.bad)
    counted.more(len(flight.batch))


def _next_usable(prepared: Iterator[Prepared], work: Work, counted: _Counted) -> Prepared | None:
    for one in prepared:
        if one.pixels is not None:
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
    """Distinct pictures done, of how many."""

    def __init__(self, progress: Callable[[int, int], None] | None, *, done: int, total: int) -> None:
        self._tell = progress or (lambda done, total: None)
        self._done, self._total = done, total
        self.more(0)

    def more(self, count: int) -> None:
        self._done += count
        self._tell(self._done, self._total)


class _Shard:
    """Vectors on their way to the store, which a thread of its own writes."""

    def __init__(self, manifest: Manifest, store: FeatureStore, *, expected: int) -> None:
        self._manifest, self._store, self._expected = manifest, store, expected
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._clear()

    def add(self, rows: list[int], vectors: list[np.ndarray]) -> None:
        if self._expected:  # before the first: the width is known, and no hours are lost yet
            self._store.check_room(self._expected, vectors[0].shape[1])
            self._expected = 0
        self._rows += rows
        self._vectors += vectors
        if len(self._rows) >= COMMIT_EVERY or time.perf_counter() - self._since > COMMIT_AFTER_S:
            self._begin()

    def commit(self) -> None:
        """Returns when everything is stored; raises what went wrong with it."""
        self._begin()
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        self._writer.shutdown()

    def _begin(self) -> None:
        if self._writing is not None:
            self._writing.result()  # one shard at a time: memory stays bounded, and errors come out
        if self._rows:
            self._writing = self._writer.submit(
                self._store.append,
                [self._manifest.content[row] for row in self._rows],
                np.concatenate(self._vectors),
                sample_id=[self._manifest.sample_id[row] for row in self._rows],
            )
        self._clear()

    def _clear(self) -> None:
        self._rows: list[int] = []
        self._vectors: list[np.ndarray] = []
        self._since = time.perf_counter()
