"""Read a Hugging Face dataset from a folder or by name. Images stay in its Arrow files."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as arrow
import pyarrow.compute as compute

from trainer.core.errors import InputError, first_line
from trainer.core.untrusted_json import read_json_file
from trainer.data import files, table_columns
from trainer.data.label_sets import joined_columns
from trainer.data.manifest import Columns, Manifest, Quarantined, StoredImage, first_reasons
from trainer.data.parquet_file import ROWS_PER_BYTE
from trainer.data.split import canonical_split, manifest_with_splits, parse_split
from trainer.data.table_columns import BY_NAME, ColumnChoice

if TYPE_CHECKING:  # takes half a second to import
    from datasets import Dataset

PREFIX = "hf:"
HUB_TIMEOUT_S = 5  # fail within seconds without a network
_SPELLING = f"{PREFIX}owner/name or {PREFIX}owner/name:config"
_CURES = (
    f"Check the spelling, {_SPELLING}. For a gated dataset, accept its terms and run `hf auth login`. "
    "Without a network, or if it needs a script: write it with save_to_disk where it can be loaded, and "
    "pass that folder"
)
_RESHAPE = "Load it with the datasets library, {}, write it with save_to_disk and pass that folder"


@dataclass(frozen=True)
class ArrowCell:
    """An image in an Arrow file, read on demand."""

    path: Path
    column: str
    row: int  # in the file

    def read_bytes(self) -> bytes:
        """Read the bytes. Raises OSError, also if the cell is empty."""
        try:
            data = table_columns.bytes_of(_table(self.path)[self.column][self.row])
        except (arrow.ArrowException, LookupError) as error:  # the file was replaced
            raise OSError(errno.EIO, f"{self.path.name}: {first_line(error)}") from error
        if not data:
            raise OSError(errno.ENODATA, f"neither bytes nor a path in {self.column}")
        return data


@dataclass
class _Rows:
    """Columns of the manifest under construction."""

    sample_id: list[str] = field(default_factory=list)
    images: list[StoredImage] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # columns without a role


def is_saved(path: Path) -> bool:
    """Return whether ``save_to_disk`` of a Dataset or DatasetDict wrote this folder."""
    return (path / "dataset_dict.json").is_file() or (
        (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    )


def read(path: Path, *, name: str, seed: int, chosen: ColumnChoice = BY_NAME) -> Manifest:
    """Read a folder written by ``save_to_disk``.

    Images are the column of type Image, or a column of bytes with the name of an image column. Other columns
    are named as in a table; a single ClassLabel is the label under any name. Several splits are kept;
    a single split (or a Dataset) is split. Rows without an image are quarantined.

    Raises:
        InputError: the folder is unreadable, has no images, several possible image or label columns, or
            unknown splits.
    """
    import datasets

    try:
        for note in (*path.glob("*.json"), *path.glob("*/*.json")):
            read_json_file(note)  # datasets would read it whatever its size
        data = datasets.load_from_disk(path, keep_in_memory=False)
        parts = data if isinstance(data, dict) else {"": data}
        for file in _files(parts):
            _check(file)
        return _manifest(parts, name=name, seed=seed, chosen=chosen)
    except InputError:
        raise
    except Exception as error:  # incomplete or damaged files: the libraries raise many types
        raise InputError(
            f"{name} was written by save_to_disk and cannot be read ({first_line(error)}). Write it again."
        ) from error


def read_hub(spec: str, *, seed: int, chosen: ColumnChoice = BY_NAME) -> Manifest:
    """Read ``hf:NAME`` or ``hf:NAME:CONFIG``: a dataset of the hub, or a local folder laid out like one.

    ``load_dataset`` downloads it once and writes Arrow files to its cache (HF_HOME). If the hub does not
    answer, the cache is used.

    Raises:
        InputError: it cannot be loaded, or cannot be used (see :func:`read`).
    """
    import datasets

    name, _, config = spec.removeprefix(PREFIX).partition(":")
    if not name:
        raise InputError(f"{spec!r} names no dataset. Pass {_SPELLING}.")
    name = os.path.expanduser(name)
    try:
        if not Path(name).is_dir() and not _hub_answers(name):
            datasets.config.HF_HUB_OFFLINE = True  # else it would retry for half a minute
        parts = datasets.load_dataset(name, config or None)
    except Exception as error:  # no network, name, access or disk: the library raises many types
        raise InputError(f"The dataset {name!r} cannot be loaded ({_reason(error)}). {_CURES}.") from error
    return _manifest(parts, name=spec, seed=seed, chosen=chosen)


def _hub_answers(name: str) -> bool:
    """Return whether the hub answers, with one short request; ``load_dataset`` would retry six times."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().dataset_info(name, timeout=HUB_TIMEOUT_S)
    except (HfHubHTTPError, HFValidationError):  # no such name or no access: load_dataset reports it better
        return True
    except Exception:  # no network: the type depends on the HTTP library
        return False
    return True


def _reason(error: Exception) -> str:
    """Return one line on an error; of a builder, its cause."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__


# --- rows -------------------------------------------------------------------------------------


def _manifest(parts: dict[str, Dataset], *, name: str, seed: int, chosen: ColumnChoice) -> Manifest:
    """Build a manifest from the rows of all splits."""
    foreign = [part for part in parts if canonical_split(part) is None]
    if len(parts) > 1 and foreign:
        cure = _RESHAPE.format("leave these out or rename them")
        raise InputError(
            f"{name} has the splits {', '.join(map(repr, parts))}; {', '.join(map(repr, foreign))} "
            f"is unknown. Use train, val and test. {cure}."
        )
    rows = _Rows()
    for part, dataset in parts.items():
        _add(rows, part, dataset, name, given=part if len(parts) > 1 else "", chosen=chosen)
    if not rows.sample_id:
        first = first_reasons(rows.quarantined)
        raise InputError(f"{name} has no row with a usable image{f' ({first})' if first else ''}.")
    columns = Columns(
        sample_id=rows.sample_id,
        label=rows.label,
        split=rows.split,
        content=rows.content,
        caption=rows.caption,
        group=rows.group,
        images=rows.images,
        unused=rows.unused,
    )
    return manifest_with_splits(name, columns, quarantined=rows.quarantined, seed=seed)


def _add(rows: _Rows, part: str, dataset: Dataset, name: str, *, given: str, chosen: ColumnChoice) -> None:
    """Add the rows of one split. Arrow files are hashed one by one, not kept in memory.

    Args:
        given: the split of all rows; "" if a column may name it.
    """
    column, names = _columns(dataset, chosen, name)
    rows.unused = table_columns.unused(dataset.features, column, chosen)
    paths = _files({part: dataset})
    image_column = column.pop("image")
    text = {
        role: [value for path in paths for value in table_columns.column_as_text(_table(path)[own])]
        for role, own in column.items()
        if role != "label"
    }
    blank = [""] * len(dataset)
    if chosen.labels:
        label = joined_columns(chosen.labels, list(dataset.features), partial(_values, paths), name)
    else:
        label = _labels(paths, column.get("label"), names, name) or blank
    caption, group, split = (text.get(role, blank) for role in ("caption", "group", "split"))
    sample_id = _ids(part, text.get("id", blank))
    at = 0
    for path in paths:
        images = _images(path, image_column)
        for image, content in zip(images, _hashes(images), strict=True):
            if isinstance(content, OSError):
                where = f"{files.printable(str(image))}: " if isinstance(image, Path) else ""
                rows.quarantined.append(Quarantined(sample_id[at], f"{where}{content.strerror}"))
            else:
                rows.sample_id.append(sample_id[at])
                rows.images.append(image)
                rows.content.append(content)
                rows.label.append(label[at])
                rows.caption.append(caption[at])
                rows.group.append(group[at])
                rows.split.append(parse_split(given or split[at], where=f"{name}: {sample_id[at]}"))
            at += 1


def _labels(paths: list[Path], column: str | None, names: Sequence[str] | None, name: str) -> list[str]:
    if column is None:
        return []
    label = [
        table_columns.label_of(one, where=f"{name}: row {row}")
        for row, one in enumerate(_values(paths, column), start=1)
    ]
    return table_columns.class_names(label, names, name=name)


def _values(paths: list[Path], column: str) -> list[object]:
    return [value for path in paths for value in _table(path)[column].to_pylist()]


def _columns(
    dataset: Dataset, chosen: ColumnChoice, name: str
) -> tuple[dict[str, str], Sequence[str] | None]:
    """Return the columns by role, and the names of numeric labels."""
    import datasets

    kinds = dataset.features
    in_bytes = [f.name for f in kinds.arrow_schema if table_columns.holds_bytes(f.type)]
    images = [one for one, kind in kinds.items() if isinstance(kind, datasets.Image)]
    images = images or [one for one in in_bytes if table_columns.is_image(one) or one == chosen.image]
    image_column = table_columns.image_bytes_column(images, chosen, name)
    if image_column is None:
        address = table_columns.web_addresses(kinds)
        cure = _RESHAPE.format("make one with cast_column(…, Image())")
        if address and chosen.image is None:
            cure = f"Download the images of {address!r} with img2dataset, and pass the folder of its shards"
        raise InputError(
            f"{name} has the columns {table_columns.listed(kinds)}, and none is of the type Image. {cure}."
        )
    of_one = {one: kind for one, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)}
    of_lists = {one: getattr(kind, "feature", None) for one, kind in kinds.items()}
    classes = of_one | {one: it for one, it in of_lists.items() if isinstance(it, datasets.ClassLabel)}
    small = [one for one in kinds if one not in in_bytes]
    typed = None if chosen.labels else _typed_label(small, list(of_one or classes), name)
    column = table_columns.by_role(small, replace(chosen, image=None, label=chosen.label or typed), name=name)
    label = classes.get(column.get("label", ""))
    return column | {"image": image_column}, None if label is None else label.names


def _typed_label(present: list[str], classes: list[str], name: str) -> str | None:
    """Return the only ClassLabel; None if there is none, or a column that is called label."""
    if not classes or "label" in map(table_columns.plain, present):
        return None
    if len(classes) > 1:
        raise InputError(
            f"{name} has several labels: {table_columns.listed(classes)}. Name the one to use: "
            "--label-column."
        )
    return classes[0]


def _ids(part: str, given: list[str]) -> list[str]:
    """Return row names: the id column if it is unique, else numbers."""
    if "" in given or len(set(given)) < len(given):
        return [f"{part or 'row'}/{row:08d}" for row in range(len(given))]
    return [f"{part}/{one}" if part else one for one in given]  # each split often counts from 0


# --- files ----------------------------------------------------------------------------------


def _files(parts: Mapping[str, Dataset]) -> list[Path]:
    return [Path(one["filename"]) for part in parts.values() for one in part.cache_files]


def _check(path: Path) -> None:
    """Raise ValueError for an Arrow file whose lengths and offsets are not those of its bytes."""
    table = _table(path)
    if table.num_rows > ROWS_PER_BYTE * path.stat().st_size:
        raise ValueError(f"{path.name} claims {table.num_rows:,} rows")
    table.validate(full=True)  # also finds text that is not UTF-8


# --- images ---------------------------------------------------------------------------------


def _images(path: Path, column: str) -> list[StoredImage]:
    """Return the image of each row of an Arrow file: its cell, or the file that the cell names."""
    cells = _table(path)[column]
    within, named = cells, [None] * len(cells)
    if arrow.types.is_struct(cells.type):
        within = compute.struct_field(cells, "bytes")
        if cells.type.get_field_index("path") >= 0:
            named = compute.struct_field(cells, "path").to_pylist()
    size = compute.binary_length(within).to_pylist()  # does not read the bytes
    return [
        Path(named[row]) if named[row] and not size[row] else ArrowCell(path, column, row)
        for row in range(len(cells))
    ]


def _hashes(images: Sequence[StoredImage]) -> list[str | OSError]:
    """Return the SHA-256 of each image in hex, or an error."""
    wrong = [files.problem(one) if isinstance(one, Path) else "" for one in images]
    hashes = iter(files.hash_images([image for image, bad in zip(images, wrong, strict=True) if not bad]))
    return [OSError(errno.ENOENT, bad) if bad else next(hashes) for bad in wrong]


@lru_cache(maxsize=256)  # memory-mapped: neither read nor kept open
def _table(path: Path) -> arrow.Table:
    """Open an Arrow file of the datasets library. Raises OSError, ArrowException."""
    with arrow.memory_map(str(path)) as file:
        return arrow.ipc.open_stream(file).read_all()
