"""Find exact duplicates: rows with the same image bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainer.core.errors import InputError
from trainer.core.text import count
from trainer.data.manifest import Manifest, rows_by_value

SPLIT_PRIORITY = ("test", "val", "train")  # which duplicate is kept first


class UnionFind:
    """Disjoint sets of names (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def union(self, name: str, to: str) -> None:
        """Merge the sets of ``name`` and ``to``."""
        self._parent[self.find(name)] = self.find(to)

    def find(self, name: str) -> str:
        """Return the representative of a name's set."""
        while self._parent.setdefault(name, name) != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name


def duplicate_rows(content: Sequence[str]) -> list[np.ndarray]:
    """Return the rows of each image that occurs more than once, in order of first appearance."""
    return [np.array(rows) for rows in rows_by_value(content).values() if len(rows) > 1]


def indivisible_units(content: Sequence[str], group: Sequence[str]) -> list[str]:
    """Return the unit of each row that must stay in one split: its group, merged with groups that share an
    image. "" for a row on its own."""
    joined = UnionFind()
    unit = list(group)
    for rows in duplicate_rows(content):
        together = f"\0{content[rows[0]]}"  # cannot be the name of a group
        for row in rows:
            if group[row]:
                joined.union(group[row], to=together)
            else:
                unit[row] = together
    return [joined.find(name) if name else "" for name in unit]


def unit_numbers(manifest: Manifest) -> np.ndarray:
    """Return the unit vector of all rows, int64 [N], for `trainer.stats.units`: rows of one group and copies
    of one image share a number."""
    numbers: dict[str, int] = {}
    unit = indivisible_units(manifest.content, manifest.group)
    return np.array(
        [numbers.setdefault(name or f"\0row {row}", len(numbers)) for row, name in enumerate(unit)],
        dtype=np.int64,
    )


def groups_drawn(manifest: Manifest, split: str = "test") -> int | None:
    """Return how many units the intervals of a split's figures draw; None where every row is one by
    itself."""
    rows = manifest.rows(split)
    count = len(np.unique(unit_numbers(manifest)[rows]))
    return count if count < len(rows) else None


def redundant_rows(manifest: Manifest) -> np.ndarray:
    """Return which rows are redundant duplicates: bool [N].

    One row per image is kept: a test row if there is one, else a val row, else the first."""
    redundant_n = np.zeros(len(manifest), dtype=bool)
    for rows in duplicate_rows(manifest.content):
        rank = [SPLIT_PRIORITY.index(str(manifest.split_n[row])) for row in rows]
        redundant_n[np.delete(rows, int(np.argmin(rank)))] = True
    return redundant_n


def label_conflicts(manifest: Manifest) -> list[np.ndarray]:
    """Return the rows of each image that occurs with several labels, in order of first appearance; where a
    row may have several, with several sets of them."""
    conflicts = []
    for rows in duplicate_rows(manifest.content):
        if manifest.label_nc is not None:
            if (manifest.label_nc[rows] != manifest.label_nc[rows[0]]).any():
                conflicts.append(rows)
            continue
        label_r = manifest.label_n[rows]
        if len(set(label_r[label_r >= 0].tolist())) > 1:
            conflicts.append(rows)
    return conflicts


def drop_label_conflicts(manifest: Manifest, conflicts: Sequence[np.ndarray]) -> Manifest:
    """Return the manifest without the rows of the conflicts, with their number and another digest."""
    dropped = np.concatenate(conflicts)
    kept = manifest.take(np.setdiff1d(np.arange(len(manifest)), dropped))
    digest = hashlib.sha256(f"{manifest.digest} without label conflicts".encode()).hexdigest()
    return replace(kept, digest=digest, dropped_conflicts=manifest.dropped_conflicts + len(dropped))


def describe_label_conflicts(manifest: Manifest, conflicts: Sequence[np.ndarray]) -> str:
    """Return a sentence with the number of conflicts and examples."""
    what = "image" if manifest.images is not None else "vector"
    several = f"{len(conflicts):,} {what}s occur" if len(conflicts) > 1 else f"1 {what} occurs"
    with_what = "several labels" if manifest.label_nc is None else "different sets of labels"
    named = [
        " and ".join(f"{manifest.sample_id[row]} ({_label(manifest, row)})" for row in rows[:3])
        for rows in conflicts[:3]
    ]
    more = "; …" if len(conflicts) > 3 else ""
    return f"{several} with {with_what}: {'; '.join(named)}{more}."


def _label(manifest: Manifest, row: int) -> str:
    number = manifest.label_n[row]
    return manifest.classes[number] if number >= 0 else "no label"


def check_leaks(manifest: Manifest) -> None:
    """Check that no image is in train and also in test or val.

    Raises:
        InputError: there are such images.
    """
    pairs = []
    for rows in duplicate_rows(manifest.content):
        train = [row for row in rows if manifest.split_n[row] == "train"]
        others = [row for row in rows if manifest.split_n[row] != "train"]
        pairs += [(manifest.sample_id[a], manifest.sample_id[b]) for a in train[:1] for b in others]
    if pairs:
        named = "; ".join(f"{a} and {b}" for a, b in pairs[:5]) + ("; …" if len(pairs) > 5 else "")
        raise InputError(
            f"{manifest.name}: {count(len(pairs), 'duplicate')} between train and val or test ({named}), so "
            "scores would be too high. Remove them, pass --drop-duplicates (removes the training rows), or "
            "--allow-leaks to accept them."
        )
