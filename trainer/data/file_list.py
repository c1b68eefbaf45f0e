"""Files and folders that somebody named → rows without labels, each by its path."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainer.core.errors import InputError
from trainer.data import files
from trainer.data.folder import walk
from trainer.data.manifest import Columns, Manifest, Quarantined, build_manifest


def read_files(paths: Sequence[Path]) -> Manifest:
    """Every image among ``paths`` once, in the order given, those of a folder by name.

    A file that is named is taken whatever it is called; in folders those with an image's extension are, as
    the data sets' reader does it. What cannot be opened is quarantined with its reason.

    Raises:
        InputError: nothing is given, something is not there, or there is no image.
    """
    if not paths:
        raise InputError("Nothing was given to predict. Pass image files, or folders that hold some.")
    seen: dict[str, tuple[Path, str]] = {}  # as it is called → where it is, why it cannot be opened
    for path, problem in _walk_all(paths):
        seen.setdefault(os.fspath(path), (path, problem))
    if not seen:
        raise InputError(
            f"No image is in {', '.join(map(_name, paths[:3]))}. Files are found by their extension: "
            f"{', '.join(sorted(files.EXTENSIONS))}."
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
    return build_manifest(
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


def _walk_all(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            yield from walk(path, {os.path.realpath(path)})
        elif os.path.lexists(path):
            yield path, files.problem(path)
        else:
            raise InputError(f"There is no file or folder {_name(path)}. Correct its name.")


def _name(path: Path) -> str:
    return files.printable(os.fspath(path))


def _unique_names(names: list[str]) -> list[str]:
    """Names that are printed alike (bytes that are not UTF-8 beside their own description) told apart."""
    taken: set[str] = set()
    told = []
    for name in names:
        number, one = 1, name
        while one in taken:
            number += 1
            one = f"{name} ({number})"
        taken.add(one)
        told.append(one)
    return told
