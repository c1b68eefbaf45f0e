"""Read a folder of images. Files are hashed here and decoded later."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.core.errors import InputError
from trainer.data import files
from trainer.data.manifest import Columns, Manifest, Quarantined
from trainer.data.metadata import ImageMetadata, read_metadata
from trainer.data.split import canonical_split, manifest_with_splits
from trainer.data.table_columns import BY_NAME, ColumnChoice, listed


class _ImageFile(NamedTuple):
    """An image file, not yet opened."""

    path: Path
    parts: tuple[str, ...]  # relative to the root, printable
    split: str  # "" where the folder has no split folders


def read(root: Path, *, name: str, seed: int, chosen: ColumnChoice = BY_NAME) -> Manifest:
    """Read class folders, or ``train val test`` folders of class folders, with optional metadata.

    A ``metadata.csv`` or ``metadata.jsonl`` in the root or in a split folder may add caption and
    group; if it has a label column, that column gives every row's class. Without split folders
    70/15/15 are drawn; with train and test but no val, a stratified 15 % of train becomes val.

    Hidden files, other extensions and links back into the folder are skipped. Image files that are empty,
    unreadable or not regular files are quarantined.

    Raises:
        InputError: no images; images without a class; split folders beside other folders, or an
            unusable combination of splits; unusable metadata.
    """
    found, quarantined = _find(root)
    found, split_folders = _assign_splits(found, name)
    entries, has_labels, unused = read_metadata(root, split_folders, chosen)
    found, content, bad = _hash(found)
    quarantined += bad
    present = {"/".join(row.parts) for row in found} | {row.path for row in quarantined}
    quarantined += [
        Quarantined(sample_id, f"named in {entry.source}, but there is no such file")
        for sample_id, entry in entries.items()
        if sample_id not in present
    ]
    if not found:
        raise InputError(_no_images_message(name, quarantined))
    sample_id = ["/".join(row.parts) for row in found]
    label = _labels(found, entries, has_labels=has_labels, name=name, unused=unused)
    blank = ImageMetadata(source="")
    columns = Columns(
        sample_id=sample_id,
        label=label,
        split=[row.split for row in found],
        content=content,
        caption=[entries.get(one, blank).caption for one in sample_id],
        group=[entries.get(one, blank).group for one in sample_id],
        images=[row.path for row in found],
    )
    return manifest_with_splits(name, columns, quarantined=quarantined, seed=seed)


def _find(root: Path) -> tuple[list[_ImageFile], list[Quarantined]]:
    """Return all visible files with an image extension below ``root``, by name."""
    found: list[_ImageFile] = []
    quarantined: list[Quarantined] = []
    for path, problem in walk(root, {os.path.realpath(root)}):
        parts = tuple(files.printable(part) for part in path.relative_to(root).parts)
        if problem:
            quarantined.append(Quarantined("/".join(parts), problem))
        else:
            found.append(_ImageFile(path, parts, ""))
    return sorted(found, key=lambda row: row.parts), quarantined


def walk(folder: Path, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield (path, problem) of files with an image extension; ``problem`` is "" if none is known yet.

    A link to a folder is followed once, and only if it leads out of the folders already read, so that loops
    end: ``seen`` has the real paths of the root and of all linked folders.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield folder, f"this folder cannot be read: {error.strerror}"
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if path.is_dir():
            if path.is_symlink() and not _leads_out(path, seen):
                continue
            yield from walk(path, seen)
        elif path.suffix.lower() in files.EXTENSIONS:
            yield path, files.problem(path)


def _leads_out(link: Path, seen: set[str]) -> bool:
    real = os.path.realpath(link)
    if any(os.path.commonpath([real, other]) in (real, other) for other in seen):
        return False
    seen.add(real)
    return True


def _assign_splits(found: list[_ImageFile], name: str) -> tuple[list[_ImageFile], dict[str, str]]:
    """Move a leading split folder to ``split``. Also returns the split folders: folder → split."""
    tops = sorted({row.parts[0] for row in found if len(row.parts) > 1})
    splits = {top: split for top in tops if (split := canonical_split(top)) is not None}
    others = [top for top in tops if top not in splits]
    loose = [row.parts[0] for row in found if len(row.parts) == 1]
    if not splits:
        return found, {}
    if others or loose:
        raise InputError(
            f"{name} has the split folders {', '.join(splits)} and beside them {(others + loose)[0]!r}, "
            "which belongs to no split. Move it into one of them or out of this folder; if "
            f"{next(iter(splits))!r} is a class, rename its folder."
        )
    return [row._replace(split=splits[row.parts[0]]) for row in found], splits


def _hash(found: list[_ImageFile]) -> tuple[list[_ImageFile], list[str], list[Quarantined]]:
    """Return readable files, their SHA-256, and the others as quarantined."""
    results = files.hash_images([row.path for row in found])
    kept = [(row, result) for row, result in zip(found, results, strict=True) if isinstance(result, str)]
    bad = [
        Quarantined("/".join(row.parts), f"cannot be read: {result.strerror}")
        for row, result in zip(found, results, strict=True)
        if isinstance(result, OSError)
    ]
    return [row for row, _ in kept], [content for _, content in kept], bad


def _labels(
    found: list[_ImageFile],
    entries: dict[str, ImageMetadata],
    *,
    has_labels: bool,
    name: str,
    unused: Sequence[str] = (),
) -> list[str]:
    """Return class names, from the metadata's label column if there is one, else from the folders."""
    if has_labels:
        label = [
            entries["/".join(row.parts)].label if "/".join(row.parts) in entries else "" for row in found
        ]
        cure = (
            "Fill in the label column for every image, or remove the column to use folder names as classes."
        )
    else:
        label = [
            row.parts[1 if row.split else 0] if len(row.parts) > (2 if row.split else 1) else ""
            for row in found
        ]
        cure = "Put each image into a folder named after its class, or add metadata.csv (file_name, label)."
        if unused:
            cure = f"If one of the columns {listed(unused)} is the label, name it: --label-column."
    without = ["/".join(row.parts) for row, one in zip(found, label, strict=True) if not one]
    if without:
        raise InputError(f"{name}: {len(without)} images have no class, such as {without[0]!r}. {cure}")
    return label


def _no_images_message(name: str, quarantined: list[Quarantined]) -> str:
    reasons = "; ".join(f"{path}: {reason}" for path, reason in quarantined[:3])
    detail = f" {len(quarantined)} files were found and cannot be used, such as {reasons}." if reasons else ""
    return (
        f"{name} holds no usable images.{detail} Expected one folder per class with images in it "
        f"({', '.join(sorted(files.EXTENSIONS))}), optionally below train/, val/ and test/."
    )
