"""Nearest vectors by cosine, exact and in blocks: neither all scores nor another copy of the rows is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainer.stats.vectors import unit_rows

CELLS = 1 << 24  # cosines held at once, 64 MB
ROWS = 1 << 14  # rows taken to float32 at once


class NearestVectors(NamedTuple):
    """The nearest rows of Q queries, nearest first; of equal cosines the earlier row first."""

    row_qk: np.ndarray  # int64 [Q, K]
    cosine_qk: np.ndarray  # float32 [Q, K]


def nearest(
    query_qd: np.ndarray, row_nd: np.ndarray, count: int, *, among_n: np.ndarray | None = None
) -> NearestVectors:
    """Return the ``count`` rows of highest cosine with each query, or all where there are fewer.

    Every row is compared. Some 64 MB are held beside the vectors, for any number of queries and up to 16
    million rows.

    Args:
        query_qd: float [Q, D], finite, of any length; a zero has cosine 0 with everything.
        row_nd: float [N, D], likewise; float16 is taken to float32 block by block.
        among_n: bool [N], rows that may be found; None: all.
    """
    count = min(count, len(row_nd) if among_n is None else int(np.count_nonzero(among_n)))
    row_qk = np.empty((len(query_qd), count), dtype=np.int64)
    cosine_qk = np.empty((len(query_qd), count), dtype=np.float32)
    if count:
        for first, cosine_bn in cosines(query_qd, row_nd):
            if among_n is not None:
                cosine_bn[:, ~among_n] = -np.inf
            for query, cosine_n in enumerate(cosine_bn, start=first):
                row_qk[query] = _highest(cosine_n, count)
                cosine_qk[query] = cosine_n[row_qk[query]]
    return NearestVectors(row_qk, cosine_qk)


def cosines(query_qd: np.ndarray, row_nd: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of a query, and the cosines of it and the next ones with all rows: float32 [B, N].

    At most `CELLS` of them are held, or those of one query.
    """
    unit_qd = unit_rows(query_qd.astype(np.float32))
    length_n = np.empty(len(row_nd), dtype=np.float32)
    for start, part_nd in _parts(row_nd):  # einsum squares without a copy, unlike np.linalg.norm
        length_n[start : start + len(part_nd)] = np.sqrt(np.einsum("nd,nd->n", part_nd, part_nd))
    length_n[length_n == 0] = 1
    size = max(1, CELLS // max(1, len(row_nd)))
    for first in range(0, len(unit_qd), size):
        some_bd = unit_qd[first : first + size]
        cosine_bn = np.empty((len(some_bd), len(row_nd)), dtype=np.float32)
        for start, part_nd in _parts(row_nd):
            np.matmul(some_bd, part_nd.T, out=cosine_bn[:, start : start + len(part_nd)])
        cosine_bn /= length_n
        yield first, cosine_bn


def _parts(row_nd: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of a row, and it and the next ones as float32."""
    for start in range(0, len(row_nd), ROWS):
        yield start, row_nd[start : start + ROWS].astype(np.float32, copy=False)


def _highest(value_n: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the highest values, highest first, equal ones in order."""
    least = np.partition(value_n, len(value_n) - count)[len(value_n) - count]
    found = np.flatnonzero(value_n >= least)
    return found[np.argsort(-value_n[found], kind="stable")][:count]
