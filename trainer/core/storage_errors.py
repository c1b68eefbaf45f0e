"""Say which place could not be written, and why, for an error from any depth."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
RESUME = "Finished work is saved: run the command again to resume (--study NAME for a study)."
DATABASE = {  # what SQLite says of its file → our words
    "database or disk is full": "The disk is full: the MLflow store could not be written.",
    "disk I/O error": "The disk failed or is full: the MLflow store could not be written.",
    "readonly database": "The MLflow store cannot be written: its file or folder is read-only.",
}


def storage_problem(error: BaseException) -> str | None:
    """Return a paragraph for people; None where the error is none of storage."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in FULL | FORBIDDEN:
            return f"{_of_file(one)} {RESUME}"
        for said, words in DATABASE.items():
            if said in str(one):
                return f"{words} Free some space or name another place (--tracking-uri). {RESUME}"
    return None


def _of_file(error: OSError) -> str:
    path = error.filename2 or error.filename
    name = "A file or standard output" if path is None else os.fsdecode(path)
    if error.errno in FORBIDDEN:
        return f"{name} cannot be written: {error.strerror}. Name a place that you may write to."
    return f"{name} cannot be written: {error.strerror}{_room(path)}. Free some space, or name another place."


def _room(path: str | bytes | int | None) -> str:
    """How much is left there, in brackets; "" where it is not known."""
    if path is None or isinstance(path, int):
        return ""
    folder = Path(os.fsdecode(path)).absolute()
    for one in (folder, *folder.parents):
        try:
            return f" ({shutil.disk_usage(one).free / 2**20:,.0f} MiB are free)"
        except OSError:
            continue
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
