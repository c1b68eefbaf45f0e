"""Project features to two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

MIN_ROWS = 8  # for t-SNE
DEFAULT_PERPLEXITY = 30
OTHER_PERPLEXITIES = (10, 100)
MORE_STEPS = 250  # optimisation steps from one map to the next; the first takes 750
ONE_THREAD = 3000  # rows; below, threads do not pay off
NEIGHBOURS_BY = "exact"  # at the few thousand rows of a map 6 times as quick as an approximate index


def sample_rows(split_n: np.ndarray, *, at_most: int, seed: int) -> np.ndarray:
    """Return sorted indices of at most ``at_most`` rows, stratified by split."""
    rows = len(split_n)
    if rows <= at_most:
        return np.arange(rows)
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(members, max(1, len(members) * at_most // rows), replace=False)
        for members in (np.flatnonzero(split_n == split) for split in np.unique(split_n))
    ]
    return np.sort(np.concatenate(chosen))


def tsne(
    features_nd: np.ndarray, *, seed: int, perplexities: Sequence[int] = OTHER_PERPLEXITIES
) -> dict[int, np.ndarray]:
    """Return t-SNE maps (van der Maaten & Hinton 2008) of features [N, D]: float64 [N, 2] by perplexity.

    Uses cosine distances of 50 principal components, initialised with the first two to preserve global
    structure (Kobak & Berens 2019). Deterministic for a seed. The first map has `DEFAULT_PERPLEXITY`, or the
    largest perplexity that few rows allow. Those at the other ``perplexities``, computed if
    3 × perplexity < N, start from it, so that points can be followed between maps, and take a third of its
    time each. With fewer than `MIN_ROWS` rows the result is the first two principal components.
    """
    rows, dimensions = features_nd.shape
    if rows == 1:
        return {DEFAULT_PERPLEXITY: np.zeros((1, 2))}
    components = min(50, rows, dimensions)
    reduced = PCA(components, random_state=seed).fit_transform(features_nd.astype(np.float64))
    if rows < MIN_ROWS or components < 2:
        return {DEFAULT_PERPLEXITY: np.pad(reduced, ((0, 0), (0, 2)))[:, :2]}
    from openTSNE import TSNE, TSNEEmbedding  # importing it compiles numba code, so only when needed
    from openTSNE.affinity import PerplexityBasedNN

    others = (
        [perplexity for perplexity in perplexities if 3 * perplexity < rows]
        if rows > 3 * DEFAULT_PERPLEXITY
        else []
    )
    how: dict[str, Any] = {"random_state": seed, "n_jobs": 1 if rows < ONE_THREAD else -1}
    usual = min(DEFAULT_PERPLEXITY, (rows - 1) / 3)
    affinities = PerplexityBasedNN(
        with_direction(reduced),
        perplexity=max([usual, *others]),
        metric="cosine",
        method=NEIGHBOURS_BY,
        **how,
    )
    affinities.set_perplexity(usual)  # neighbours are computed once, for the largest perplexity
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12) * 1e-4
    maps = {DEFAULT_PERPLEXITY: np.asarray(TSNE(initialization=start, **how).fit(affinities=affinities))}
    for perplexity in others:
        affinities.set_perplexity(perplexity)
        embedding = TSNEEmbedding(maps[DEFAULT_PERPLEXITY].copy(), affinities, **how)
        maps[perplexity] = np.asarray(embedding.optimize(MORE_STEPS, learning_rate="auto", momentum=0.8))
    return maps


def principal_components(features_nd: np.ndarray) -> np.ndarray:
    """Return the first two principal components of features [N, D]: float64 [N, 2], 0 where there are fewer.
    The largest loading of each is positive, so that the same rows give the same map."""
    components = min(2, *features_nd.shape)
    if len(features_nd) == 1:
        return np.zeros((1, 2))
    found = PCA(components, random_state=0).fit_transform(features_nd.astype(np.float64))
    return np.pad(found, ((0, 0), (0, 2 - components)))


def with_direction(reduced_nk: np.ndarray) -> np.ndarray:
    """Return principal components [N, K] of which a cosine can be taken: a row of zeros, which is the mean of
    all rows, is moved along the first axis."""
    centre_n = ~reduced_nk.any(axis=1)
    if not centre_n.any():
        return reduced_nk
    moved_nk = reduced_nk.copy()
    moved_nk[centre_n, 0] = 1
    return moved_nk
