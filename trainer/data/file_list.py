"""Read a list of image files and folders into rows without labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.core.errors import InputError
from trainer.core.text import files_by_extension
from trainer.data import files, formats
from trainer.data.listing import list_files
from trainer.data.manifest import Columns, Manifest, Quarantined, build_manifest


def read_files(paths: Sequence[Path]) -> Manifest:
    """Read every image among ``paths`` once, in the given order; those of a folder by name.

    Named files are read whatever their extension; in folders only files with an image extension. Files that
    cannot be opened are quarantined.

    Raises:
        InputError: no path is given, a path does not exist, or there is no image.
    """
    if not paths:
        raise InputError("No images to predict. Pass image files or folders.")
    seen: dict[str, tuple[Path, str]] = {}  # name → path, why it cannot be opened
    passed_over: Counter[str] = Counter()
    for path, problem in _list_all(paths, passed_over):
        seen.setdefault(os.fspath(path), (path, problem))
    if not seen:
        others = files_by_extension(passed_over)
        raise InputError(
            f"There is no image in {', '.join(map(_name, paths[:3]))}"
            f"{f', but other files: {others}' if others else ''}. {formats.cures(passed_over)} Recognised "
            f"extensions: {formats.described_extensions()}."
        )
    usable = [path for path, problem in seen.values() if not problem]
    hashed = dict(zip(usable, files.hash_images(usable), strict=True))
    good = [path for path in usable if isinstance(hashed[path], str)]
    names = _unique_names([_name(path) for path in good])
    bad = [Quarantined(_name(path), problem) for path, problem in seen.values() if problem]
    bad += [
        Quarantined(_name(path), f"cannot be read: {why.strerror}")
        for path, why in hashed.items()
        if isinstance(why, OSError)
    ]
    manifest = build_manifest(
        "the images",
        Columns(
            sample_id=names,
            label=[""] * len(good),
            split=["test"] * len(good),
            content=[str(hashed[path]) for path in good],
            images=good,
        ),
        quarantined=bad,
    )
    return replace(manifest, passed_over=dict(passed_over))


def _list_all(paths: Sequence[Path], passed_over: Counter[str]) -> Iterator[tuple[Path, str]]:
    """Yield files and why they cannot be opened; count the others in folders by extension."""
    counted: set[str] = set()
    for path in paths:
        if path.is_dir():
            listing = list_files(path)
            if os.path.realpath(path) not in counted:  # a folder may be given twice
                passed_over.update(listing.passed_over)
            counted.add(os.path.realpath(path))
            yield from ((image.path, image.problem) for image in listing.images)
        elif os.path.lexists(path):
            yield path, files.problem(path)
        else:
            raise InputError(f"There is no file or folder {_name(path)}. Check the path.")


def _name(path: Path) -> str:
    return files.printable(os.fspath(path))


def _unique_names(names: list[str]) -> list[str]:
    """Number duplicate names; they occur if file names have bytes that are not UTF-8."""
    taken: set[str] = set()
    unique = []
    for name in names:
        number, one = 1, name
        while one in taken:
            number += 1
            one = f"{name} ({number})"
        taken.add(one)
        unique.append(one)
    return unique
