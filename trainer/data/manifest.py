"""Rows of a dataset and their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count, natural_key
from trainer.data.class_names import check_class_names
from trainer.data.label_numbers import check_numbers, quantity_hint
from trainer.data.label_sets import check_labels
from trainer.data.table_columns import LABELS_JOINED_BY, JoinedLabels, listed

SPLITS = ("train", "val", "test")


class StoredImage(Protocol):
    """An image that is read on demand: a path, or a range inside a larger file."""

    def read_bytes(self) -> bytes:
        """Read the bytes. Raises OSError."""
        ...


class Quarantined(NamedTuple):
    """A file that cannot be used, and why."""

    path: str
    reason: str


def first_reasons(quarantined: Iterable[tuple[str, str]], *, most: int = 3) -> str:
    """Return the first reasons, each with a file and how many more it holds of; "" for none."""
    path_of: dict[str, list[str]] = {}
    for path, reason in quarantined:
        path_of.setdefault(reason, []).append(path)
    named = [
        f"{paths[0]}{f' and {len(paths) - 1:,} more' if paths[1:] else ''}: {reason}"
        for reason, paths in list(path_of.items())[:most]
    ]
    return "; ".join(named) + ("; …" if len(path_of) > most else "")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of a dataset as a reader collects them, one entry per row."""

    sample_id: Sequence[str]  # unique
    content: Sequence[str]  # SHA-256 hex of the image's or the vector's bytes
    label: Sequence[str]  # class *names*, "" for no label; several as `JoinedLabels`
    split: Sequence[str] | np.ndarray  # "" if unknown
    caption: Sequence[str] | None = None  # None: "" for every row
    group: Sequence[str] | None = None  # None: "" for every row
    images: Sequence[StoredImage | bytes] | None = None
    features_nd: np.ndarray | None = None  # float32 [N, D]
    corrupted: Sequence[str] | None = None
    notes: Sequence[str] = ()  # as of a Manifest
    unused: Sequence[str] = ()


@dataclass(frozen=True)
class Manifest:
    """Rows of a dataset and their digest. Created by :func:`build_manifest`."""

    name: str  # as passed to --data
    sample_id: tuple[str, ...]  # unique; relative path for files, "train/000017" for arrays
    label_n: np.ndarray  # int64 [N], index into classes; -1 where a row has no label
    classes: tuple[str, ...]  # natural order: "2" before "10"
    split_n: np.ndarray  # unicode [N]: "train" | "val" | "test"
    caption: tuple[str, ...]  # "" where there is none
    group: tuple[str, ...]  # "" where there is none
    images: tuple[StoredImage | bytes, ...] | None  # not decoded
    content: tuple[str, ...]  # SHA-256 hex of each row's image bytes, or of its vector's bytes
    features_nd: np.ndarray | None  # float32 [N, D] of precomputed features
    quarantined: tuple[Quarantined, ...]
    digest: str  # SHA-256 hex over all rows that were read, in sample_id order
    drawn_splits: tuple[str, ...] = ()  # splits that the data does not have and that were drawn
    # Known corruption of each row ("" = clean, None = unknown); used to score filters, never for training or
    # selection.
    corrupted: tuple[str, ...] | None = None
    # Files that are no rows and no quarantined ones, by extension ("" for none): not counted as found.
    passed_over: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what the reader passed over, guessed or found odd, a sentence each
    unused: tuple[str, ...] = ()  # names of columns or arrays that were not read
    dropped_conflicts: int = 0  # rows that were read and dropped, because copies had another label
    target_n: np.ndarray | None = None  # float64 [N], where a number is learned, and not a class
    joined: bool = False  # some label is a list of several, or there was one column per label
    labels: tuple[str, ...] = ()  # names of the labels, in natural order, where a row may have several
    label_nc: np.ndarray | None = None  # bool [N, C], which row has which of them
    label_separator: str = LABELS_JOINED_BY  # between them in the names of ``classes``
    bits: int | None = None  # that 16-bit images use, see trainer.data.bit_depth; None: there are none

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def target(self) -> Literal["class", "number", "labels"]:
        """What is learned of a row: its class, a number, or which of several labels it has."""
        if self.label_nc is not None:
            return "labels"
        return "class" if self.target_n is None else "number"

    @property
    def learned_n(self) -> np.ndarray:
        """What heads learn: numbers float64 [N], several labels bool [N, C], else ``label_n``."""
        if self.label_nc is not None:
            return self.label_nc
        return self.label_n if self.target_n is None else self.target_n

    def rows(self, split: str) -> np.ndarray:
        """Return the indices of the rows of ``split``: int64, ascending."""
        return np.flatnonzero(self.split_n == split)

    def take(self, index: np.ndarray | Sequence[int]) -> Manifest:
        """Return the rows of ``index``, in that order. Classes and digest stay those of the whole data."""
        index = np.asarray(index, dtype=np.int64)

        def pick(values: tuple) -> tuple:
            return tuple(values[i] for i in index)

        return replace(
            self,
            sample_id=pick(self.sample_id),
            label_n=self.label_n[index],
            split_n=self.split_n[index],
            caption=pick(self.caption),
            group=pick(self.group),
            images=None if self.images is None else pick(self.images),
            content=pick(self.content),
            features_nd=None if self.features_nd is None else self.features_nd[index],
            corrupted=None if self.corrupted is None else pick(self.corrupted),
            target_n=None if self.target_n is None else self.target_n[index],
            label_nc=None if self.label_nc is None else self.label_nc[index],
        )


def build_manifest(
    name: str,
    columns: Columns,
    *,
    quarantined: Sequence[Quarantined] = (),
    drawn_splits: tuple[str, ...] = (),
) -> Manifest:
    """Build a manifest from columns: number the classes and compute the digest.

    Raises:
        InputError: two rows have the same ``sample_id``.
    """
    n = len(columns.sample_id)
    caption = ("",) * n if columns.caption is None else tuple(columns.caption)
    group = ("",) * n if columns.group is None else tuple(columns.group)
    seen: set[str] = set()
    for one in columns.sample_id:
        if one in seen:
            raise InputError(f"{name}: two rows are named {one!r}. Give every row a unique name.")
        seen.add(one)
    classes = tuple(sorted(set(columns.label) - {""}, key=natural_key))
    index = {class_name: i for i, class_name in enumerate(classes)} | {"": -1}
    rows = zip(
        columns.sample_id,
        columns.content,
        columns.label,
        map(str, columns.split),
        caption,
        group,
        strict=True,
    )
    return Manifest(
        name=name,
        sample_id=tuple(columns.sample_id),
        label_n=np.array([index[class_name] for class_name in columns.label], dtype=np.int64),
        classes=classes,
        split_n=np.array(columns.split, dtype="U5"),
        caption=caption,
        group=group,
        images=None if columns.images is None else tuple(columns.images),
        content=tuple(columns.content),
        features_nd=columns.features_nd,
        quarantined=tuple(quarantined),
        digest=_digest(sorted(rows)),
        drawn_splits=drawn_splits,
        corrupted=None if columns.corrupted is None else tuple(columns.corrupted),
        notes=tuple(columns.notes),
        unused=tuple(columns.unused),
        joined=any(isinstance(one, JoinedLabels) and LABELS_JOINED_BY in one for one in columns.label),
    )


def rows_by_value(values: Sequence[str]) -> dict[str, list[int]]:
    """Map each value to the rows that have it, in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    return rows


def check_trainable(manifest: Manifest) -> None:
    """Raise InputError for data on which no head can be trained, selected and tested.

    Raises:
        InputError: no rows; numbers or several labels per row that cannot be learned (see
            :func:`check_numbers` and :func:`check_labels`); rows without a label;
            one class only; classes that are none (see
            :func:`check_class_names`); a class with too few rows for the
            splits (three if all splits were drawn, two if val was drawn from train, else one training row);
            no val or no test rows.
    """
    if len(manifest) == 0:
        raise InputError(f"{manifest.name} has no usable rows{_unusable(manifest)}.")
    if manifest.label_nc is not None:
        check_labels(manifest.name, manifest.labels, manifest.label_nc, manifest.split_n)
    else:
        _check_single_labels(manifest)
    for split in ("val", "test"):
        if len(manifest.rows(split)) == 0:
            raise InputError(
                f"{manifest.name} has no {split} rows. Add some, or omit all splits to draw 70/15/15."
            )


def _check_single_labels(manifest: Manifest) -> None:
    without = np.flatnonzero(manifest.label_n < 0)
    if len(without) == len(manifest):
        raise InputError(f"{manifest.name} has no labels, and a classifier needs them. {_cure(manifest)}")
    if len(without):
        raise InputError(
            f"{manifest.name} has {count(len(without), 'row')} without a label, such as "
            f"{manifest.sample_id[without[0]]!r}. Add labels, or remove these rows."
        )
    if manifest.target_n is not None:
        check_numbers(manifest.name, manifest.target_n, manifest.split_n)
    else:
        _check_classes(manifest)


def _cure(manifest: Manifest) -> str:
    if not manifest.unused:
        return (
            "Put the images into one folder per class, or give each a label in a table or in a metadata.csv "
            "(file_name, label)."
        )
    return (
        f"No column has the name of a label; the others are {listed(manifest.unused)}. If one of them is the "
        "label, name it: --label-column."
    )


def _check_classes(manifest: Manifest) -> None:
    if len(manifest.classes) < 2:
        raise InputError(
            f"{manifest.name} has a single class, {manifest.classes[0]!r}; a classifier needs two or more. "
            "Give one folder (or one label) per class."
        )
    check_class_names(manifest.name, manifest.classes, manifest.label_n)
    _check_rows_of_classes(manifest)


def _check_rows_of_classes(manifest: Manifest) -> None:
    pool = {"train", *manifest.drawn_splits}
    counts = np.bincount(
        manifest.label_n[np.isin(manifest.split_n, sorted(pool))], minlength=len(manifest.classes)
    )
    few = [f"{manifest.classes[i]!r} ({counts[i]})" for i in np.flatnonzero(counts < len(pool))]
    if few:
        named = ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "")
        wanted = " + ".join(split for split in SPLITS if split in pool)
        raise InputError(
            f"{manifest.name}: too few rows of {named}. Each class needs at least {len(pool)} for {wanted}. "
            "Add rows of these classes, merge them into others or remove them."
            f"{quantity_hint(manifest.classes)}"
        )
    in_train = np.bincount(manifest.label_n[manifest.rows("train")], minlength=len(manifest.classes))
    absent = [manifest.classes[i] for i in np.flatnonzero(in_train == 0)]
    if absent:
        raise InputError(
            f"{manifest.name}: no training row of {', '.join(map(repr, absent[:10]))}. Groups are never "
            "divided between splits, so a class needs rows in several groups; add some or remove it."
        )


def _digest(rows: list[tuple[str, ...]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _unusable(manifest: Manifest) -> str:
    first = first_reasons(manifest.quarantined)
    return f" ({count(len(manifest.quarantined), 'file')} could not be used: {first})" if first else ""
