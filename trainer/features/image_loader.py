"""Images on their way to the encoder: read, decoded and prepared ahead, in threads or in processes."""

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

from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode_sized
from trainer.data.manifest import StoredImage
from trainer.features.image_augmentation import AugmentationSpec, crop, draw
from trainer.features.image_measures import measures_of
from trainer.features.preprocessing import Preparation

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(32, CORES + 2)  # decoding releases the interpreter; some wait for the disk
TOGETHER = 8  # images that one task reads: what is sent between processes is sent in pieces of about 1 MB


class ImageRequest(NamedTuple):
    """One image, and the rows that show it."""

    rows: tuple[int, ...]
    images: tuple[StoredImage | bytes, ...]  # for each row, where its copy is
    content: str  # SHA-256 hex of the bytes that were listed
    views: tuple[int, ...]  # what to make of it: 0 is the image as it is, 1, 2, … stray from it
    measure: bool  # whether it is to be measured, too


class View(NamedTuple):
    """One view of one image, for the encoder."""

    number: int
    pixels: np.ndarray  # uint8 [3, height, width]
    colours: (
        np.ndarray | None
    )  # float32 [5], see trainer.features.image_augmentation.Drawn; None for the image as it is


class Prepared(NamedTuple):
    """What became of it."""

    row: int  # one that shows the image
    views: list[View]  # those that were wanted; none if no copy can be used
    measures: np.ndarray | None  # float64 [M], None if none were wanted or no copy can be used
    bad: dict[int, str]  # row → why its copy cannot be used


class ImageLoader:
    """Iterate to get a :class:`Prepared` for each image wanted, in order; memory stays bounded."""

    def __init__(
        self,
        wanted: Iterable[ImageRequest],
        preparation: Preparation,
        *,
        augmentation: AugmentationSpec | None = None,
        processes: int,
        ahead: int,
    ) -> None:
        """Begin nothing yet.

        Args:
            augmentation: how views other than 0 differ from the image; None where only that is wanted.
            processes: how many processes decode; with 0 it is threads of this one, which start at once.
            ahead: how many images may be in work or waiting.
        """
        self._wanted, self._how = iter(wanted), (preparation, augmentation)
        self._tasks = max(ahead // TOGETHER, 2)
        self._pools: list[Executor] = []
        if processes:
            self.use_processes(processes)
        else:
            self._pools.append(ThreadPoolExecutor(THREADS))

    def keep_ahead(self, images: int) -> None:
        """Let so many images be in work or waiting, if that is more than before."""
        self._tasks = max(self._tasks, images // TOGETHER)

    def use_processes(self, count: int) -> None:
        """From the next image on, decode in ``count`` processes. What is in work is finished where it is.

        Processes are born afresh (spawn): a copy of this one would share its CUDA context and its locks.
        """
        context = multiprocessing.get_context("spawn")
        self._pools.append(ProcessPoolExecutor(count, mp_context=context, initializer=_init_worker))
        self._tasks = max(self._tasks, 2 * count)

    def __iter__(self) -> Iterator[Prepared]:
        """Raises InputError when a decoding process dies."""
        queue: deque[Future[list[Prepared]]] = deque()
        try:
            while task := list(islice(self._wanted, TOGETHER)):
                queue.append(self._pools[-1].submit(_prepare_all, task, *self._how))
                if len(queue) > self._tasks:
                    yield from queue.popleft().result()
            while queue:
                yield from queue.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                "A process that decodes images was killed, most often for want of memory. What was encoded "
                "is kept: run again with fewer --workers, or with --workers 0 to decode in threads."
            ) from error

    def close(self) -> None:
        """Begin nothing more: Ctrl-C does not wait for images that nobody will encode."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


def prepare(
    wanted: ImageRequest, preparation: Preparation, augmentation: AugmentationSpec | None
) -> Prepared:
    """Read and decode one image, which several rows may share: a copy that is gone leaves the others."""
    bad: dict[int, str] = {}
    for row, image in zip(wanted.rows, wanted.images, strict=True):
        try:
            data = _read(image, wanted.content)
        except DecodeError as error:
            bad[row] = error.reason
            continue
        try:
            decoded = decode_sized(data, least=preparation.least)
            measures = measures_of(data, decoded, least=preparation.least) if wanted.measure else None
        except DecodeError as error:  # the same bytes everywhere: no copy is better
            also = {one: error.reason for one in wanted.rows if one not in bad}
            return Prepared(row, [], None, bad | also)
        views = [
            _view(decoded.image_hwc, number, wanted.content, preparation, augmentation)
            for number in wanted.views
        ]
        return Prepared(row, views, measures, bad)
    return Prepared(wanted.rows[0], [], None, bad)


def _view(
    image_hwc: np.ndarray,
    number: int,
    content: str,
    preparation: Preparation,
    augmentation: AugmentationSpec | None,
) -> View:
    if number == 0:
        return View(0, preparation.pixels(image_hwc), None)
    assert augmentation is not None
    drawn = draw(augmentation.how, content, number, seed=augmentation.seed)
    cut = crop(image_hwc, drawn, shape=preparation.shape, resample=preparation.resample)
    return View(number, cut, drawn.colours)


def _prepare_all(
    task: list[ImageRequest], preparation: Preparation, augmentation: AugmentationSpec | None
) -> list[Prepared]:
    return [prepare(wanted, preparation, augmentation) for wanted in task]


def _read(image: StoredImage | bytes, content: str) -> bytes:
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise DecodeError(
            f"was there when the data was listed, now cannot be read: {error.strerror or error}"
        ) from error
    if hashlib.sha256(data).hexdigest() != content:
        raise DecodeError("changed since the data was listed")
    return data


def _init_worker() -> None:
    """Leave Ctrl-C to the parent; end when it ends, even by SIGKILL: a pool's queue would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
