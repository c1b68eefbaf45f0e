"""Temporary files and folders that a killed process does not leave for ever. Standard library only.

Each is locked by the process that uses it. The system takes the lock back however the process ends, so what
is not locked is a leftover, which the next one that looks may remove.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR
from typing import BinaryIO

COMMANDS = "headroom-"  # prefix of the folders of commands
SUFFIX = ".tmp"  # of files


@contextmanager
def file(beside: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a new hidden file for writing, in the same folder and with a similar name.

    The block renames or removes it; if it fails, it is removed. Leftovers of the same name are removed first.
    """
    prefix = f".{beside.name[:40]}."  # a whole long name would be too long for the file system
    remove_leftovers(beside.parent, prefix, SUFFIX)
    handle, path = _locked_file(beside.parent, prefix)
    try:
        with os.fdopen(handle, "wb") as opened:
            yield Path(path), opened
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


@contextmanager
def folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that is deleted at the end. Leftovers of the same prefix are removed first."""
    remove_leftovers(parent, prefix)
    handle, path = _locked_folder(parent, prefix)
    try:
        yield Path(path)
    finally:
        os.close(handle)
        shutil.rmtree(path, ignore_errors=True)


def of_process(name: str) -> Path:
    """Make a folder that stays until the process exits, and is no leftover for any other before."""
    made = folder(Path(tempfile.gettempdir()), f"{COMMANDS}{name}-")
    own = made.__enter__()
    atexit.register(made.__exit__, None, None, None)
    return own


@contextmanager
def of_command() -> Iterator[None]:
    """Let all temporary files of this process, also those of libraries, lie in one folder of its own.

    Where none can be made, they lie where they would have been.
    """
    try:
        parent = Path(tempfile.gettempdir())
        made = folder(parent, COMMANDS)
        own = made.__enter__()
    except OSError:
        yield
        return
    tempfile.tempdir = str(own)
    try:
        yield
    finally:
        tempfile.tempdir = str(parent)
        made.__exit__(None, None, None)


def remove_leftovers(parent: Path, prefix: str, suffix: str = "") -> None:
    """Remove what begins and ends so, and no living process has locked."""
    try:
        found = [entry for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return
    for entry in found:
        if entry.name.endswith(suffix):
            with suppress(OSError):  # locked, somebody else's, or gone by now
                _remove(entry.path)


def _remove(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if S_ISDIR(os.fstat(handle).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    finally:
        os.close(handle)


def _locked_file(parent: Path, prefix: str) -> tuple[int, str]:
    while True:
        handle, path = tempfile.mkstemp(dir=parent, prefix=prefix, suffix=SUFFIX)
        if _lock(handle):
            return handle, path


def _locked_folder(parent: Path, prefix: str) -> tuple[int, str]:
    while True:
        path = tempfile.mkdtemp(dir=parent, prefix=prefix)
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            if _lock(handle):
                return handle, path


def _lock(handle: int) -> bool:
    """Lock what was just made. False, and closed: another process took it for a leftover before.

    Where the file system has no locks, it goes without.
    """
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    if os.fstat(handle).st_nlink:
        return True
    os.close(handle)
    return False
