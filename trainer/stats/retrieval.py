"""Recall at k of a retrieval: is a right candidate among the k nearest?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import hypergeom

from trainer.stats.nearest_vectors import cosines
from trainer.stats.paired_bootstrap import DRAWS, Resampled
from trainer.stats.units import numbered

AT = (1, 5, 10)  # k


def first_ranks(query_qd: np.ndarray, candidate_nd: np.ndarray, pair_p2: np.ndarray) -> np.ndarray:
    """Return the rank by cosine, from 1 on, of the nearest right candidate of each query: int64 [Q].

    A wrong candidate of the same cosine counts as nearer, so that vectors that are all alike find nothing.

    Args:
        query_qd: float [Q, D], of any length.
        candidate_nd: float [N, D], likewise.
        pair_p2: int [P, 2], each a query and a candidate that is right for it, once; every query has one.
    """
    pair_p2 = pair_p2[np.argsort(pair_p2[:, 0], kind="stable")]
    starts = np.searchsorted(pair_p2[:, 0], np.arange(len(query_qd) + 1))
    rank_q = np.empty(len(query_qd), dtype=np.int64)
    for first, cosine_bn in cosines(query_qd, candidate_nd):
        for query, cosine_n in enumerate(cosine_bn, start=first):
            right = pair_p2[starts[query] : starts[query + 1], 1]
            best = cosine_n[right].max()
            as_near = np.count_nonzero(cosine_n >= best) - np.count_nonzero(cosine_n[right] == best)
            rank_q[query] = 1 + as_near
    return rank_q


def recall_at(
    rank_q: np.ndarray, unit_q: np.ndarray | None = None, *, at: Sequence[int] = AT, seed: int = 0
) -> dict[int, Resampled]:
    """Return the share of queries whose rank is k or better, for each k, with its bootstrap over units.

    `share_interval` makes its interval. The draws of units depend on their number and the seed alone, so two
    encoders that answered the same queries are compared in pairs: ``one[10].minus(other[10]).interval()``.

    Args:
        rank_q: int [Q], at least one, from `first_ranks`.
        unit_q: int [Q], such as the image that a caption belongs to; None: every query by itself.
    """
    units = numbered(unit_q, len(rank_q))
    hit_uk = units.sums((rank_q[:, None] <= np.asarray(at)).astype(np.float64))
    size_u = units.sums(np.ones(len(rank_q)))
    weight_du = np.random.default_rng(seed).multinomial(
        units.count, np.full(units.count, 1 / units.count), size=DRAWS
    )
    weight_du = weight_du.astype(np.float64)
    draw_dk = (weight_du @ hit_uk) / (weight_du @ size_u)[:, None]
    rest_u = np.where(size_u < len(rank_q), len(rank_q) - size_u, np.nan)  # one unit alone has no rest
    left_out_uk = (hit_uk.sum(0) - hit_uk) / rest_u[:, None]
    value_k = hit_uk.sum(0) / len(rank_q)
    return {k: Resampled(value_k[i], draw_dk[:, i], left_out_uk[:, i]) for i, k in enumerate(at)}


def recall_by_chance(right_q: np.ndarray, candidates: int, k: int) -> float:
    """Return the recall at k of a random order, for queries with so many right candidates each: int [Q]."""
    return float(hypergeom.sf(0, candidates, right_q, min(k, candidates)).mean())
