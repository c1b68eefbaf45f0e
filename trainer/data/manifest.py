"""The rows of a data set, and the digest that names exactly these rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import natural_key

SPLITS = ("train", "val", "test")


class StoredImage(Protocol):
    """A picture that is read when somebody wants it: a path, or a place inside a larger file."""

    def read_bytes(self) -> bytes:
        """Raises OSError."""
        ...


class Quarantined(NamedTuple):
    """A file that was found and could not be used."""

    path: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """Rows and their digest. Make one with :func:`build`."""

    name: str  # what --data said, for people
    sample_id: tuple[str, ...]  # unique; relative path for files, "train/000017" for arrays
    label_n: np.ndarray  # int64 [N], index into classes; -1 where a row has no label
    classes: tuple[str, ...]  # natural order: "2" before "10"
    split_n: np.ndarray  # unicode [N]: "train" | "val" | "test"
    caption: tuple[str, ...]  # "" where there is none
    group: tuple[str, ...]  # "" where there is none
    images: tuple[StoredImage | bytes, ...] | None  # where the pictures are; bytes stay undecoded
    content: tuple[str, ...]  # SHA-256 hex of each row's image bytes, or of its vector's bytes
    features_nd: np.ndarray | None  # float32 [N, D] for data that comes as ready features
    quarantined: tuple[Quarantined, ...]
    digest: str  # SHA-256 hex over all rows that were read, in sample_id order
    made_splits: tuple[str, ...] = ()  # the splits that the data did not bring and we drew from its rows
    spoiled: tuple[str, ...] | None = (
        None  # how a row is known to be spoiled, "" if it is not: judges filters,
    )
    # and is never used to train or to choose; None where nothing is known

    def __len__(self) -> int:
        return len(self.sample_id)

    def rows(self, split: str) -> np.ndarray:
        """int64 indices of the rows of ``split``, ascending."""
        return np.flatnonzero(self.split_n == split)

    def take(self, index: np.ndarray | Sequence[int]) -> Manifest:
        """Only the rows of ``index``, in that order. Classes and digest stay: they name the whole data."""
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
            spoiled=None if self.spoiled is None else pick(self.spoiled),
        )


def build_manifest(
    *,
    name: str,
    sample_id: Sequence[str],
    label: Sequence[str],
    split: Sequence[str] | np.ndarray,
    content: Sequence[str],
    caption: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    images: Sequence[StoredImage | bytes] | None = None,
    features_nd: np.ndarray | None = None,
    quarantined: Sequence[Quarantined] = (),
    made_splits: tuple[str, ...] = (),
    spoiled: Sequence[str] | None = None,
) -> Manifest:
    """Put columns together: class indices and the digest are worked out here.

    Args:
        label: the class *name* of each row, "" where it has none.
        caption, group: may be left out, which means "" for every row.

    Raises:
        InputError: two rows have the same ``sample_id``.
    """
    n = len(sample_id)
    caption = tuple(caption) if caption is not None else ("",) * n
    group = tuple(group) if group is not None else ("",) * n
    seen: set[str] = set()
    for one in sample_id:
        if one in seen:
            raise InputError(f"{name}: two rows are both called {one!r}. Give every row a name of its own.")
        seen.add(one)
    classes = tuple(sorted(set(label) - {""}, key=natural_key))
    index = {class_name: i for i, class_name in enumerate(classes)} | {"": -1}
    columns = zip(sample_id, content, label, map(str, split), caption, group, strict=True)
    return Manifest(
        name=name,
        sample_id=tuple(sample_id),
        label_n=np.array([index[class_name] for class_name in label], dtype=np.int64),
        classes=classes,
        split_n=np.array(split, dtype="U5"),
        caption=caption,
        group=group,
        images=None if images is None else tuple(images),
        content=tuple(content),
        features_nd=features_nd,
        quarantined=tuple(quarantined),
        digest=_digest(sorted(columns)),
        made_splits=made_splits,
        spoiled=None if spoiled is None else tuple(spoiled),
    )


def rows_by_value(values: Sequence[str]) -> dict[str, list[int]]:
    """Value → the rows that have it, in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    return rows


def check_trainable(manifest: Manifest) -> None:
    """Refuse data on which no head can be trained, chosen and tested.

    Raises:
        InputError: no rows; rows without a label; one class only; a class with too few rows for the
            splits (three where we drew all splits, two where we drew val from train, one training row
            otherwise); no val or no test rows.
    """
    if len(manifest) == 0:
        raise InputError(f"{manifest.name} has no usable rows{_first_reasons(manifest)}.")
    without = np.flatnonzero(manifest.label_n < 0)
    if len(without):
        raise InputError(
            f"{manifest.name} has {len(without)} rows without a label, such as "
            f"{manifest.sample_id[without[0]]!r}. Heads learn from labels: add them, or leave these rows out."
        )
    if len(manifest.classes) < 2:
        raise InputError(
            f"{manifest.name} has a single class, {manifest.classes[0]!r}; a classifier needs two or more. "
            "Give one folder (or one label) per class."
        )
    _check_classes(manifest)
    for split in ("val", "test"):
        if len(manifest.rows(split)) == 0:
            raise InputError(
                f"{manifest.name} has no {split} rows. Add some, or give the rows without any split and "
                "let 70/15/15 be drawn for you."
            )


def _check_classes(manifest: Manifest) -> None:
    pool = {"train", *manifest.made_splits}
    counts = np.bincount(
        manifest.label_n[np.isin(manifest.split_n, sorted(pool))], minlength=len(manifest.classes)
    )
    few = [f"{manifest.classes[i]!r} ({counts[i]})" for i in np.flatnonzero(counts < len(pool))]
    if few:
        named = ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "")
        wanted = " + ".join(split for split in SPLITS if split in pool)
        raise InputError(
            f"{manifest.name}: too few rows of {named}. Each class needs at least {len(pool)} for {wanted}. "
            "Add rows of these classes, merge them into others or leave them out."
        )
    in_train = np.bincount(manifest.label_n[manifest.rows("train")], minlength=len(manifest.classes))
    absent = [manifest.classes[i] for i in np.flatnonzero(in_train == 0)]
    if absent:
        raise InputError(
            f"{manifest.name}: no training row of {', '.join(map(repr, absent[:10]))}. Groups are never "
            "divided between splits, so a class needs rows in several groups; add some or leave it out."
        )


def _digest(rows: list[tuple[str, ...]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _first_reasons(manifest: Manifest) -> str:
    first = "; ".join(f"{path}: {reason}" for path, reason in manifest.quarantined[:3])
    return f" ({len(manifest.quarantined)} files could not be used, such as {first})" if first else ""
