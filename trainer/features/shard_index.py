"""The shards of one key in memory: where each image's vector is, and which shards do not fit the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from trainer.features.shard import Shard


class ShardIndex:
    """Shards whose vectors have one width, and agree about the images that they share.

    Attributes:
        shards: by name.
        where: content → name of the shard, row.
        width: numbers of each vector; None while it is not known.
        different: images with different vectors in two shards, of which the first was taken.
    """

    def __init__(self, width: int | None = None, *, first_counts: bool = False) -> None:
        """
        Args:
            first_counts: of different vectors of an image take that of the first shard, by name, instead of
                refusing the other shard: machines of two kinds may have encoded it.
        """
        self.shards: dict[str, Shard] = {}
        self.where: dict[str, tuple[str, int]] = {}
        self.width = width
        self.different: set[str] = set()
        self._first_counts = first_counts

    def add(self, new: Iterable[Shard]) -> dict[str, str]:
        """Add the shards that fit; vectors of an encoder are believed before imported ones.

        Returns:
            Names of the others, and why they do not fit.
        """
        ordered = sorted(new, key=lambda shard: shard.note.imported != "")
        if self.width is None:
            self.width = _usual_width(ordered)
        refused = {}
        for shard in ordered:
            name, reason = shard.note.name, self._misfit(shard)
            if reason is not None:
                refused[name] = reason
                continue
            self.shards[name] = shard
            for row, one in enumerate(shard.content):
                self.where.setdefault(one, (name, row))
        return refused

    def adopt_width(self, width: int) -> dict[str, str]:
        """Take the width from the encoder. Returns the names of the shards that this removed, and why."""
        self.width = width
        removed = {name: reason for name, shard in self.shards.items() if (reason := self._misfit(shard))}
        for name in removed:
            del self.shards[name]
        if removed:
            self.where = {one: place for one, place in self.where.items() if place[0] in self.shards}
        return removed

    def _misfit(self, shard: Shard) -> str | None:
        if shard.note.d != self.width:
            return f"its vectors have {shard.note.d} numbers, and those of this key have {self.width}"
        for row, one in enumerate(shard.content):
            if one not in self.where:
                continue
            name, other = self.where[one]
            if shard.vectors_nd[row].tobytes() != self.shards[name].vectors_nd[other].tobytes():
                if self._first_counts:
                    self.different.add(one)
                    continue
                return f"its vector of the image {one[:16]} is not that in shard {name}"
        return None


def _usual_width(shards: Sequence[Shard]) -> int | None:
    """Return the width of most vectors that an encoder made; where none did, of most."""
    counted: Counter[tuple[bool, int]] = Counter()
    for shard in shards:
        counted[not shard.note.imported, shard.note.d] += shard.note.n
    return max(counted, key=lambda one: (one[0], counted[one]))[1] if counted else None
