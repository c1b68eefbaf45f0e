"""Write files atomically, by rename; what is no regular file, in place. Standard library only."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from trainer.core import scratch
from trainer.core.errors import InputError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # there is no room for a file
_UMASK = os.umask(0o022)  # reading it sets it, so here, where there are no threads yet
os.umask(_UMASK)
_OPEN_FILE = re.compile(r"/(?:dev/fd|proc/self/fd|proc/thread-self/fd)/(\d+)")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically and durably.

    The bytes are written to a temporary file in the same folder and synced, then the file is renamed. The
    folder is synced last, so that the name, too, survives a power cut. A killed writer's temporary file is
    removed by the next one. A file that is replaced keeps its mode and, where the system allows it, its
    owner.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch.file(path) as (temporary, file):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            _take_on(temporary, path)
            os.replace(temporary, path)
    except OSError as error:  # one of a write names no file
        error.filename = error.filename or os.fspath(path)
        error.add_note(f"The file takes {len(data):,} bytes.")
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries (new and renamed files) to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_output(path: Path, flag: str, *, inputs: Iterable[Path] = ()) -> None:
    """Raise InputError for a path that `write_output` could not write to. Leaves everything as it is.

    Args:
        flag: that named it, for messages.
        inputs: files that the command reads, which it must not replace.
    """
    try:
        status = _status(path)
        if is_stream(path):
            return
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise InputError(f"{flag} {path} is a folder; pass the name of a file.")
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"{flag} {path} is neither a file, a pipe nor a device. Pass the name of a file."
            )
        if status is not None and any(_is_same(one, status) for one in inputs):
            raise InputError(f"{flag} {path} is read by this command, too. Pass another name.")
        target = Path(os.path.realpath(path))
        folder = next(one for one in target.parents if one.exists())
        with scratch.file(folder / "headroom") as (temporary, _):
            temporary.unlink()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _unwritable(path, flag, error) from error


def write_output(path: Path, data: bytes, flag: str) -> None:
    """Write a file where a person wants it.

    Devices, pipes and open files (``/dev/stdout``) are written to. A symlink stays one, and what it leads to
    is replaced. See `write_bytes` for the others.

    Args:
        flag: that named it, for messages.

    Raises:
        InputError: it cannot be written.
        OSError: there is no room for it.
    """
    try:
        if not is_stream(path):
            write_bytes(Path(os.path.realpath(path)), data)
            return
        number = _number(path)
        with open(path if number is None else os.dup(number), "wb") as file:
            file.write(data)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in FULL and not is_stream(path):
            raise  # the guard around commands says how much room there is, and how much it takes
        raise _unwritable(path, flag, error) from error


def is_stream(path: Path) -> bool:
    """Return whether a path is a device, a pipe or an open file of this process."""
    status = _status(path)
    special = status is not None and (
        stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    )
    return special or (status is not None and _number(path) is not None)


def _number(path: Path) -> int | None:
    """Return the number of the open file that a path names. To open it again would write over its start."""
    name = os.path.abspath(path)
    found = _OPEN_FILE.fullmatch(name)
    return int(found[1]) if found else _STREAMS.get(name)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is_same(path: Path, status: os.stat_result) -> bool:
    with suppress(OSError, ValueError):
        return os.path.samestat(os.stat(path), status)
    return False


def new_file_mode() -> int:
    """Return the mode of a new file; a temporary one may be read by its owner alone."""
    return 0o666 & ~_UMASK


def _take_on(temporary: str | Path, path: Path) -> None:
    """Give a temporary file, which only its owner may read, the mode and owner of the file at ``path``."""
    status = _status(path)
    if status is None:
        os.chmod(temporary, new_file_mode())
        return
    with suppress(OSError):  # only root may give files away
        os.chown(temporary, status.st_uid, status.st_gid)
    os.chmod(temporary, stat.S_IMODE(status.st_mode))


def _unwritable(path: Path, flag: str, error: Exception) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else error
    return InputError(
        f"{flag} {path} cannot be written: {reason}. Name a file in a folder that you may write to."
    )
