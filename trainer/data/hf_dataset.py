"""A Hugging Face data set, saved in a folder or called by name → rows. Images stay in its Arrow files."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as arrow
import pyarrow.compute as compute

from trainer.core.errors import InputError, first_line
from trainer.data import files, table_columns
from trainer.data.manifest import Columns, Manifest, Quarantined, StoredImage
from trainer.data.split import canonical_split, manifest_with_splits, parse_split

if TYPE_CHECKING:  # half a second to import, and only this source needs it
    from datasets import Dataset

PREFIX = "hf:"
HUB_TIMEOUT_S = 5  # without a network the answer should come in seconds
_SPELLING = f"{PREFIX}owner/name or {PREFIX}owner/name:config"
_CURES = (
    f"Check the spelling, {_SPELLING}. A gated one wants its terms accepted and `hf auth login`. Without a "
    "network, or for one that needs a script: write it with save_to_disk where it can be loaded, and pass "
    "that folder"
)
_RESHAPE = "Load it with the datasets library, {}, write it with save_to_disk and pass that folder"


@dataclass(frozen=True)
class ArrowCell:
    """An image's bytes in an Arrow file. Like a path, it is read when somebody wants it."""

    path: Path
    column: str
    row: int  # in the file

    def read_bytes(self) -> bytes:
        """Raises OSError as a path would, also where the cell is empty."""
        try:
            data = table_columns.bytes_of(_table(self.path)[self.column][self.row])
        except (arrow.ArrowException, LookupError) as error:  # another file has taken its place
            raise OSError(errno.EIO, f"{self.path.name}: {first_line(error)}") from error
        if not data:
            raise OSError(errno.ENODATA, f"neither bytes nor a path in {self.column}")
        return data


@dataclass
class _Rows:
    """Columns of the manifest on their way."""

    sample_id: list[str] = field(default_factory=list)
    images: list[StoredImage] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)


def is_saved(path: Path) -> bool:
    """Did ``save_to_disk`` of a Dataset or a DatasetDict write this folder?"""
    return (path / "dataset_dict.json").is_file() or (
        (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    )


def read(path: Path, *, name: str, seed: int) -> Manifest:
    """Read the folder that ``save_to_disk`` wrote.

    Images are the first column of type Image, or one called so that holds bytes; the other columns are
    called as in a table, and a single ClassLabel is the label under any name. Several splits are those of the
    data, a single one (or a Dataset) is drawn from. Rows without an image are quarantined.

    Raises:
        InputError: unreadable; no images; several columns that may be the label; a split of another name.
    """
    import datasets

    try:
        data = datasets.load_from_disk(path, keep_in_memory=False)
    except Exception as error:  # a folder that is not whole: the library raises many kinds
        raise InputError(
            f"{name} was written by save_to_disk and cannot be read ({first_line(error)}). Write it again."
        ) from error
    return _manifest(data if isinstance(data, dict) else {"": data}, name=name, seed=seed)


def read_hub(asked: str, *, seed: int) -> Manifest:
    """Read ``hf:NAME`` or ``hf:NAME:CONFIG``: a data set of the hub, or a local folder laid out like one.

    ``load_dataset`` fetches it and writes it once as Arrow files into its cache (HF_HOME), which takes disk
    and no memory. Where the hub does not answer, what was loaded before is used.

    Raises:
        InputError: it cannot be had, or cannot be used as rows (see :func:`read`).
    """
    import datasets

    name, _, config = asked.removeprefix(PREFIX).partition(":")
    if not name:
        raise InputError(f"{asked!r} names no data set. Pass {_SPELLING}.")
    name = os.path.expanduser(name)
    try:
        if not Path(name).is_dir() and not _hub_answers(name):
            datasets.config.HF_HUB_OFFLINE = True  # else it would try for half a minute, then use its cache
        parts = datasets.load_dataset(name, config or None)
    except Exception as error:  # no network, no such name, no access, no disk: the library raises many kinds
        raise InputError(f"The data set {name!r} cannot be loaded ({_reason(error)}). {_CURES}.") from error
    return _manifest(parts, name=asked, seed=seed)


def _hub_answers(name: str) -> bool:
    """One short request, where ``load_dataset`` would repeat its own six times."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().dataset_info(name, timeout=HUB_TIMEOUT_S)
    except (HfHubHTTPError, HFValidationError):  # no such name, no access: load_dataset will say it better
        return True
    except Exception:  # no network: the kinds are those of whichever HTTP library the hub's uses
        return False
    return True


def _reason(error: Exception) -> str:
    """One line; what a builder ran into is only the cause of what it raises."""
    return " ".join(str(error.__cause__ or error).split()) or type(error).__name__


# --- rows -------------------------------------------------------------------------------------


def _manifest(parts: dict[str, Dataset], *, name: str, seed: int) -> Manifest:
    """Rows of all parts (its splits, by their name)."""
    foreign = [part for part in parts if canonical_split(part) is None]
    if len(parts) > 1 and foreign:
        cure = _RESHAPE.format("leave these out or rename them")
        raise InputError(
            f"{name} has the splits {', '.join(map(repr, parts))}; Headroom does not know what "
            f"{', '.join(map(repr, foreign))} is for. Use train, val and test. {cure}."
        )
    rows = _Rows()
    for part, dataset in parts.items():
        _add(rows, part, dataset, name, given=part if len(parts) > 1 else "")
    if not rows.sample_id:
        first = "; ".join(f"{row}: {reason}" for row, reason in rows.quarantined[:3])
        raise InputError(f"{name} has no row with a usable image{f' ({first})' if first else ''}.")
    columns = Columns(
        sample_id=rows.sample_id,
        label=rows.label,
        split=rows.split,
        content=rows.content,
        caption=rows.caption,
        group=rows.group,
        images=rows.images,
    )
    return manifest_with_splits(name, columns, quarantined=rows.quarantined, seed=seed)


def _add(rows: _Rows, part: str, dataset: Dataset, name: str, *, given: str) -> None:
    """Add the rows of one part. One Arrow file after the other is hashed, none of it is kept.

    Args:
        given: the split of all its rows; "" where a column may name it.
    """
    column, names = _columns(dataset, name)
    paths = [Path(one["filename"]) for one in dataset.cache_files]
    image_column = column.pop("image")
    text = {
        role: [value for path in paths for value in table_columns.column_as_text(_table(path)[own])]
        for role, own in column.items()
    }
    blank = [""] * len(dataset)
    label = table_columns.class_names(text.get("label", blank), names)
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


def _columns(dataset: Dataset, name: str) -> tuple[dict[str, str], Sequence[str] | None]:
    """Role → the data set's own name of the column; and the classes that its labels are numbers of."""
    import datasets

    kinds = dataset.features
    schema = kinds.arrow_schema
    image = next((one for one, kind in kinds.items() if isinstance(kind, datasets.Image)), None)
    image_column = image or table_columns.image_bytes_column(schema)
    if image_column is None:
        cure = _RESHAPE.format("make one with cast_column(…, Image())")
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, kinds))}, and none is of the type Image. {cure}."
        )
    column = table_columns.by_role(f.name for f in schema if not table_columns.holds_bytes(f.type))
    classes = {one: kind.names for one, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)}
    if "label" not in column and len(classes) > 1:
        cure = _RESHAPE.format("rename the one that you mean to label")
        raise InputError(f"{name} has several labels: {', '.join(map(repr, classes))}. {cure}.")
    if "label" not in column and classes:
        (column["label"],) = classes
    return column | {"image": image_column}, classes.get(column.get("label", ""))


def _ids(part: str, given: list[str]) -> list[str]:
    """What the rows are called: the id column, if it tells them apart, else their numbers."""
    if "" in given or len(set(given)) < len(given):
        return [f"{part or 'row'}/{row:08d}" for row in range(len(given))]
    return [f"{part}/{one}" if part else one for one in given]  # splits often count from 0 each


# --- images ---------------------------------------------------------------------------------


def _images(path: Path, column: str) -> list[StoredImage]:
    """Where the image of every row of an Arrow file is: in the cell, or in the file that the cell names."""
    cells = _table(path)[column]
    within, named = cells, [None] * len(cells)
    if arrow.types.is_struct(cells.type):
        within = compute.struct_field(cells, "bytes")
        if cells.type.get_field_index("path") >= 0:
            named = compute.struct_field(cells, "path").to_pylist()
    size = compute.binary_length(within).to_pylist()  # lengths are known without reading the bytes
    return [
        Path(named[row]) if named[row] and not size[row] else ArrowCell(path, column, row)
        for row in range(len(cells))
    ]


def _hashes(images: Sequence[StoredImage]) -> list[str | OSError]:
    """SHA-256 hex of each image, or why there is none."""
    wrong = [files.problem(one) if isinstance(one, Path) else "" for one in images]
    hashes = iter(files.hash_images([image for image, bad in zip(images, wrong, strict=True) if not bad]))
    return [OSError(errno.ENOENT, bad) if bad else next(hashes) for bad in wrong]


@lru_cache(maxsize=256)  # mapped into memory: neither read nor kept open
def _table(path: Path) -> arrow.Table:
    """An Arrow file as the datasets library writes it. Raises OSError, ArrowException."""
    with arrow.memory_map(str(path)) as file:
        return arrow.ipc.open_stream(file).read_all()
