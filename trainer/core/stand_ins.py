"""Files that stand where another should be: it was never fetched."""

from __future__ import annotations

from pathlib import Path

from trainer.core.errors import InputError

BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte-order mark, and what may stand before a page
_PAGE = "an HTML page: the download gave a web page, because it was refused or needs a login. Fetch it again"
_STAND_INS = {  # first bytes, in lower case
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull` where it came from, or fetch it again",
    b"<!doctype html": _PAGE,
    b"<html": _PAGE,
}


def stand_in(begins: bytes) -> str | None:
    """Return what a file is that begins so, and what to do; None of what may be the file itself."""
    start = begins[:512].lstrip(BLANK).lower()
    return next((meaning for known, meaning in _STAND_INS.items() if start.startswith(known)), None)


def refuse_stand_in(path: Path) -> None:
    """Raise InputError for a file that stands in the place of one that was never fetched."""
    with path.open("rb") as file:
        meaning = stand_in(file.read(512))
    if meaning:
        raise InputError(f"{path} is {meaning}.")
