"""Let one process at a time write a place, and say for whom the others wait.

The system takes a lock back when its process ends, however that ends: no dead process blocks anybody.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import BaseFileLock

QUIET_S = 1.0  # a wait that takes longer is worth a sentence
ATTEMPTS = 100  # to make the folder of the lock, while other processes delete it
UNKNOWN = "another process"
MODULE = "trainer"  # whose commands are named by their module


class LockHeld(Exception):
    """Another process holds the lock. The text names it."""

    @property
    def is_known(self) -> bool:
        """Whether the text says which process it is."""
        return str(self) != UNKNOWN


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at ``path``, waiting as :func:`wait_for` does."""
    lock = wait_for(path, what)
    try:
        yield
    finally:
        lock.release()


def wait_for(path: Path, what: str) -> BaseFileLock:
    """Take the lock at ``path``, waiting while another process holds it; say so if that takes a while.

    Args:
        what: what is locked, for the message.

    Raises:
        OSError: the lock cannot be created.
    """
    try:
        return take(path, wait_s=QUIET_S)
    except LockHeld as holder:
        from trainer.core.console import say

        say(f"Waiting for {holder}, which is using {what}. Press Ctrl-C to give up.")
        return take(path, wait_s=-1)


def take(path: Path, *, wait_s: float = 0) -> BaseFileLock:
    """Take the lock at ``path``; release it, or end the process, to give it back.

    Args:
        wait_s: how long to wait for its holder; below 0: for ever.

    Raises:
        LockHeld: another process still holds it.
        OSError: the lock cannot be created.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    for attempt in range(ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait_s)
            break
        except Timeout:
            raise LockHeld(_holder(path)) from None
        except (FileNotFoundError, FileExistsError):  # the folder was deleted a moment ago
            if attempt == ATTEMPTS - 1:
                raise
    _sign(lock, path)
    return lock


def _sign(lock: BaseFileLock, path: Path) -> None:
    """Note in the lock who holds it. A full disk does not keep anybody from working."""
    if getattr(lock, "pid", None) is not None:
        return  # without flock, filelock has a note of its own there
    note = {"pid": os.getpid(), "host": platform.node(), "since": time.time(), "command": _command()}
    with suppress(OSError):
        path.write_text(json.dumps(note))


def _command() -> str:
    """Return how this process was started, without its arguments."""
    name = Path(sys.argv[0] or "python").stem
    is_ours = MODULE in Path(sys.argv[0]).parts or name.startswith(f"{MODULE}.")
    return f"{MODULE}.{name.removeprefix(MODULE + '.')}" if is_ours else name


def _holder(path: Path) -> str:
    """Return who holds the lock, as far as it is known."""
    try:
        with path.open("rb") as file:
            note: dict[str, Any] = json.loads(file.read(4096))
        pid, host, since = int(note["pid"]), str(note["host"]), float(note["since"])
        here = host == platform.node()
        if here:
            os.kill(pid, 0)  # raises if there is no such process, so that the note is an older one's
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
        command = str(note["command"])[:80]
    except PermissionError:
        return "a process of another user"
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return UNKNOWN
    return f"process {pid}{'' if here else f' on {host}'} ({command}, since {began})"
