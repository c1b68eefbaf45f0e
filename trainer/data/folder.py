"""Read a folder of images. Files are hashed here and decoded later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainer.core.errors import InputError
from trainer.core.text import count, files_by_extension
from trainer.data import files, formats
from trainer.data.layout import Folder, Layout, understand
from trainer.data.listing import SIDECARS, ImageFile, Listing
from trainer.data.manifest import Columns, Manifest, Quarantined, first_reasons
from trainer.data.metadata import NAMES, ImageMetadata, read_metadata
from trainer.data.sidecars import MAX_BYTES, SidecarReader
from trainer.data.split import manifest_with_splits
from trainer.data.table import SUFFIXES as TABLES
from trainer.data.table_columns import BY_NAME, ColumnChoice, listed

_BLANK = ImageMetadata(source="")


def read(
    root: Path,
    listing: Listing,
    *,
    name: str,
    seed: int,
    chosen: ColumnChoice = BY_NAME,
    unlabelled: str | None = None,
) -> Manifest:
    """Read class folders, or split folders of class folders, with optional metadata.

    `trainer.data.layout` decides which folders are splits and classes. A ``metadata.csv`` or
    ``metadata.jsonl`` in the root, in a wrapper or in a split folder may add caption and group; if it has a
    label column, that column gives every row's class. Numbered folders of img2dataset have labels and
    captions beside the images. Without split folders 70/15/15 are drawn; with train and test but no val, a
    stratified 15 % of train becomes val. Files that are empty, unreadable or not regular are quarantined.

    Args:
        listing: the files in ``root``.
        chosen: columns of the metadata, or keys of .json files beside the images, read whatever their names.
        unlabelled: name of the folders whose images have no label.

    Raises:
        InputError: no images; images without a class; folders that can be read in several ways; unusable
            splits or metadata; no folder called ``unlabelled``, or labels that are not the folders' names.
    """
    by_folder = _by_folder(listing)
    layout = understand(by_folder, listing.sidecars, name, unlabelled=unlabelled)
    below = ["/".join(folder) for folder in layout.metadata if folder]
    entries, has_labels, unused = read_metadata(root, below, chosen)
    if chosen != BY_NAME and not entries and not layout.sidecars:
        raise InputError(_no_columns(root, chosen))
    if unlabelled is not None and (has_labels or layout.sidecars):
        raise InputError(_labels_elsewhere(unlabelled, name, metadata=has_labels))
    found, content, quarantined = _hash(layout, by_folder)
    quarantined = [*_unusable(listing, layout), *quarantined]
    quarantined += _without_a_file(entries, found, quarantined)
    if not found:
        raise InputError(_no_images_message(name, quarantined, listing) + _tables(root, name))
    if layout.problem and not has_labels:
        raise InputError(layout.problem + _tables(root, name))
    from_sidecars = layout.sidecars and not has_labels
    if from_sidecars:
        entries |= _read_sidecars(found, SidecarReader(name, chosen), layout)
    sample_id = ["/".join(image.parts) for image in found]
    noted = [entries.get(one, _BLANK) for one in sample_id]
    columns = Columns(
        sample_id=sample_id,
        label=[one.label for one in noted]
        if from_sidecars
        else _labels(found, layout, noted if has_labels else None, root, name, unused),
        split=[layout.places[image.parts[:-1]].split for image in found],
        content=content,
        caption=[one.caption for one in noted],
        group=[one.group for one in noted],
        images=[image.path for image in found],
    )
    manifest = manifest_with_splits(name, columns, quarantined=quarantined, seed=seed)
    return replace(manifest, passed_over=_passed_over(root, listing, layout), notes=tuple(layout.notes))


def _by_folder(listing: Listing) -> dict[Folder, list[ImageFile]]:
    """Return the images that can be opened, by their folder."""
    by_folder: dict[Folder, list[ImageFile]] = {}
    for image in listing.images:
        if not image.problem:
            by_folder.setdefault(image.parts[:-1], []).append(image)
    return by_folder


def _no_columns(root: Path, chosen: ColumnChoice) -> str:
    return (
        f"{' and '.join(chosen.flags())} need a table, a metadata file or .json files beside the images, and "
        f"{root} has none of them."
    )


def _labels_elsewhere(unlabelled: str, name: str, *, metadata: bool) -> str:
    source = "metadata" if metadata else "the files beside its images"
    return (
        f"--unlabelled {unlabelled!r} is for class folders, and the labels of {name} are in {source}: leave "
        "the label of a row empty there, and --unlabelled out."
    )


def _hash(
    layout: Layout, by_folder: dict[Folder, list[ImageFile]]
) -> tuple[list[ImageFile], list[str], list[Quarantined]]:
    """Return readable files by name, their SHA-256, and the others as quarantined."""
    placed = sorted((image for folder in layout.places for image in by_folder[folder]), key=_parts)
    results = files.hash_images([image.path for image in placed])
    kept, content, bad = [], [], []
    for image, result in zip(placed, results, strict=True):
        if isinstance(result, str):
            kept.append(image)
            content.append(result)
        else:
            bad.append(Quarantined("/".join(image.parts), f"cannot be read: {result.strerror}"))
    return kept, content, bad


def _parts(image: ImageFile) -> tuple[str, ...]:
    return image.parts


def _unusable(listing: Listing, layout: Layout) -> list[Quarantined]:
    """Return the files that cannot be opened, but those in folders that are passed over."""
    return [
        Quarantined("/".join(image.parts), image.problem)
        for image in listing.images
        if image.problem and not any(image.parts[: len(one)] == one for one in layout.passed_over)
    ]


def _without_a_file(
    entries: dict[str, ImageMetadata], found: Sequence[ImageFile], quarantined: Sequence[Quarantined]
) -> list[Quarantined]:
    present = {"/".join(image.parts) for image in found} | {row.path for row in quarantined}
    return [
        Quarantined(sample_id, f"named in {entry.source}, but there is no such file")
        for sample_id, entry in entries.items()
        if sample_id not in present
    ]


def _read_sidecars(
    found: Sequence[ImageFile], reader: SidecarReader, layout: Layout
) -> dict[str, ImageMetadata]:
    """Return what the text files beside the images say, by the image's name; note what is odd about them."""
    entries = {}
    for image in found:
        texts = {}
        for kind in SIDECARS:
            path = image.path.with_suffix(kind)
            try:
                with path.open("rb") as file:
                    texts[kind] = file.read(MAX_BYTES)
            except OSError:  # most have some of them only
                continue
        sample_id = "/".join(image.parts)
        notes = reader.notes(texts, where=sample_id)
        entries[sample_id] = ImageMetadata(
            source="the files beside the images",
            **{note: notes.get(note, "") for note in ("label", "caption", "group")},
        )
    reader.check()
    layout.notes += reader.notes_on_files()
    return entries


def _labels(
    found: Sequence[ImageFile],
    layout: Layout,
    noted: Sequence[ImageMetadata] | None,
    root: Path,
    name: str,
    unused: Sequence[str],
) -> list[str]:
    """Return class names, from the metadata's label column if there is one, else from the folders.

    A single folder is not a class, and its images have no labels, unless others are known to have none.
    """
    if noted is not None:
        return [one.label for one in noted]
    label = [layout.places[image.parts[:-1]].label for image in found]
    if len(set(label)) == 1 and not (layout.unlabelled and label[0]):
        layout.notes.append(_no_classes(label[0]) + _tables(root, name))
        return [""] * len(label)
    without = [
        "/".join(image.parts)
        for image, one in zip(found, label, strict=True)
        if not one and image.parts[:-1] not in layout.unlabelled
    ]
    if without:
        cure = "Put each image into a folder named after its class, or add metadata.csv (file_name, label)."
        if unused:
            cure = f"If one of the columns {listed(unused)} is the label, name it: --label-column."
        raise InputError(
            f"{name}: {count(len(without), 'image')} without a class, such as {without[0]!r}. "
            f"{cure}{_tables(root, name)}"
        )
    return label


def _no_classes(folder: str) -> str:
    where = f"in one folder, {folder!r}" if folder else "side by side"
    return f"No classes: all images are {where}."


def _tables(root: Path, name: str) -> str:
    """Name the tables in the folder, which may have the labels, as a sentence; "" for none."""
    found = [path.name for path in sorted(root.iterdir()) if path.suffix.lower() in TABLES]
    found = [one for one in found if one not in NAMES and not one.startswith(".")]
    if not found:
        return ""
    several = f" (several Parquet files: hf:{name})" if found[-1].endswith(".parquet") and found[1:] else ""
    return f" Does {found[0]!r} have the labels? Then pass it: {name.rstrip('/')}/{found[0]}{several}."


def _passed_over(root: Path, listing: Listing, layout: Layout) -> dict[str, int]:
    """Return how many files of each extension were not read."""
    kinds = Counter(listing.passed_over)
    for folder in {(), *layout.metadata}:
        for path in (root.joinpath(*folder, name) for name in NAMES):
            if path.is_file():
                kinds[path.suffix] -= 1
    if layout.sidecars:
        for folder in layout.places:
            kinds.subtract(Path(one).suffix.lower() for one in listing.sidecars.get(folder, ()))
    return dict(+kinds)


def _no_images_message(name: str, quarantined: Sequence[Quarantined], listing: Listing) -> str:
    reasons = first_reasons(quarantined)
    detail = f" {count(len(quarantined), 'file')} cannot be used: {reasons}." if reasons else ""
    others = files_by_extension(listing.passed_over)
    others = f" It has other files ({others})." if others else ""
    cures = formats.cures(listing.passed_over)
    return (
        f"{name} holds no usable images.{detail}{others}{f' {cures}' if cures else ''} Expected one folder "
        f"per class with images in it ({formats.described_extensions()}), optionally below train/, val/ and "
        "test/."
    )
