"""The same image more than once: counted always, never divided between splits that we draw, refused where
it stands in train and in test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.core.errors import InputError
from trainer.data.manifest import Manifest, rows_by_value

SPLIT_PRIORITY = ("test", "val", "train")  # test rows are never filtered


class UnionFind:
    """Names that belong together, directly or in several steps (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, name: str, to: str) -> None:
        """From now on ``name``, and all that it stands with, goes by what ``to`` goes by."""
        self._parent[self.root(name)] = self.root(to)

    def root(self, name: str) -> str:
        """The one name by which all that belong together go."""
        while self._parent.setdefault(name, name) != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name


def duplicate_rows(content: Sequence[str]) -> list[np.ndarray]:
    """For each image that several rows hold, these rows; images in order of first appearance."""
    return [np.array(rows) for rows in rows_by_value(content).values() if len(rows) > 1]


def indivisible_units(content: Sequence[str], group: Sequence[str]) -> list[str]:
    """Groups with the same image's rows joined: what must not be divided. "" is a row that stands alone."""
    joined = UnionFind()
    unit = list(group)
    for rows in duplicate_rows(content):
        together = f"\0{content[rows[0]]}"  # no group that data can bring
        for row in rows:
            if group[row]:
                joined.join(group[row], to=together)
            else:
                unit[row] = together
    return [joined.root(name) if name else "" for name in unit]


def redundant_rows(manifest: Manifest) -> np.ndarray:
    """bool [N]: a row whose image another row has, too, and which can go. Of each image one row stays: a
    test row if there is one, else one of val, else the first."""
    again_n = np.zeros(len(manifest), dtype=bool)
    for rows in duplicate_rows(manifest.content):
        rank = [SPLIT_PRIORITY.index(str(manifest.split_n[row])) for row in rows]
        again_n[np.delete(rows, int(np.argmin(rank)))] = True
    return again_n


def refuse_leaks(manifest: Manifest) -> None:
    """Refuse data in which one image stands in train and in test or val.

    Raises:
        InputError: naming pairs and what can be done.
    """
    pairs = []
    for rows in duplicate_rows(manifest.content):
        train = [row for row in rows if manifest.split_n[row] == "train"]
        others = [row for row in rows if manifest.split_n[row] != "train"]
        pairs += [(manifest.sample_id[a], manifest.sample_id[b]) for a in train[:1] for b in others]
    if pairs:
        named = "; ".join(f"{a} and {b}" for a, b in pairs[:5]) + ("; …" if len(pairs) > 5 else "")
        raise InputError(
            f"{manifest.name}: {len(pairs)} images of test or val stand in train as well ({named}). A head "
            "would be judged on what it has learnt by heart. Remove them, pass --drop-duplicates (the "
            "training rows go), or --allow-leaks if this is meant."
        )
