"""The vectors of a key that many processes fill: in a bucket, or in a folder that machines share.

    KEY/key.json                 what the key stands for; create-only
    KEY/<name>.safetensors       a shard, named by its content as in a folder (`trainer.features.shard`)
    KEY/tasks/<task>.json        create-only, last: the shard of the task, and which images are corrupt
    KEY/attempts/<task>/…        which workers are at it, or were killed by it

A shard that no marker names does not count: its writer was killed, or another one was first. Such orphans do
no harm, and are deleted by `collect_orphans`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError
from trainer.features.shard import KEY_FILE, ShardNote, notes_in, write_file, write_note
from trainer.storing.commit import commit_once, parse_marker
from trainer.storing.location import Location, Stored

TASKS, ATTEMPTS = "tasks", "attempts"
SUFFIX = ".safetensors"
AT_ONCE = 16  # requests
YOUNG = timedelta(days=7)  # an orphan so young may be one of a writer that has not committed yet


@dataclass(frozen=True)
class Task:
    """What a worker has to encode, or has encoded.

    Attributes:
        name: of the marker.
        bad: content → why an image of the task is corrupt.
        facts: what else is worth to be on record, such as device and batch size.
    """

    name: str
    bad: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Marker:
    """A committed task."""

    task: Task
    note: ShardNote | None  # of its shard; None if all of its images were stored before, or are corrupt
    own: bool = False  # this process committed it


def task_name(key: str, content: Sequence[str]) -> str:
    """Return the name of the task that makes the vectors of these images under a key, or several."""
    return hashlib.sha256("\n".join([key, *sorted(content)]).encode()).hexdigest()[:32]


class SharedKey:
    """The shards and markers of one key at a location."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._markers: dict[str, Marker] = {}  # they never change

    def write_key(self, data: bytes) -> None:
        """Write what the key stands for. Raises InputError if it stands for something else there."""
        if not self._location.put_new(KEY_FILE, data) and self._location.get(KEY_FILE) != data:
            raise InputError(
                f"{self._location.address}/{KEY_FILE} is that of another encoder. Remove the key: python -m "
                "trainer.cache prune."
            )

    def done(self) -> set[str]:
        """Return the names of the committed tasks."""
        return {Path(one.name).stem for one in self._location.entries(TASKS)}

    def markers(self) -> list[Marker]:
        """Return all committed tasks, by name; markers that vanish meanwhile are left out."""
        done = sorted(self.done())
        new = [name for name in done if name not in self._markers]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, marker in zip(new, pool.map(self._read_marker, new), strict=True):
                if marker is not None:
                    self._markers[name] = marker
        return [self._markers[name] for name in done if name in self._markers]

    def _read_marker(self, name: str) -> Marker | None:
        try:
            return _marker(name, parse_marker(self._location, _path(name)))
        except FileNotFoundError:
            return None

    def commit(self, task: Task, note: ShardNote | None, data: bytes) -> Marker:
        """Store a shard, then commit its task, unless another process has: see `commit_once`.

        Args:
            note: None if there is no shard.

        Returns:
            The marker that stands.
        """
        if note is not None:
            self._location.put(f"{note.name}{SUFFIX}", data)
        body = {"bad": task.bad, **task.facts} | ({} if note is None else asdict(note))
        won, standing = commit_once(self._location, _path(task.name), body)
        marker = _marker(task.name, standing, own=won)
        self._markers[task.name] = marker
        return marker

    def begin(self, task: str, worker: str) -> int:
        """Put on record that a worker begins a task.

        Args:
            worker: a name that it has again when it is started anew.

        Returns:
            How often it began the task before and came to no end: it was killed.
        """
        before = len(self._location.entries(f"{ATTEMPTS}/{task}/{worker}"))
        self._location.put(f"{ATTEMPTS}/{task}/{worker}/{secrets.token_hex(8)}.json", b"{}")
        return before

    def end(self, task: str, worker: str) -> None:
        """Take off the record that a worker began a task."""
        for one in self._location.entries(f"{ATTEMPTS}/{task}/{worker}"):
            self._location.delete(one.name)

    def pull(self, folder: Path) -> list[str]:
        """Make the shards in a folder on this machine those that are committed.

        Returns:
            Messages on shards that are damaged at the location; their images count as missing.
        """
        there = {note.stem for note in notes_in(folder)}  # before: whatever is copied was committed
        notes = {one.note.name: one.note for one in self.markers() if one.note is not None}
        for name in there - notes.keys():
            for suffix in (".json", SUFFIX):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
        missing = sorted(notes.keys() - there)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda name: self._copy(folder, notes[name]), missing)
        return [message for message in found if message]

    def _copy(self, folder: Path, note: ShardNote) -> str:
        """Copy a shard. Returns a message if it is damaged."""
        data = self._intact(note)
        if data is None:
            self.forget(note.name)
            return (
                f"Damaged shard {self._location.address}/{note.name}{SUFFIX} (its SHA-256 does not match) "
                "was taken off the record; its vectors count as missing."
            )
        write_file(folder / f"{note.name}{SUFFIX}", data)
        write_note(folder, note)
        return ""

    def _intact(self, note: ShardNote) -> bytes | None:
        """Return the bytes of a shard; None if it is missing or damaged."""
        try:
            data = self._location.get(f"{note.name}{SUFFIX}")
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == note.sha256 else None

    def is_intact(self, note: ShardNote) -> bool:
        """Return whether a shard is what its note says."""
        return self._intact(note) is not None

    def forget(self, name: str) -> None:
        """Take a damaged shard off the record, so that its task is done again."""
        for marker in self.markers():
            if marker.note is not None and marker.note.name == name:
                self.undo(marker.task.name)

    def undo(self, task: str) -> None:
        """Take a task off the record."""
        self._location.delete(_path(task))
        self._markers.pop(task, None)

    def discard(self, name: str) -> None:
        """Delete a shard that no marker names."""
        self._location.delete(f"{name}{SUFFIX}")

    def orphans(self) -> list[Stored]:
        """Return the shards that no marker names."""
        shards = [one for one in self._location.entries() if _is_shard(one.name)]  # before the markers
        named = {one.note.name for one in self.markers() if one.note is not None}
        return [one for one in shards if Path(one.name).stem not in named]

    def collect_orphans(self, older_than: timedelta = YOUNG) -> tuple[list[Stored], list[Stored]]:
        """Delete old orphans.

        Returns:
            All orphans, and those that were deleted.
        """
        found, now = self.orphans(), datetime.now(UTC)
        old = [one for one in found if now - one.modified >= older_than]
        for one in old:
            self._location.delete(one.name)
        return found, old

    def remove(self) -> None:
        """Delete the key: its markers first, so that no reader sees a marker without its shard."""
        entries = self._location.entries()
        for one in sorted(entries, key=lambda one: not one.name.startswith(TASKS)):
            with suppress(FileNotFoundError):
                self._location.delete(one.name)


def _path(task: str) -> str:
    return f"{TASKS}/{task}.json"


def _is_shard(name: str) -> bool:
    return name.endswith(SUFFIX) and "/" not in name


def _marker(name: str, body: dict[str, Any], *, own: bool = False) -> Marker:
    """Return a marker. Raises InputError if it makes no sense."""
    body = dict(body)
    try:
        bad = {str(one): str(why) for one, why in body.pop("bad").items()}
        note = None
        if "sha256" in body:
            fields = [body.pop(one) for one in ("sha256", "n", "d", "imported")]
            note = ShardNote(str(fields[0]), int(fields[1]), int(fields[2]), str(fields[3]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"The marker of the task {name} makes no sense. Delete it, then run again."
        ) from None
    return Marker(Task(name, bad, body), note, own)
