"""Where new rows stand on a map that is already drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from trainer.features.projection import FEWEST_ROWS, USUAL
from trainer.stats.vectors import unit_rows

COMPONENTS = 50  # as the map was made
PERPLEXITY = USUAL
NEIGHBOURS = 5  # perplexity of a new row: it is held by few, as openTSNE advises (Poličar et al. 2019)


class Placer:
    """A map with the features of its rows.

    A new row is placed by openTSNE's ``transform``: the map stays as it is, the row starts at the median of
    its nearest neighbours' places (cosine, among the 50 principal components that the map was drawn from) and
    is moved by t-SNE's gradient. Affinities are made anew from the features; the stored map is what it is.
    With fewer than `FEWEST_ROWS` rows the map is no t-SNE: a new row stands where its nearest neighbour does.
    """

    def __init__(self, features_nd: np.ndarray, xy_n2: np.ndarray) -> None:
        """For features [N, D] and their places [N, 2]."""
        self._xy_n2 = np.asarray(xy_n2, dtype=np.float64)
        self._features_nd = np.asarray(features_nd, dtype=np.float64)
        self._embedding = None
        components = min(COMPONENTS, *features_nd.shape)
        if len(features_nd) < FEWEST_ROWS or components < 2:
            return
        from openTSNE import TSNEEmbedding  # its import compiles numba code
        from openTSNE.affinity import PerplexityBasedNN

        self._pca = PCA(components, random_state=0)
        reduced = self._pca.fit_transform(self._features_nd)
        how: dict[str, Any] = {"random_state": 0, "n_jobs": 1}
        perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
        affinities = PerplexityBasedNN(reduced, perplexity=perplexity, metric="cosine", **how)
        self._embedding = TSNEEmbedding(self._xy_n2.copy(), affinities, **how)

    def place(self, new_md: np.ndarray) -> np.ndarray:
        """Features [M, D] → float64 [M, 2]. Each row is placed by itself: others do not move it."""
        new_md = np.asarray(new_md, dtype=np.float64)
        if self._embedding is None:
            return self._xy_n2[(unit_rows(new_md) @ unit_rows(self._features_nd).T).argmax(1)]
        perplexity = min(NEIGHBOURS, (len(self._xy_n2) - 1) / 3)
        reduced = self._pca.transform(new_md)
        placed = [self._embedding.transform(row[None], perplexity=perplexity) for row in reduced]
        return np.concatenate([np.asarray(one) for one in placed])
