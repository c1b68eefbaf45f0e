"""Who writes a run: a lock beside its artifacts, which the system takes back when the process dies.

Where the artifacts are on a server, only the heartbeat tells.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from trainer.core import scratch
from trainer.core.errors import InputError
from trainer.core.process_lock import LockHeld, take
from trainer.tracking.client import local_folder
from trainer.tracking.database import is_on_network
from trainer.tracking.schema import HEARTBEAT_LOST_S, Tag

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow.entities import Run


class TakenOver(InputError):
    """Another process has gone on with the study while this one was silent."""

    def __init__(self, study: str) -> None:
        super().__init__(
            f"The study {study} was taken over by another process, because this one gave no sign of life for "
            f"more than {HEARTBEAT_LOST_S:.0f} s. It goes on there; nothing more is written here."
        )


LOOK_S = 1.0  # longer than another process takes to see whether a lock is held


def claim(run: Run) -> BaseFileLock | None:
    """Make sure that this process alone writes the run, and remove what a killed one left half-written.

    A killed sweep can be resumed at once. None: the artifacts are not in a local folder.

    Raises:
        InputError: another process writes it.
    """
    folder = local_folder(run.info.artifact_uri)
    if folder is None:
        return None
    try:
        lock = take(_path(folder), wait_s=LOOK_S)
    except LockHeld as holder:
        raise busy(run, f": {holder}" if holder.is_known else "") from holder
    remove_leftovers(folder)
    return lock


def is_lost(run: Run, *, silent: bool) -> bool:
    """Return whether the process that claimed the run is gone.

    Args:
        silent: its heartbeat is old, or of the future, as after a clock was set. Asked where no lock tells.
    """
    folder = local_folder(run.info.artifact_uri)
    locked = None if folder is None else _is_locked(_path(folder))
    if folder is None or locked is None:
        return silent
    return not locked and (silent or not is_on_network(folder.parent))


def _is_locked(path: Path) -> bool | None:
    """Return whether a process holds the lock; None where that cannot be told, or there is none."""
    if not path.is_file():
        return None
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a store that is read-only here
        return None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from the artifacts of a run."""
    for below, _, _ in os.walk(folder):
        scratch.remove_leftovers(Path(below), ".")


def busy(run: Run, holder: str = "") -> InputError:
    """Return the error for a run that another process writes; ``holder`` names it, if it is known."""
    return InputError(
        f"The study {run.data.tags.get(Tag.STUDY)} is being written by another process{holder}. Wait until "
        "it is done, or stop it, or pass another --study. A process that died on another machine is given up "
        f"{HEARTBEAT_LOST_S:.0f} s after its last sign of life."
    )


def _path(folder: Path) -> Path:
    return folder.parent / "writer.lock"
