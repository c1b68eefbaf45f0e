"""Pictures on their way to the encoder: read, decoded and prepared ahead, in threads or in processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import NamedTuple

import numpy as np

from trainer.data.decode import Undecodable, decode
from trainer.data.manifest import Stored
from trainer.errors import InputError
from trainer.features.preparation import Preparation

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(32, CORES + 2)  # decoding releases the interpreter; some wait for the disk
TOGETHER = 8  # pictures that one task reads: what is sent between processes is sent in pieces of about 1 MB


class Wanted(NamedTuple):
    """One picture, and the rows that show it."""

    rows: tuple[int, ...]
    images: tuple[Stored | bytes, ...]  # for each row, where its copy is
    content: str  # SHA-256 hex of the bytes that were listed


class Prepared(NamedTuple):
    """What became of it."""

    row: int  # one that shows the picture
    pixels: np.ndarray | None  # uint8 [3, height, width], None if no copy can be used
    bad: dict[int, str]  # row → why its copy cannot be used


class Feed:
    """Iterate to get a :class:`Prepared` for each picture wanted, in order; memory stays bounded."""

    def __init__(
        self, wanted: Iterable[Wanted], preparation: Preparation, *, processes: int, ahead: int
    ) -> None:
        """Begin nothing yet.

        Args:
            processes: how many processes decode; with 0 it is threads of this one, which start at once.
            ahead: how many pictures may be in work or waiting.
        """
        self._wanted, self._preparation = iter(wanted), preparation
        self._tasks = max(ahead // TOGETHER, 2)
        self._pools: list[Executor] = []
        if processes:
            self.use_processes(processes)
        else:
            self._pools.append(ThreadPoolExecutor(THREADS))

    def use_processes(self, count: int) -> None:
        """From the next picture on, decode in ``count`` processes. What is in work is finished where it is.

        Processes are born afresh (spawn): a copy of this one would share its CUDA context and its locks.
        """
        context = multiprocessing.get_context("spawn")
        self._pools.append(ProcessPoolExecutor(count, mp_context=context, initializer=_be_a_worker))
        self._tasks = max(self._tasks, 2 * count)

    def __iter__(self) -> Iterator[Prepared]:
        """Raises InputError when a decoding process dies."""
        queue: deque[Future[list[Prepared]]] = deque()
        try:
            while task := list(islice(self._wanted, TOGETHER)):
                queue.append(self._pools[-1].submit(_prepare_all, task, self._preparation))
                if len(queue) > self._tasks:
                    yield from queue.popleft().result()
            while queue:
                yield from queue.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                "A process that decodes pictures was killed, most often for want of memory. What was encoded "
                "is kept: run again with fewer --workers, or with --workers 0 to decode in threads."
            ) from error

    def close(self) -> None:
        """Begin nothing more: Ctrl-C does not wait for pictures that nobody will encode."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


def prepare(wanted: Wanted, preparation: Preparation) -> Prepared:
    """Read and decode one picture, which several rows may share: a copy that is gone leaves the others."""
    bad: dict[int, str] = {}
    for row, image in zip(wanted.rows, wanted.images, strict=True):
        try:
            data = _read(image, wanted.content)
        except Undecodable as error:
            bad[row] = error.reason
            continue
        try:
            image_hwc = decode(data, least=preparation.least)
        except Undecodable as error:  # the same bytes everywhere: no copy is better
            return Prepared(row, None, bad | {one: error.reason for one in wanted.rows if one not in bad})
        return Prepared(row, preparation.pixels(image_hwc), bad)
    return Prepared(wanted.rows[0], None, bad)


def _prepare_all(task: list[Wanted], preparation: Preparation) -> list[Prepared]:
    return [prepare(wanted, preparation) for wanted in task]


def _read(image: Stored | bytes, content: str) -> bytes:
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise Undecodable(
            f"was there when the data was listed, now cannot be read: {error.strerror or error}"
        ) from error
    if hashlib.sha256(data).hexdigest() != content:
        raise Undecodable("changed since the data was listed")
    return data


def _be_a_worker() -> None:
    """Leave Ctrl-C to the parent; end when it ends, even by SIGKILL: a pool's queue would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
