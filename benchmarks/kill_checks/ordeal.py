"""Kill one command again and again, and count what is wrong afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.kill_checks.scene import (
    Items,
    Scene,
    artifacts,
    cached,
    check_database,
    digest,
    files_below,
    read_whole,
    runs_of,
    strays,
    studies,
    twice_below,
)
from tests.support import commands
from trainer.core.console import say
from trainer.tracking.schema import Artifact

COUNTS = (
    *("kills", "in_work", "ended", "lost", "doubled", "unreadable", "running", "strays", "orphans"),
    *("failed", "changed"),
)
FAULTS = COUNTS[3:]
ORPHAN_S = 10.0  # how long processes of a killed command may live on


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        words: its arguments, beside the store, the cache and the study.
        record: the pieces of finished work in the artifacts of its run; None: it keeps no study.
        before: puts the scene into the state in which a new series of kills begins.
        constants: see `commands.start`.
        stored: it takes a store.
        keeps_cache: vectors, once stored, stay; else all of a key go at once.
        same_in_the_end: the finished work is that of an undisturbed command.
        right: exit codes of a command that came to its end.
    """

    name: str
    module: str
    words: Callable[[Scene], Sequence[object]]
    record: Callable[[Path], Items] | None = None
    before: Callable[[Scene], None] = lambda scene: None
    constants: Mapping[str, object] = field(default_factory=dict)
    stored: bool = True
    keeps_cache: bool = True
    same_in_the_end: bool = True
    right: tuple[int, ...] = (0,)

    def flags(self, scene: Scene, study: str) -> list[object]:
        """Return what tells the command where to work."""
        where: list[object] = ["--cache-dir", scene.cache]
        if self.stored:
            where += ["--tracking-uri", scene.uri, "--device", "cpu"]
        return [*where, "--study", study] if self.record is not None else where


@dataclass
class Sight:
    """What lies in the scene: `items` are pieces of finished work."""

    items: Items = field(default_factory=dict)
    doubled: int = 0
    unreadable: list[str] = field(default_factory=list)


class Ordeal:
    """Kills of one case; `figures` counts them and what was wrong."""

    def __init__(self, case: Case, scene: Scene, *, seed: int, progress: Callable[[int], None]) -> None:
        self.figures = dict.fromkeys(COUNTS, 0)
        self.messages: list[str] = []
        self._case, self._scene = case, scene
        self._random = np.random.default_rng(seed)
        self._progress = progress
        self._series = 0
        self._whole_s = self._took_s = 0.0

    def run(self, kills: int) -> None:
        """Let the command run undisturbed once, then kill it so often."""
        self._case.words(self._scene)  # makes its data
        self._case.before(self._scene)
        status = self._attempt(None)
        self._whole_s = self._took_s
        if status != 0:
            return
        calm = self._look().items
        while self.figures["kills"] < kills and self.figures["failed"] == 0:
            self._series += 1
            self._case.before(self._scene)
            self._survive(kills, calm)

    def _survive(self, kills: int, calm: Items) -> None:
        """Kill one piece of work until it is done all the same."""
        before, status = self._look(), -signal.SIGKILL
        while status == -signal.SIGKILL:
            left = self.figures["kills"] < kills
            status = self._attempt(self._moment_s() if left else None)
            if status not in (*self._case.right, -signal.SIGKILL):
                return
            after = self._look()
            self._compare(before, after)
            self.figures["in_work"] += status < 0 and before.items != after.items != calm
            before = after
            self._progress(self.figures["kills"])
        self.figures["ended"] += 1
        self._check_end(before, calm)

    def _moment_s(self) -> float:
        """When to kill: anywhere, or, half of the time, in the last part, where short work is done at all."""
        first = 0.7 if self._random.random() < 0.5 else 0.0
        return float(self._random.uniform(first, 1.02)) * self._whole_s

    def _attempt(self, kill_after_s: float | None) -> int:
        """Run the command, killed at that time; returns its exit status."""
        case, scene = self._case, self._scene
        started = commands.start(
            *(case.module, *case.words(scene), *case.flags(scene, self._study)),
            folder=scene.folder,
            environment={"TMPDIR": str(scene.temporary)},
            constants=case.constants,
            alone=True,
        )
        began = time.perf_counter()
        status = started.wait(kill_after_s)
        if status is None:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(started.pid, signal.SIGKILL)
            status = started.wait()
        assert status is not None
        self._took_s = time.perf_counter() - began
        self.figures["kills"] += status == -signal.SIGKILL
        self.figures["orphans"] += bool(living(started.pid))
        if status not in (*case.right, -signal.SIGKILL):
            self._fault("failed", f"ended with status {status}: {started.said()[-2000:]}")
        return status

    @property
    def _study(self) -> str:
        return f"{self._case.name}-{self._series}"

    def _look(self) -> Sight:
        sight = Sight()
        try:
            check_database(self._scene)
            sight.items, sight.doubled = cached(self._scene)
            if self._case.record is not None:
                self._look_at_study(sight, self._case.record)
        except Exception as error:  # whichever it is: what cannot be read is what is counted here
            sight.unreadable.append(f"{type(error).__name__}: {error}")
        for path in files_below(self._scene.out):
            self._read(sight, path)
            content = path.read_bytes().replace(self._study.encode(), b"")  # a report quotes its command
            sight.items[f"out/{path.name}"] = digest(content)
        return sight

    def _look_at_study(self, sight: Sight, record: Callable[[Path], Items]) -> None:
        found = studies(self._scene, self._study)
        sight.doubled += max(0, len(found) - 1)
        for run in found:
            sight.doubled += twice_below(self._scene, run)
            folder = artifacts(run)
            for path in files_below(folder):
                self._read(sight, path)
            sight.items |= record(folder)
            summary = folder / Artifact.SUMMARY
            if summary.exists():
                sight.items[Artifact.SUMMARY] = digest(summary.read_bytes())

    def _read(self, sight: Sight, path: Path) -> None:
        try:
            read_whole(path)
        except Exception as error:
            sight.unreadable.append(f"{path}: {type(error).__name__}: {error}")

    def _compare(self, before: Sight, after: Sight) -> None:
        if not self._case.keeps_cache and after.items and after.items != before.items:
            self._fault("lost", f"half of a key: {len(after.items)} of {len(before.items)} vectors")
        for item, was in before.items.items() if self._case.keeps_cache else ():
            if after.items.get(item) != was:
                self._fault("lost", f"{item}: {'is another' if item in after.items else 'missing'}")
        for one in after.unreadable:
            self._fault("unreadable", one)
        if after.doubled > before.doubled:
            self._fault("doubled", f"{after.doubled} items")

    def _check_end(self, sight: Sight, calm: Items) -> None:
        """What must be so after a command that came to its end."""
        for run in runs_of(self._scene, "attributes.status = 'RUNNING'"):
            self._fault("running", run.info.run_id)
        for path in strays(self._scene):
            self._fault("strays", str(path.relative_to(self._scene.folder)))
        ours = {item: was for item, was in sight.items.items() if item != Artifact.SUMMARY}
        theirs = {item: was for item, was in calm.items() if item != Artifact.SUMMARY}
        if ours != theirs and self._case.same_in_the_end:
            several = sorted(set(ours.items()) ^ set(theirs.items()))
            self._fault(
                "changed", f"{len(several)} items are not those of an undisturbed command: {several[:4]}"
            )

    def _fault(self, kind: str, message: str) -> None:
        self.figures[kind] += 1
        self.messages.append(f"{kind}: {message}")
        say(f"{self._case.name}: {kind}: {message}")


def living(session: int) -> list[int]:
    """Return the processes of a session that still run after `ORPHAN_S`, and end them."""
    until = time.monotonic() + ORPHAN_S
    while (found := _processes(session)) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return found


def _processes(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[3]) == session and after_name[0] != "Z":
            found.append(int(path.parent.name))
    return found
