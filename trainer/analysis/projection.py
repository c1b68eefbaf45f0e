"""A map of the features in two dimensions."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

FEWEST_ROWS = 8  # below this a map says nothing


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


def tsne(features_nd: np.ndarray, *, seed: int, perplexity: float = 30.0) -> np.ndarray:
    """t-SNE (van der Maaten & Hinton 2008) of features [N, D]: float64 [N, 2].

    Cosine distances after reduction to 50 principal components, started from the first two of them,
    so that far-apart groups keep their places (Kobak & Berens 2019). Deterministic for a seed. With
    fewer than `FEWEST_ROWS` rows, the first two principal components themselves.
    """
    rows, dimensions = features_nd.shape
    if rows == 1:
        return np.zeros((1, 2))
    components = min(50, rows, dimensions)
    reduced = PCA(components, random_state=seed).fit_transform(features_nd.astype(np.float64))
    if rows < FEWEST_ROWS or components < 2:
        return np.pad(reduced, ((0, 0), (0, 2)))[:, :2]
    from openTSNE import TSNE  # its import compiles numba code; small jobs never pay for it

    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12) * 1e-4
    embedding = TSNE(
        perplexity=min(perplexity, (rows - 1) / 3),
        metric="cosine",
        initialization=start,
        random_state=seed,
        n_jobs=-1,
    ).fit(reduced)
    return np.asarray(embedding)
