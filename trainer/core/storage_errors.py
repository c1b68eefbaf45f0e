"""Say which place cannot be used, and why, for an error of the file system from any depth and library."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainer.core import atomic
from trainer.core.locations import storable
from trainer.core.text import cut

RESUME = "Finished work is saved: run the command again to resume (--study NAME for a study)."
SPACE = "Free some space there, or name another place"
RIGHTS = "Name a place that you may write to"
ELSEWHERE = "Check that its disk works, or name another place"
PATH = "Name another place"
ADVICE = {  # error number → what to do
    **dict.fromkeys(atomic.FULL, SPACE),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), RIGHTS),
    **dict.fromkeys((errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE), ELSEWHERE),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.EINVAL), PATH),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY), PATH),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Allow more open files (ulimit -n 1024)"),
}
IN_TEXT = re.compile(r"\[[Ee]rrno (\d+)\]|\(os error (\d+)\)|errno: (\d+)")  # shutil, Rust, C++
SHORT_WRITE = re.compile(  # numpy, and torch.save: neither says why
    r"^\d+ requested and \d+ written|PytorchStreamWriter|unexpected pos \d+ vs \d+|iostream error"
)
DATABASE = {  # what SQLite says → its error number, as far as there is one, and our words
    "database or disk is full": (errno.ENOSPC, "the disk is full"),
    "disk I/O error": (errno.EIO, "the disk failed or is full"),
    "readonly database": (errno.EROFS, "its file or folder is read-only"),
    "unable to open database file": (errno.EACCES, "its file cannot be opened or created"),
    "database is locked": (None, "another program holds its lock"),
    "database table is locked": (None, "another program holds its lock"),
    "database disk image is malformed": (None, "its file is damaged"),
    "file is not a database": (None, "its file is damaged"),
}
NAME_SHOWN = 300  # characters of a path
STORE = "--tracking-uri"  # the place that is a database


def storage_problem(error: BaseException, places: Mapping[str, Path] | None = None) -> str | None:
    """Return a paragraph for people; None where the error is none of storage.

    Args:
        places: the flag or variable that chooses each place → its path; they are named where the error says
            neither file nor folder.
    """
    places = places or {}
    for one in _chain(error):
        for said, (number, words) in DATABASE.items():
            if said in str(one):
                return f"{_of_database(number, words, places)} {RESUME}"
        if isinstance(one, ConnectionError | TimeoutError):
            continue
        number = _number(one)
        if number in ADVICE:
            said = _of_file(one, number, places)
            return said if ADVICE[number] == PATH else f"{said} {RESUME}"
    return None


def _number(error: BaseException) -> int | None:
    """Return the error's number in the operating system, which many libraries give as text only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if found := IN_TEXT.search(text):
        return int(next(filter(None, found.groups())))
    return errno.ENOSPC if SHORT_WRITE.search(text) else None


def _of_database(number: int | None, words: str, places: Mapping[str, Path]) -> str:
    path = places.get(STORE)
    name = "The MLflow store" if path is None else f"The MLflow store {path}"
    if number is None:
        return f"{name} cannot be used: {words}. Stop what else uses it, or name another one ({STORE})."
    return f"{name} cannot be written: {words}{_room(path)}. {ADVICE[number]} ({STORE})."


def _of_file(error: BaseException, number: int, places: Mapping[str, Path]) -> str:
    path = _path(error)
    flag = next((flag for flag, place in places.items() if path and _below(path, place)), None)
    room = _room(path) if ADVICE[number] == SPACE else ""
    if path is None and ADVICE[number] == SPACE and places:
        flag, fullest = min(places.items(), key=lambda one: _free(one[1]))
        room = f" (least room has {flag} {fullest}{_room(fullest)})"
    name = "A file or standard output" if path is None else cut(storable(str(path)), NAME_SHOWN)
    advice = ADVICE[number] + (f" ({flag})" if flag else "")
    if number in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(number)}: {name} cannot be opened. {ADVICE[number]}."
    takes = "".join(f" {note}" for note in getattr(error, "__notes__", []))  # the bytes needed: `core.atomic`
    cannot = "cannot be written" if ADVICE[number] == SPACE else "cannot be used"
    return f"{name} {cannot}: {os.strerror(number)}{room}.{takes} {advice}."


def _path(error: BaseException) -> Path | None:
    """Return the file that could not be written, as far as the error names it."""
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return Path(os.fsdecode(named)) if isinstance(named, str | bytes) and named else None


def _below(path: Path, place: Path) -> bool:
    return path.absolute().is_relative_to(place.absolute()) or path.parent == place.absolute().parent


def _file_system(path: Path) -> os.statvfs_result | None:
    """Return what is left of the file system that holds a path, which need not exist."""
    for one in (path.absolute(), *path.absolute().parents):
        try:
            return os.statvfs(one)
        except (OSError, ValueError):
            continue
    return None


def _free(path: Path) -> int:
    """Return the bytes that may be written there; 0 where no more file can be made."""
    found = _file_system(path)
    return 0 if found is None or (found.f_files and not found.f_favail) else found.f_bavail * found.f_frsize


def _room(path: Path | None) -> str:
    """Return how much is left there, in brackets; "" where it is not known."""
    found = None if path is None else _file_system(path)
    if found is None:
        return ""
    if found.f_files and not found.f_favail:
        return f" (none of its {found.f_files:,} inodes is free)"
    return f" ({found.f_bavail * found.f_frsize / 2**20:,.1f} MiB are free)"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
