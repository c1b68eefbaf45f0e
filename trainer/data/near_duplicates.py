"""Near-duplicates among N rows. Every pair is looked at; what is kept grows with N, not with the pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trainer.stats.vectors import unit_rows

# With 16 × 16 colours as vectors: of 650 Flickr photos stored again as JPEG, halved, made lighter or darker,
# or written on, all are found; cropped by 5 %, 96 %; mirrored, none. No two of the 650 are taken for alike.
MAX_BITS = 8  # of 64
MIN_COSINE = 0.9  # of centred vectors
BLOCK = 1024  # rows that are compared with as many others at once: 60 MB with 2,048 columns


class Thresholds(NamedTuple):
    """When two rows are near-duplicates.

    ``min_cosine`` is above 0. Without hashes ask for 0.95 or more: 5,714 CLIP vectors of Caltech-101 make
    1,028 pairs at 0.9, 172 at 0.95.
    """

    max_bits: int = MAX_BITS  # in which two hashes may differ, 0…64
    min_cosine: float = MIN_COSINE


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class NearDuplicates:
    """Which rows are near-duplicates of which.

    Told by rows, since 10,000 copies of one image are 50 million pairs: the counts are of all pairs; of the
    pairs themselves every row keeps the best in each split, so no leak is lost.
    """

    splits: tuple[str, ...]  # those that have rows, sorted
    split_n: np.ndarray  # int64 [N], index into splits
    count_ns: np.ndarray  # int64 [N, S], how many near-duplicates a row has in each split
    best_ns: np.ndarray  # int64 [N, S], the most alike of them (of equals the first); -1 where there is none
    similarity_ns: np.ndarray  # float32 [N, S], their cosine (of hashes alone 1 - bits / 32); -inf for none
    group_n: np.ndarray  # int64 [N], the first of the rows that are near, directly or in several steps

    def pairs(self, one: str, other: str) -> int:
        """How many pairs there are with a row in each of two splits or, with the same name twice, within it.

        Raises:
            ValueError: no row is in such a split.
        """
        one_s, other_s = self.splits.index(one), self.splits.index(other)
        return int(self.count_ns[self.split_n == one_s, other_s].sum()) // (2 if one == other else 1)

    def closest(self, one: str, other: str) -> tuple[np.ndarray, np.ndarray]:
        """Every row of ``one`` that has near-duplicates in ``other``, with the most alike of them.

        ``closest("test", "train")`` are the leaks: one pair for each test row that is touched. Within a
        split, two rows that are each other's best are one pair.

        Returns:
            int64 [P, 2], rows of ``one`` and of ``other``, and float32 [P], their similarity; the most alike
            first.

        Raises:
            ValueError: no row is in such a split.
        """
        one_s, other_s = self.splits.index(one), self.splits.index(other)
        row = np.flatnonzero((self.split_n == one_s) & (self.best_ns[:, other_s] >= 0))
        pairs, similarity = (
            np.stack([row, self.best_ns[row, other_s]], axis=1),
            self.similarity_ns[row, other_s],
        )
        if one == other:
            pairs, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
            similarity = similarity[first]
        order = np.argsort(-similarity, kind="stable")
        return pairs[order], similarity[order]


def near_duplicates(
    split_n: np.ndarray,
    *,
    hash_nb: np.ndarray | None = None,
    vectors_nd: np.ndarray | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    centre: bool = True,
    block: int = BLOCK,
) -> NearDuplicates:
    """Find pairs whose hashes *and* vectors agree: hashes alone confuse plain images, vectors alone confuse
    images of one thing for alike.

    Either may be left out (data that comes as features has no images); the other then decides. A mirrored
    image has another hash and is not found. Time grows with N²: hashes of 50,000 rows take seconds, vectors
    alone minutes.

    Args:
        split_n: unicode [N].
        hash_nb: uint8 [N, 8], see :func:`trainer.data.image_quality.hashes_of_measures`.
        vectors_nd: float [N, D] of any length. A vector of zeros is like nothing.
        thresholds: of the hashes' bits and the vectors' cosine.
        centre: take the mean of the rows away first. Features lie in a cone (CLIP: different things have
            cosines round 0.6), X-rays or portraits in a narrower one. Misleads where nearly all rows are
            copies of one, which then is the mean, and among a handful.
        block: changes time and memory, not the result.

    Raises:
        ValueError: neither hashes nor vectors.
    """
    if hash_nb is None:
        if vectors_nd is None:
            raise ValueError("near_duplicates needs hashes, vectors or both")
        hash_nb = np.zeros((len(split_n), 8), dtype=np.uint8)
    if vectors_nd is None:
        vectors_nd = np.unpackbits(hash_nb, axis=1) * np.float32(2) - 1
        thresholds, centre = thresholds._replace(min_cosine=-1.0), False
    hash_n = np.ascontiguousarray(hash_nb).view(np.uint64)[:, 0]
    mean_d = vectors_nd.mean(0, dtype=np.float64) if centre else np.zeros(vectors_nd.shape[1])
    tiles = _tiles(hash_n, vectors_nd, mean_d, thresholds, block=block)

    splits, code_n = np.unique(split_n, return_inverse=True)
    count_ns, best_ns, similarity_ns, group_n = _closest(tiles, code_n, len(splits))
    _, first, group_n = np.unique(group_n, return_index=True, return_inverse=True)
    return NearDuplicates(tuple(map(str, splits)), code_n, count_ns, best_ns, similarity_ns, first[group_n])


def _closest(
    tiles: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]], code_n: np.ndarray, splits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the closest row of each split to each row, and groups of rows that agree with each other.

    Args:
        code_n: int [N], the number of a row's own split.

    Returns:
        of rows and splits [N, splits]: how many rows agree, the one that agrees most (-1 for none), its
        cosine; of rows [N]: a group.
    """
    shape = len(code_n), splits
    count_ns = np.zeros(shape, dtype=np.int64)
    best_ns = np.full(shape, -1, dtype=np.int64)
    similarity_ns = np.full(shape, -np.inf, dtype=np.float32)
    group_n = np.arange(len(code_n))
    for rows, columns, similarity_rc in tiles:
        group_n = _merge_groups(group_n, rows, columns, similarity_rc > -np.inf)
        # Columns first: so a row meets the others in ascending order, on the diagonal too.
        for some, others, similarity in ((columns, rows, similarity_rc.T), (rows, columns, similarity_rc)):
            for s in np.unique(code_n[others]):
                of_split = others[code_n[others] == s]
                part = similarity[:, code_n[others] == s]
                count_ns[some, s] += (part > -np.inf).sum(1)
                better = part.max(1) > similarity_ns[some, s]
                best_ns[some[better], s] = of_split[part[better].argmax(1)]
                similarity_ns[some[better], s] = part[better].max(1)
    return count_ns, best_ns, similarity_ns, group_n


def _tiles(
    hash_n: np.ndarray, vectors_nd: np.ndarray, mean_d: np.ndarray, thresholds: Thresholds, *, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows [r], columns [c] and their cosines float32 [r, c] wherever some are near: -inf where two are
    not near. Every pair comes once."""
    starts = range(0, len(hash_n), block)
    for i, j in ((i, j) for i in starts for j in starts if i <= j):
        rows, columns = (np.arange(at, min(at + block, len(hash_n))) for at in (i, j))
        near = np.bitwise_count(hash_n[rows, None] ^ hash_n[columns]) <= thresholds.max_bits
        if i == j:
            near = np.triu(near, 1)
        if not near.any():
            continue
        in_row, in_column = near.any(1), near.any(0)  # cosines of these alone
        rows, columns, near = rows[in_row], columns[in_column], near[in_row][:, in_column]
        unit_rd, unit_cd = (
            unit_rows(vectors_nd[some] - mean_d).astype(np.float32) for some in (rows, columns)
        )
        similarity = unit_rd @ unit_cd.T
        near &= similarity >= thresholds.min_cosine
        if near.any():
            yield rows, columns, np.where(near, similarity, np.float32(-np.inf))


def _merge_groups(
    group_n: np.ndarray, rows: np.ndarray, columns: np.ndarray, near_rc: np.ndarray
) -> np.ndarray:
    """Return renumbered groups after merging those of near rows."""
    at = np.nonzero(near_rc)
    ends = group_n[rows[at[0]]], group_n[columns[at[1]]]
    links = coo_array((np.ones(len(at[0]), dtype=bool), ends), shape=(len(group_n), len(group_n)))
    return connected_components(links, directed=False)[1][group_n]
