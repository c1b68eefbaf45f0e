"""Place new rows on an existing t-SNE map."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from trainer.features.projection import DEFAULT_PERPLEXITY, MIN_ROWS, NEIGHBOURS_BY, with_direction
from trainer.stats.vectors import unit_rows

COMPONENTS = 50  # as for the map
PERPLEXITY = DEFAULT_PERPLEXITY
NEIGHBOURS = 5  # perplexity of a new row, low as openTSNE recommends (Poličar et al. 2019)


class ProjectionTransform:
    """A map with the features of its rows.

    A new row is placed by openTSNE's ``transform``: it starts at the median of its nearest neighbours (cosine
    of 50 principal components) and is moved by the gradient of t-SNE; the map does not change. With fewer
    than `MIN_ROWS` rows a new row is placed at its nearest neighbour.
    """

    def __init__(self, features_nd: np.ndarray, xy_n2: np.ndarray) -> None:
        """Take features [N, D] and their coordinates [N, 2]."""
        self._xy_n2 = np.asarray(xy_n2, dtype=np.float64)
        self._features_nd = np.asarray(features_nd, dtype=np.float64)
        self._embedding = None
        components = min(COMPONENTS, *features_nd.shape)
        if len(features_nd) < MIN_ROWS or components < 2:
            return
        from openTSNE import TSNEEmbedding  # its import compiles numba code
        from openTSNE.affinity import PerplexityBasedNN

        self._pca = PCA(components, random_state=0)
        reduced = with_direction(self._pca.fit_transform(self._features_nd))
        how: dict[str, Any] = {"random_state": 0, "n_jobs": 1}
        perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
        affinities = PerplexityBasedNN(
            reduced, perplexity=perplexity, metric="cosine", method=NEIGHBOURS_BY, **how
        )
        self._embedding = TSNEEmbedding(self._xy_n2.copy(), affinities, **how)

    def transform(self, new_md: np.ndarray) -> np.ndarray:
        """Map features [M, D] to coordinates, float64 [M, 2], each row independently."""
        new_md = np.asarray(new_md, dtype=np.float64)
        if self._embedding is None:
            return self._xy_n2[(unit_rows(new_md) @ unit_rows(self._features_nd).T).argmax(1)]
        perplexity = min(NEIGHBOURS, (len(self._xy_n2) - 1) / 3)
        reduced = with_direction(self._pca.transform(new_md))
        placed = [self._embedding.transform(row[None], perplexity=perplexity) for row in reduced]
        return np.concatenate([np.asarray(one) for one in placed])
