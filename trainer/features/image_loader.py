"""Read, decode and preprocess images ahead of the encoder, in threads or processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core import signals
from trainer.core.errors import InputError
from trainer.core.memory import MemoryBudget
from trainer.data import image_memory
from trainer.data.bit_depth import ScaledImage  # it checks its file itself
from trainer.data.decode import OUT_OF_RESOURCES, DecodeError, decode_sized
from trainer.data.files import read_image
from trainer.data.image_memory import reserved
from trainer.data.manifest import StoredImage
from trainer.features.image_augmentation import AugmentationSpec, crop, draw
from trainer.features.image_measures import measure_stored_image
from trainer.features.preprocessing import Preparation

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(32, CORES + 2)  # decoding releases the GIL; some wait for the disk
IMAGES_PER_TASK = 8  # images per task; sends about 1 MB at a time between processes


class ImageRequest(NamedTuple):
    """An image to load, and the rows that have it."""

    rows: tuple[int, ...]
    images: tuple[StoredImage | bytes, ...]  # one per row
    content: str  # SHA-256 hex of the listed bytes
    views: tuple[int, ...]  # 0: the original image; 1, 2, …: augmented views
    measure: bool  # whether to measure it


class View(NamedTuple):
    """A preprocessed view of an image."""

    number: int
    pixels: np.ndarray  # uint8 [3, height, width]
    colours: (
        np.ndarray | None
    )  # float32 [5], see trainer.features.image_augmentation.ViewParameters; None for the image as it is


class Prepared(NamedTuple):
    """Result of an `ImageRequest`."""

    row: int  # a row that has the image
    views: list[View]  # the requested views; none if every copy is corrupt
    measures: np.ndarray | None  # float64 [M], None if not requested or every copy is corrupt
    bad: dict[int, str]  # row → why its copy cannot be used


class ImageLoader:
    """Iterate over requests to get a :class:`Prepared` for each, in order, with bounded memory."""

    def __init__(
        self,
        requests: Iterable[ImageRequest],
        preparation: Preparation,
        *,
        augmentation: AugmentationSpec | None = None,
        processes: int,
        ahead: int,
    ) -> None:
        """Create the loader; loading starts with iteration.

        Args:
            augmentation: settings of views other than 0; None if only view 0 is requested.
            processes: number of decoding processes; 0: threads.
            ahead: maximum number of images loaded ahead.
        """
        self._requests, self._how = iter(requests), (preparation, augmentation)
        self._tasks = max(ahead // IMAGES_PER_TASK, 2)
        self._pools: list[Executor] = []
        if processes:
            self.use_processes(processes)
        else:
            self._pools.append(ThreadPoolExecutor(THREADS))

    def keep_ahead(self, images: int) -> None:
        """Increase the number of images loaded ahead."""
        self._tasks = max(self._tasks, images // IMAGES_PER_TASK)

    def use_processes(self, count: int) -> None:
        """Decode in ``count`` processes from the next image on.

        Workers are spawned: a fork would share the CUDA context and held locks.
        """
        context = multiprocessing.get_context("spawn")
        budget = MemoryBudget(image_memory.current().limit, processes=True)
        self._pools.append(
            ProcessPoolExecutor(count, mp_context=context, initializer=_init_worker, initargs=(budget,))
        )
        self._tasks = max(self._tasks, 2 * count)

    def __iter__(self) -> Iterator[Prepared]:
        """Yield results in order. Raises InputError if a decoding process dies."""
        queue: deque[Future[list[Prepared]]] = deque()
        try:
            while task := list(islice(self._requests, IMAGES_PER_TASK)):
                with signals.held():  # a pool of which a thread was half started cannot be shut down
                    queue.append(self._pools[-1].submit(_prepare_all, task, *self._how))
                if len(queue) > self._tasks:
                    yield from queue.popleft().result()
            while queue:
                yield from queue.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                "A process that decodes images was killed, probably for lack of memory. Encoded images are "
                "cached: run again with fewer --workers, or with --workers 0 to decode in threads."
            ) from error

    def close(self) -> None:
        """Cancel pending images, so that Ctrl-C does not wait for them."""
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


def prepare(
    request: ImageRequest, preparation: Preparation, augmentation: AugmentationSpec | None
) -> Prepared:
    """Read, decode and preprocess an image; a missing copy does not affect the rows of other copies."""
    bad: dict[int, str] = {}
    for row, image in zip(request.rows, request.images, strict=True):
        try:
            # of a file the header alone is read before there is memory for it
            source = image if isinstance(image, Path | ScaledImage) else _read(image, request.content)
            with reserved(source, min_side=preparation.min_side):
                data = source if isinstance(source, bytes) else _read(source, request.content)
                views, measures = _views_and_measures(data, request, preparation, augmentation)
        except _Unreadable as error:
            bad[row] = error.reason
            continue
        except DecodeError as error:  # all copies have the same bytes
            also = {one: error.reason for one in request.rows if one not in bad}
            return Prepared(row, [], None, bad | also)
        return Prepared(row, views, measures, bad)
    return Prepared(request.rows[0], [], None, bad)


def _views_and_measures(
    data: bytes, request: ImageRequest, preparation: Preparation, augmentation: AugmentationSpec | None
) -> tuple[list[View], np.ndarray | None]:
    """Decode once for all views and the measures."""
    decoded = decode_sized(data, min_side=preparation.min_side)
    views = [
        _view(decoded.image_hwc, number, request.content, preparation, augmentation)
        for number in request.views
    ]
    if not request.measure:
        return views, None
    return views, measure_stored_image(data, decoded, min_side=preparation.min_side)


class _Unreadable(DecodeError):
    """A copy cannot be read, or has changed; others may be intact."""


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
    return [prepare(request, preparation, augmentation) for request in task]


def _read(image: StoredImage | bytes, content: str) -> bytes:
    try:
        data = read_image(image)
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise
        raise _Unreadable(f"can no longer be read: {error.strerror or error}") from error
    except DecodeError as error:  # of a 16-bit image, which checks itself
        raise _Unreadable(error.reason) from error
    if not isinstance(image, ScaledImage) and hashlib.sha256(data).hexdigest() != content:
        raise _Unreadable("changed since the data was listed")
    return data


def _init_worker(budget: MemoryBudget) -> None:
    """Take memory from a common budget."""
    image_memory.use(budget)
    signals.end_with_parent()
