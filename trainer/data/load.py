"""Load the data that ``--data`` names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from trainer.core.errors import InputError
from trainer.data import arrays, demo, folder, formats, hf_dataset, shards, table
from trainer.data.class_names import notes_on_classes
from trainer.data.listing import SHARD, Listing, list_files
from trainer.data.manifest import Manifest
from trainer.data.table_columns import BY_NAME, ColumnChoice

EXPECTED = (
    "--data takes demo; a folder of images (one sub-folder per class, optionally below train/ val/ test/); a "
    ".csv, .tsv, .jsonl or .parquet table with a path and a label in each row; .tar shards as img2dataset "
    "writes them, or a folder of them; a folder written by save_to_disk of the datasets library, or "
    "hf:owner/name, a dataset of the Hugging Face hub; an .npz or .safetensors file with train_x and train_y"
)
HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")  # owner/name


def load(data: str, *, seed: int, columns: ColumnChoice = BY_NAME, unlabelled: str | None = None) -> Manifest:
    """Read what ``--data`` names. Images are hashed, not decoded.

    Args:
        data: ``demo``; the path of a folder, a table, tar shards or precomputed features; or ``hf:`` and a
            name. The prefix ensures that a mistyped path causes no network request.
        seed: for splits that the data does not have.
        columns: columns that are to be read whatever their names.
        unlabelled: name of the folders of ``data`` whose images have no label.

    Raises:
        InputError: it does not exist or cannot be read; ``unlabelled`` is for class folders.
    """
    manifest = _read(data, seed=seed, columns=columns, unlabelled=unlabelled)
    notes = (*manifest.notes, *notes_on_classes(manifest.classes))
    return replace(manifest, notes=notes)


def _read(data: str, *, seed: int, columns: ColumnChoice, unlabelled: str | None) -> Manifest:
    path = Path(data).expanduser()
    if unlabelled is not None and (data == demo.NAME or not path.is_dir() or hf_dataset.is_saved(path)):
        raise InputError(
            f"--unlabelled {unlabelled!r} is for a folder of class folders, and {data!r} is none. Leave it "
            "out; a row of a table without a label has an empty one."
        )
    if data.startswith(hf_dataset.PREFIX):
        return hf_dataset.read_hub(data, seed=seed, chosen=columns)
    kind = path.suffix.lower()
    listing = None
    if data != demo.NAME and path.is_dir():
        if hf_dataset.is_saved(path):
            return hf_dataset.read(path, name=data, seed=seed, chosen=columns)
        listing = list_files(path)
        if listing.images or not listing.shards or unlabelled is not None:
            return folder.read(path, listing, name=data, seed=seed, chosen=columns, unlabelled=unlabelled)
    if data != demo.NAME and path.is_file() and kind in table.SUFFIXES:
        return table.read(path, name=data, seed=seed, chosen=columns)
    if data != demo.NAME and path.is_file() and kind == SHARD:
        listing, path = Listing(shards=[path]), path.parent
    if listing is not None:
        return shards.read(path, listing, name=data, seed=seed, chosen=columns)
    if columns != BY_NAME:
        raise InputError(
            f"{data!r} has no columns to choose from: {' and '.join(columns.flags())} are for tables, "
            "shards, folders with metadata, and datasets of Hugging Face."
        )
    if data == demo.NAME:
        return demo.read()
    if path.is_file() and kind in arrays.SUFFIXES:
        return arrays.read(path, name=data, seed=seed)
    if path.exists() and kind in formats.ARCHIVES:
        raise InputError(f"{data!r} is an archive. {formats.UNPACK}")
    if path.exists():
        raise InputError(f"{data!r} is not a supported kind of data. {EXPECTED}.")
    hint = f" On the Hugging Face hub? Pass {hf_dataset.PREFIX}{data}." if HUB_NAME.fullmatch(data) else ""
    raise InputError(
        f"There is no file or folder {data!r}. {EXPECTED}. Check the spelling and the path.{hint}"
    )
