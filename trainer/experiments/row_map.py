"""Draw the maps of the rows (t-SNE, PCA), with their thumbnails and vectors, while heads are trained."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread

import numpy as np
import torch
from safetensors.torch import save

from trainer.core.console import say
from trainer.data.thumbnails import thumbnails
from trainer.features.extract import Features
from trainer.features.projection import principal_components, sample_rows, tsne
from trainer.tracking import tables
from trainer.tracking.schema import Artifact
from trainer.tracking.writer import RunWriter

MOST_MAPPED = 5000  # rows on the map: with more, a browser drags


class RowMap:
    """The map of up to `MOST_MAPPED` rows. It depends on the features alone, so it is drawn by a thread from
    the beginning: t-SNE of so few rows runs on one core, while others train heads or wait for files.
    """

    def __init__(self, features: Features, *, seed: int) -> None:
        self._manifest = features.manifest
        self._rows = sample_rows(self._manifest.split_n, at_most=MOST_MAPPED, seed=seed)
        self._vectors_nd = features.vectors_nd[self._rows]
        self._field_n6 = features.field_n6
        self._maps: Future[tuple[dict[int, np.ndarray], np.ndarray]] = Future()
        Thread(target=self._draw, args=(seed,), name="map", daemon=True).start()

    def _draw(self, seed: int) -> None:
        try:
            components_n2 = principal_components(self._vectors_nd)
            self._maps.set_result((tsne(self._vectors_nd, seed=seed), components_n2))
        except BaseException as error:
            self._maps.set_exception(error)

    def log(self, writer: RunWriter) -> None:
        """Write thumbnails, vectors and, once it is drawn, the map."""
        manifest, shown = self._manifest, self._rows.tolist()
        say(f"Drawing the maps (t-SNE) of {len(shown)} of {len(manifest.sample_id)} rows.")
        frame = tables.samples(manifest, shown, thumbnails(manifest, shown), self._field_n6)
        writer.table(Artifact.SAMPLES, frame)
        writer.file(Artifact.VECTORS, save({"vectors": _half(self._vectors_nd)}))
        maps, components_n2 = self._maps.result()
        ids = [manifest.sample_id[r] for r in shown]
        writer.table(Artifact.PROJECTION, tables.projection(ids, maps, components_n2))


def _half(vectors_nd: np.ndarray) -> torch.Tensor:
    """In half the bytes where nothing is lost, as of what the feature store kept."""
    vectors = torch.as_tensor(vectors_nd)
    half = vectors.half()
    return half if torch.equal(half.float(), vectors) else vectors
