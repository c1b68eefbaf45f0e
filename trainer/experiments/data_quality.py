"""Data quality of an extraction: copies, near-duplicates, extremes; and how the page gets to see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from trainer.core.console import say
from trainer.data.duplicates import duplicate_rows, redundant_rows
from trainer.data.image_quality import MEASURE_NAMES, hashes_of_measures
from trainer.data.near_duplicates import MIN_COSINE, NearDuplicates, Thresholds, near_duplicates
from trainer.data.thumbnails import thumbnails
from trainer.features.extract import Features
from trainer.stats.share_cut import shares_cut
from trainer.tracking import tables
from trainer.tracking.schema import Artifact, Duplicates, Extracted, Images
from trainer.tracking.writer import RunWriter

# Every pair is looked at: on two cores half a million hashes take three minutes, so do 50,000 vectors alone.
MOST_IMAGES, MOST_VECTORS = 500_000, 50_000
LEAST_COSINE_ALONE = 0.95  # of vectors without images, see near_duplicates
NAMED = 5  # pairs that are named on the terminal
SIDE = 96  # pixels of a thumbnail: two are to be told apart


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of one kind between two splits, the most alike first."""

    kind: str  # Duplicates.SAME or NEAR
    between: str  # one of Duplicates.BETWEEN
    rows_p2: np.ndarray  # int64 [P, 2]
    similarity_p: np.ndarray  # float32 [P]


class Quality:
    """What is to be said of an extraction's rows."""

    def __init__(self, features: Features) -> None:
        """Looks for near-duplicates at once: seconds, or minutes for hundreds of thousands of rows."""
        self._features, self._manifest = features, features.manifest
        # Each image once, for a test row if it has one: its copies are known without comparing.
        distinct_n = ~redundant_rows(self._manifest)
        compared_n, self._most, cosine = distinct_n, MOST_VECTORS, LEAST_COSINE_ALONE
        if features.measures_nm is not None:
            compared_n = distinct_n & np.isfinite(features.measures_nm).all(axis=1)
            self._most, cosine = MOST_IMAGES, MIN_COSINE
        self._too_many = int(compared_n.sum()) > self._most
        self._rows = np.flatnonzero(compared_n & (not self._too_many))
        self._not_compared = int(distinct_n.sum()) - len(self._rows)
        self._near: NearDuplicates | None = None
        if len(self._rows) > 1:
            measured = features.measures_nm
            self._near = near_duplicates(
                self._manifest.split_n[self._rows],
                hash_nb=None if measured is None else hashes_of_measures(measured[self._rows]),
                vectors_nd=features.vectors_nd[self._rows],
                thresholds=Thresholds(min_cosine=cosine),
            )

    @cached_property
    def pairs(self) -> list[Pairs]:
        """Copies and near-duplicates, leaks first."""
        return [
            pairs
            for between in Duplicates.BETWEEN
            for pairs in (*self._copies(between), *self._alike(between))
        ]

    @property
    def group_n(self) -> np.ndarray | None:
        """Near-duplicates and copies share a number, int64 [N]; a row that was not compared stands alone.
        None where there were too many to compare."""
        if self._too_many:
            return None
        group_n = np.arange(len(self._manifest))
        if self._near is not None:
            group_n[self._rows] = self._rows[self._near.group_n]
        for stays, row in self._same:
            group_n[row] = group_n[stays]
        return group_n

    def figures(self) -> dict[str, Any]:
        """Return the figures for the last line on stdout, by the names of :class:`Extracted`."""
        near, pairs = self._near, self.pairs
        known = (
            [] if near is None else [b for b in Duplicates.BETWEEN if set(b.split("/")) <= set(near.splits)]
        )
        return {
            Extracted.SAME_BYTES: {p.between: len(p.rows_p2) for p in pairs if p.kind == Duplicates.SAME},
            Extracted.NEAR_DUPLICATES: {b: near.pairs(*b.split("/")) for b in known} if near else {},
            Extracted.NEAR_LEAKS: sum(len(leaks.rows_p2) for leaks in self._leaks()),
            Extracted.NOT_COMPARED: self._not_compared,
        }

    def tell(self) -> None:
        """Say on the terminal what a person should know."""
        found = {between: n for between, n in self.figures()[Extracted.NEAR_DUPLICATES].items() if n}
        counts = ", ".join(f"{n} {between}" for between, n in found.items()) or "none"
        what = "vectors" if self._manifest.images is None else "images"
        say(f"Near-duplicates among {len(self._rows)} different {what}: {counts}.")
        for pairs in self.pairs:
            if pairs.kind == Duplicates.NEAR:
                say(f"  {pairs.between}: {self._named(pairs)}")
        if self._too_many:
            say(f"Near-duplicates: not searched among more than {self._most:,} {what}.")
        elif self._not_compared:
            say(
                f"{self._not_compared} images not compared: their vectors were stored without measures. To "
                "measure them, prune the encoder's key (python -m trainer.cache) and extract again."
            )
        for leaks in self._leaks():
            judged, learnt = leaks.between.split("/")
            say(
                f"Warning: {len(leaks.rows_p2)} {judged} {what} have near-duplicates in {learnt}, so scores "
                "may be too high. See Data quality."
            )

    def log(self, writer: RunWriter) -> None:
        """Write the tables that the page shows."""
        manifest, report = self._manifest, self._features.report
        entries = [(entry.path, entry.reason) for entry in report.quarantined]
        writer.table(Artifact.QUARANTINE, tables.quarantine(entries))
        rows_p2 = np.concatenate([np.empty((0, 2), np.int64), *(pairs.rows_p2 for pairs in self.pairs)])
        frame = tables.duplicates(
            rows_p2,
            similarity_p=np.concatenate([np.empty(0, np.float32), *(p.similarity_p for p in self.pairs)]),
            kind=[pairs.kind for pairs in self.pairs for _ in pairs.similarity_p],
            sample_id=manifest.sample_id,
            split_n=manifest.split_n,
        )
        writer.table(Artifact.DUPLICATES, frame)
        shown = sorted({*self._extremes(), *self._shown_in_pairs()})
        frame = tables.images(
            manifest,
            measures=self._measures(),
            thumbnails=dict(zip(shown, thumbnails(manifest, shown, side=SIDE), strict=True)),
            field_n6=self._features.field_n6,
        )
        writer.table(Artifact.IMAGES, frame)

    def _copies(self, between: str) -> Iterator[Pairs]:
        split_n = self._manifest.split_n
        kept = [
            (int(stays), int(row))
            for stays, row in self._same
            if f"{split_n[stays]}/{split_n[row]}" == between
        ]
        if kept:
            yield Pairs(Duplicates.SAME, between, np.array(kept), np.ones(len(kept), np.float32))

    @cached_property
    def _same(self) -> list[tuple[int, int]]:
        """For each row that can go, the one with the same image that stays, and itself; those whose labels
        differ come first."""
        again_n, label_n = redundant_rows(self._manifest), self._manifest.label_n
        pairs = [
            (rows[~again_n[rows]][0], row)
            for rows in duplicate_rows(self._manifest.content)
            for row in rows[again_n[rows]]
        ]
        return sorted(pairs, key=lambda pair: bool(label_n[pair[0]] == label_n[pair[1]]))

    def _alike(self, between: str) -> Iterator[Pairs]:
        one, other = between.split("/")
        if self._near is not None and {one, other} <= set(self._near.splits):
            pairs_p2, similarity_p = self._near.closest(one, other)
            if len(pairs_p2):
                yield Pairs(Duplicates.NEAR, between, self._rows[pairs_p2], similarity_p)

    def _leaks(self) -> list[Pairs]:
        leaks = ("test/train", "val/train")
        return [p for p in self.pairs if p.kind == Duplicates.NEAR and p.between in leaks]

    def _named(self, pairs: Pairs) -> str:
        ids = self._manifest.sample_id
        named = [
            f"{ids[a]} and {ids[b]} ({similarity:.2f})"
            for (a, b), similarity in zip(pairs.rows_p2[:NAMED], pairs.similarity_p, strict=False)
        ]
        return "; ".join(named) + ("; …" if len(pairs.rows_p2) > NAMED else "")

    def _measures(self) -> dict[str, np.ndarray]:
        """Return the measures by name, [N] each; NaN where an image was not measured."""
        measures_nm = self._features.measures_nm
        if measures_nm is None:
            measures_nm = np.full((len(self._manifest), len(MEASURE_NAMES)), np.nan)
        return {name: measures_nm[:, MEASURE_NAMES.index(name)] for name in Images.MEASURES}

    def _extremes(self) -> Iterator[int]:
        """Return the rows at either end of each measure that the page shows."""
        measures = self._measures()
        measures[Images.SIZE] = np.minimum(measures[Images.WIDTH], measures[Images.HEIGHT])
        for name in Images.SHOWN:
            order = np.argsort(measures[name], kind="stable")[: np.isfinite(measures[name]).sum()]
            yield from order[: Images.EXTREMES].tolist()
            yield from order[-Images.EXTREMES :].tolist()
        if (field_n6 := self._features.field_n6) is not None:
            cut_n = np.nan_to_num(shares_cut(field_n6))
            yield from np.argsort(-cut_n, kind="stable")[
                : min(Images.EXTREMES, np.count_nonzero(cut_n))
            ].tolist()

    def _shown_in_pairs(self) -> Iterator[int]:
        for pairs in self.pairs:
            yield from pairs.rows_p2[: Duplicates.PAIRS].ravel().tolist()
