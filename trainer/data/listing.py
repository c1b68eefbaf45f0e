"""List the files of a folder: images, shards, text beside images, and what is passed over."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trainer.data import files, formats

SIDECARS = (".txt", ".json", ".cls")  # text that may stand beside an image of the same name
SHARD = ".tar"
# Folders and files that systems and services make beside images: previews, bins, resource forks.
_SYSTEM = frozenset(
    {
        *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "@recently-snapshot", "lost+found"),
        *("$recycle.bin", "system volume information", "__pycache__"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)


class ImageFile(NamedTuple):
    """A file with an image extension, not yet opened."""

    path: Path
    parts: tuple[str, ...]  # relative to the listed folder, printable
    size: int  # bytes
    problem: str  # why it cannot be opened; "" if none is known yet


@dataclass
class Listing:
    """What is in a folder and its sub-folders, each in the order of names."""

    images: list[ImageFile] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)
    sidecars: dict[tuple[str, ...], set[str]] = field(default_factory=dict)  # folder → names of text files
    # Other visible files by extension in lower case, "" for none. Shards and sidecars are counted, too.
    passed_over: Counter[str] = field(default_factory=Counter)


def list_files(root: Path) -> Listing:
    """List the visible files below ``root``.

    Hidden files (``._x`` of macOS among them) and what systems make beside images are ignored. A link to a
    folder is followed once, and only if it leads out of the folders already read, so that loops end.
    """
    listing = Listing()
    _list(root, (), listing, {os.path.realpath(root)})
    return listing


def _list(folder: Path, parts: tuple[str, ...], listing: Listing, seen: set[str]) -> None:
    """Add a folder to the listing. ``seen`` has the real paths of the root and of all linked folders."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        problem = f"this folder cannot be read: {error.strerror}"
        listing.images.append(ImageFile(folder, parts or (files.printable(folder.name),), 0, problem))
        return
    for entry in found:
        name = entry.name
        if name.startswith(".") or name.lower() in _SYSTEM:
            continue
        if _is_folder(entry):
            if not entry.is_symlink() or _leads_out(entry.path, seen):
                _list(Path(entry.path), (*parts, files.printable(name)), listing, seen)
            continue
        kind = os.path.splitext(name)[1].lower()
        if kind in formats.extensions():
            where = (*parts, files.printable(name))
            listing.images.append(ImageFile(Path(entry.path), where, *files.size_and_problem(entry)))
            continue
        listing.passed_over[kind] += 1
        if kind == SHARD:
            listing.shards.append(Path(entry.path))
        elif kind in SIDECARS:
            listing.sidecars.setdefault(parts, set()).add(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _leads_out(link: str, seen: set[str]) -> bool:
    real = os.path.realpath(link)
    if any(os.path.commonpath([real, other]) in (real, other) for other in seen):
        return False
    seen.add(real)
    return True
