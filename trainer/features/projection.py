"""A map of the features in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

FEWEST_ROWS = 8  # below this a map says nothing
USUAL, OTHERS = 30, (10, 100)  # perplexities: roughly how many neighbours a point tries to keep
MORE_STEPS = 250  # from one map to another; a map from scratch takes 750
ONE_THREAD = 3000  # rows; threads of smaller maps wait for each other more than they work


def sample_rows(split_n: np.ndarray, *, at_most: int, seed: int) -> np.ndarray:
    """Indices of at most ``at_most`` rows, sorted, with every split's share kept."""
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
    features_nd: np.ndarray, *, seed: int, perplexities: Sequence[int] = OTHERS
) -> dict[int, np.ndarray]:
    """t-SNE (van der Maaten & Hinton 2008) of features [N, D]: float64 [N, 2] by perplexity.

    Cosine distances after reduction to 50 principal components, started from the first two of them,
    so that far-apart groups keep their places (Kobak & Berens 2019). Deterministic for a seed. The map at
    `USUAL` (of fewer rows the largest perplexity that they allow) comes first; those at the other
    ``perplexities`` are there where 3 × perplexity < N. They start from it, with the same neighbours, so
    that a point can be followed from one to the other, and cost a third of it each. With fewer than
    `FEWEST_ROWS` rows there are no maps but the first two principal components themselves.
    """
    rows, dimensions = features_nd.shape
    if rows == 1:
        return {USUAL: np.zeros((1, 2))}
    components = min(50, rows, dimensions)
    reduced = PCA(components, random_state=seed).fit_transform(features_nd.astype(np.float64))
    if rows < FEWEST_ROWS or components < 2:
        return {USUAL: np.pad(reduced, ((0, 0), (0, 2)))[:, :2]}
    from openTSNE import TSNE, TSNEEmbedding  # its import compiles numba code; small jobs never pay for it
    from openTSNE.affinity import PerplexityBasedNN

    others = [perplexity for perplexity in perplexities if 3 * perplexity < rows] if rows > 3 * USUAL else []
    how: dict[str, Any] = {"random_state": seed, "n_jobs": 1 if rows < ONE_THREAD else -1}
    usual = min(USUAL, (rows - 1) / 3)
    affinities = PerplexityBasedNN(reduced, perplexity=max([usual, *others]), metric="cosine", **how)
    affinities.set_perplexity(usual)  # neighbours are sought once, for the largest
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12) * 1e-4
    maps = {USUAL: np.asarray(TSNE(initialization=start, **how).fit(affinities=affinities))}
    for perplexity in others:
        affinities.set_perplexity(perplexity)
        embedding = TSNEEmbedding(maps[USUAL].copy(), affinities, **how)
        maps[perplexity] = np.asarray(embedding.optimize(MORE_STEPS, learning_rate="auto", momentum=0.8))
    return maps
