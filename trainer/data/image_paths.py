"""Find the files that a table's paths name, also where folder or extension is left out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from trainer.core.text import count
from trainer.data import files, formats

MISSING = (
    "no such file",
    "not a regular file",
)  # of `files.problem`; a folder may have an image's name
DEPTH = 4  # folders below the table that are searched
AMBIGUOUS = 3  # files named in a message
_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


class ImagePaths:
    """Paths relative to a folder.

    A path is taken as it is if such a file exists. Else backslashes are read as slashes; of an absolute path
    of another machine, the longest end that exists below the folder is taken; and a path stands for the only
    image file below the folder that ends with it, with or without the file's extension.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.guessed: dict[str, str] = {}  # given → found, relative to the folder
        self.missing: list[str] = []

    def find(self, given: str) -> tuple[Path, str]:
        """Return the path, and why the file cannot be used, "" if it can."""
        path = self.folder / given
        if not given:
            return path, "no path in this row"
        problem = files.problem(path)
        if problem not in MISSING:
            return path, problem
        for relative in _spellings(given):
            other = self.folder / relative
            if not files.problem(other):
                self.guessed[given] = relative
                return other, ""
        matches = self._ending_with(given.replace("\\", "/"))
        if len(matches) > 1:
            named = ", ".join(matches[:AMBIGUOUS]) + (" …" if len(matches) > AMBIGUOUS else "")
            return path, f"no such file, and {len(matches)} files below the table have this name: {named}"
        if matches:
            self.guessed[given] = matches[0]
            return self.folder / matches[0], files.problem(self.folder / matches[0])
        self.missing.append(files.printable(given))
        return path, problem

    def summary(self) -> str:
        """Return what was guessed or is missing, a sentence; "" if every path is right as it is."""
        said = []
        if self.guessed:
            given, found = next(iter(self.guessed.items()))
            said.append(f"{count(len(self.guessed), 'path')} completed, such as {given!r} to {found!r}.")
        if self.missing:
            there = f"there is, for example, {self._files[0]!r}" if self._files else "no image file is there"
            said.append(
                f"{self.missing[0]!r} is not in {self.folder} or its sub-folders, neither as it is nor with "
                f"the extensions {formats.described_extensions()}; {there}."
            )
        return " ".join(said)

    def _ending_with(self, given: str) -> list[str]:
        parts = PurePosixPath(given).parts
        if not parts or given.startswith("/") or ".." in parts:
            return []
        return [
            one
            for one in self._by_stem.get(parts[-1], [])
            if PurePosixPath(one).parts[-len(parts) : -1] == parts[:-1]
        ]

    @cached_property
    def _files(self) -> list[str]:
        return list(_image_files(self.folder, DEPTH))

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Map file names, with and without the extension, to relative paths."""
        found: dict[str, list[str]] = {}
        for one in self._files:
            name = PurePosixPath(one)
            for key in {name.name, name.stem}:
                found.setdefault(key, []).append(one)
        return found


def _spellings(given: str) -> Iterator[str]:
    """Yield other relative spellings of a path: with slashes, and the ends of an absolute path."""
    slashed = _DRIVE.sub("", given.replace("\\", "/"))
    if slashed.startswith("/"):
        parts = PurePosixPath(slashed).parts[1:]
        yield from ("/".join(parts[at:]) for at in range(len(parts)))
    elif slashed != given:
        yield slashed


def _image_files(root: Path, depth: int, within: str = "") -> Iterator[str]:
    """Yield the visible image files below a folder, relative to it, by name; no link into it is followed."""
    try:
        entries = sorted(os.scandir(root / within), key=lambda one: one.name)
    except OSError:
        return
    for entry in entries:
        path = f"{within}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth and not (entry.is_symlink() and _leads_in(entry.path, root)):
                yield from _image_files(root, depth - 1, f"{path}/")
        elif Path(entry.name).suffix.lower() in formats.extensions():
            yield path


def _leads_in(link: str, root: Path) -> bool:
    real, top = os.path.realpath(link), os.path.realpath(root)
    return os.path.commonpath([real, top]) in (real, top)
