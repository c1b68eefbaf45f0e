"""Encode one of N parts of the images, then what the other parts have left; no process leads.

Each worker knows the whole plan and reads what is committed from the store that all share. A task done twice
is harmless: only the first commit counts (`trainer.storing.commit`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from trainer.data.manifest import Manifest, Quarantined, rows_by_value
from trainer.features.encoding_loop import LazyEncoder, Work, encode_missing
from trainer.features.image_measures import measures_store
from trainer.features.settings import EncoderSettings
from trainer.features.shared_key import Task
from trainer.features.store import FeatureStore
from trainer.features.task_plan import PlannedTask, next_tasks, plan_tasks

MOST_DEATHS = 4  # of a worker by one task, before the task is given up


@dataclass
class PartReport:
    """What one worker did, and found done."""

    tasks: int = 0  # of all parts
    own: int = 0  # tasks of its part that it did
    stolen: int = 0  # tasks of other parts that it did
    others: int = 0  # tasks done by other workers, or before
    encoded: int = 0  # distinct images
    encoder_calls: int = 0  # forward passes
    images: int = 0  # distinct images of all tasks
    quarantined: tuple[Quarantined, ...] = ()  # by any worker
    warnings: list[str] = field(default_factory=list)


class TaskBuffer:
    """Collects the vectors of a task for a store, and commits them together."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self.folder, self.warnings = store.folder, store.warnings
        self._content: list[str] = []
        self._sample_id: list[str] = []
        self._vectors: list[np.ndarray] = []

    def __contains__(self, content: str) -> bool:
        return content in self._store

    def check_disk_space(self, count: int, width: int) -> None:
        """Check the disk space as :meth:`FeatureStore.check_disk_space`."""
        self._store.check_disk_space(count, width)

    def append(self, content: Sequence[str], vectors_nd: np.ndarray, *, sample_id: Sequence[str]) -> None:
        """Collect vectors, float32 [N, D]."""
        self._content += content
        self._sample_id += sample_id
        self._vectors.append(vectors_nd)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock nothing: other workers write at the same time."""
        yield

    def commit(self, task: Task, *, always: bool) -> None:
        """Commit what was collected as the task.

        Args:
            always: also if that is nothing.
        """
        if self._vectors:
            vectors_nd = np.concatenate(self._vectors)
            self._store.append(self._content, vectors_nd, sample_id=self._sample_id, task=task)
        elif always:
            self._store.commit(task)


class PartWorker:
    """One worker of an extraction with one encoder."""

    def __init__(self, manifest: Manifest, settings: EncoderSettings, part: int, parts: int) -> None:
        """Open the stores. Every shard that is there is read.

        Args:
            part: from 0.

        Raises:
            InputError: the encoder is not available; the store cannot be used.
        """
        cache = settings.cache_dir / "features"
        keys = [settings.key(view) for view in range(settings.views + 1)]
        self._manifest, self._settings, self._part = manifest, settings, part
        self._stores = [FeatureStore(cache, key, shared=True) for key in keys]
        self._measures = measures_store(cache, shared=True) if settings.measure else None
        self._rows = rows_by_value(manifest.content)
        self._lazy = LazyEncoder(settings)
        self._name = f"{platform.node()}:{os.getpid()}"
        self._number = f"{part + 1}-of-{parts}"  # which a worker has again when it is started anew
        digest = hashlib.sha256("".join(key.digest for key in keys).encode()).hexdigest()
        self.plan = plan_tasks(manifest.content, digest, parts=parts)
        self._stored = {task.name for task in self.plan if self._is_stored(task)}
        self._mend()
        self.report = PartReport(tasks=len(self.plan), images=len(self._rows))

    def _is_stored(self, task: PlannedTask) -> bool:
        return all(
            one in store
            for view, store in enumerate(self._stores)
            for one in task.content
            if view == 0 or self._is_trained_on(one)
        )

    def _is_trained_on(self, content: str) -> bool:
        """Return whether an image has views other than 0."""
        return any(self._manifest.split_n[row] == "train" for row in self._rows[content])

    def _mend(self) -> None:
        """Do again what is committed, and yet missing."""
        committed = self._stores[0].committed()
        missing = {
            task.name: task.content
            for task in self.plan
            if task.name in committed and not all(one in self._stores[0] for one in task.content)
        }
        if missing:
            self._stores[0].mend(missing)

    def done(self) -> set[str]:
        """Return the names of the finished tasks of the plan."""
        return (self._stores[0].committed() & {task.name for task in self.plan}) | self._stored

    def run(self, progress: Callable[[int, int], None] | None = None) -> PartReport:
        """Do tasks until none of the plan is left.

        Args:
            progress: called with (distinct images done by anybody, distinct images).

        Raises:
            InputError: as :func:`extract`.
        """
        start = secrets.randbelow(1 << 30)
        while True:
            done = self.done()
            if progress is not None:
                progress(sum(len(task.content) for task in self.plan if task.name in done), len(self._rows))
            task = next(next_tasks(self.plan, self._part, done, start=start), None)
            if task is None:
                break
            self._do(task)
        self.report.others = len(self.plan) - self.report.own - self.report.stolen
        self.report.quarantined = self._quarantined()
        stores = self._stores if self._measures is None else [*self._stores, self._measures]
        self.report.warnings += [warning for store in stores for warning in store.warnings]
        return self.report

    def _do(self, planned: PlannedTask) -> None:
        """Do a task, or give it up if it has killed this worker too often."""
        store = self._stores[0]
        deaths = store.begin(planned.name, self._number)
        try:
            if deaths < MOST_DEATHS:
                self._encode(planned)
            else:
                reason = f"a task of {len(planned.content)} images with it killed its worker {deaths} times"
                store.commit(Task(planned.name, {one: reason for one in planned.content if one not in store}))
        finally:  # also when it is interrupted; only a death leaves its mark
            store.end(planned.name, self._number)
        if planned.owner == self._part:
            self.report.own += 1
        else:
            self.report.stolen += 1

    def _encode(self, planned: PlannedTask) -> None:
        """Encode a task and commit it: measures first, view 0, by which others see that it is done, last."""
        began = time.perf_counter()
        rows = sorted(row for one in planned.content for row in self._rows[one])
        some = self._manifest.take(rows)
        buffers = [TaskBuffer(store) for store in self._stores]
        measures = None if self._measures is None else TaskBuffer(self._measures)
        work = encode_missing(some, buffers, self._lazy, self._settings, measures=measures)
        task = self._record(planned, some, work, time.perf_counter() - began)
        for buffer in ([] if measures is None else [measures]) + buffers[:0:-1]:
            buffer.commit(task, always=False)
        buffers[0].commit(task, always=True)
        self.report.encoded += work.encoded
        self.report.encoder_calls += work.calls
        self.report.warnings += work.messages

    def _record(self, planned: PlannedTask, some: Manifest, work: Work, elapsed_s: float) -> Task:
        bad = {some.content[row]: reason for row, reason in work.bad.items()}
        facts = {
            "device": self._settings.device,
            "batch_size": work.batch_size,
            "worker": self._name,
            "elapsed_s": round(elapsed_s, 3),
        }
        return Task(planned.name, bad, facts)

    def _quarantined(self) -> tuple[Quarantined, ...]:
        """Return the rows whose image some worker found corrupt."""
        planned = {task.name for task in self.plan}
        bad: dict[str, str] = {}
        for task in self._stores[0].tasks():
            if task.name in planned:
                bad |= task.bad
        return tuple(
            Quarantined(self._manifest.sample_id[row], reason)
            for one, reason in sorted(bad.items())
            for row in self._rows[one]
        )
