"""Build the tables of a sweep and of an extraction, with the schema's column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from trainer.core.text import HIGH, LOW
from trainer.data.duplicates import unit_numbers
from trainer.tracking.schema import Duplicates, Images, Predictions, Projection, Quarantine, Samples

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest
    from trainer.stats.intervals import Interval


def with_ends(name: str, interval: Interval) -> dict[str, float]:
    """Return a value and the bounds of its interval as ``name, name_low, name_high``."""
    return dict(zip((name, name + LOW, name + HIGH), interval, strict=True))


def predictions(
    manifest: Manifest, rows: np.ndarray, probabilities_nc: np.ndarray, *, head: str, trial: int, seed: int
) -> pd.DataFrame:
    """Return PREDICTIONS of one head: one row for each of ``rows`` [N], in that order."""
    names = np.asarray(manifest.classes, dtype=object)
    pred_n = probabilities_nc.argmax(1)
    return pd.DataFrame(
        {
            Predictions.HEAD: head,
            Predictions.TRIAL: np.int32(trial),
            Predictions.SEED: np.int16(seed),
            Predictions.SAMPLE_ID: [manifest.sample_id[row] for row in rows],
            Predictions.SPLIT: manifest.split_n[rows],
            Predictions.LABEL: names[manifest.label_n[rows]],
            Predictions.PRED: names[pred_n],
            Predictions.CONFIDENCE: probabilities_nc[np.arange(len(pred_n)), pred_n].astype(np.float32),
            Predictions.PROBS: list(probabilities_nc.astype(np.float32)),
            Predictions.UNIT: unit_numbers(manifest)[rows].astype(np.int32),
        }
    )


def projection(sample_id: Sequence[str], maps: Mapping[int, np.ndarray]) -> pd.DataFrame:
    """Return PROJECTION from the coordinates [N, 2] by perplexity."""
    columns: dict[str, Any] = {Projection.SAMPLE_ID: sample_id}
    for perplexity, xy_n2 in maps.items():
        for name, values in zip(Projection.at(perplexity), xy_n2.T, strict=True):
            columns[name] = values.astype(np.float32)
    return pd.DataFrame(columns)


def samples(manifest: Manifest, rows: Sequence[int], thumbnails: Sequence[bytes | None]) -> pd.DataFrame:
    """Return SAMPLES for ``rows``, each with its thumbnail."""
    known = manifest.corrupted
    return pd.DataFrame(
        {
            Samples.SAMPLE_ID: [manifest.sample_id[row] for row in rows],
            Samples.SPLIT: [str(manifest.split_n[row]) for row in rows],
            Samples.LABEL: [manifest.classes[manifest.label_n[row]] for row in rows],
            Samples.CAPTION: [manifest.caption[row] for row in rows],
            Samples.GROUP: [manifest.group[row] for row in rows],
            Samples.CORRUPTED: [None if known is None else known[row] for row in rows],
            Samples.THUMBNAIL: thumbnails,
        }
    )


def quarantine(entries: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return QUARANTINE from the (path, reason) of every corrupt file."""
    return pd.DataFrame(entries, columns=[Quarantine.PATH, Quarantine.REASON])


def images(
    manifest: Manifest, *, measures: Mapping[str, np.ndarray], thumbnails: Mapping[int, bytes | None]
) -> pd.DataFrame:
    """Return IMAGES: every row with its measures [N] by name, and thumbnails by row index."""
    rows = range(len(manifest))
    return pd.DataFrame(
        {
            Images.SAMPLE_ID: list(manifest.sample_id),
            Images.SPLIT: manifest.split_n.astype(object),
            Images.LABEL: [manifest.classes[label] if label >= 0 else "" for label in manifest.label_n],
            **{name: np.asarray(measures[name], dtype=np.float32) for name in Images.MEASURES},
            Images.THUMBNAIL: pd.Series([thumbnails.get(row) for row in rows], dtype=object),
        }
    )


def duplicates(
    pairs_p2: np.ndarray,
    *,
    similarity_p: np.ndarray,
    kind: Sequence[str],
    sample_id: Sequence[str],
    split_n: np.ndarray,
) -> pd.DataFrame:
    """Return DUPLICATES from pairs of rows, int64 [P, 2], in the given order."""
    a, b = pairs_p2.T
    return pd.DataFrame(
        {
            Duplicates.SAMPLE_ID_A: [sample_id[row] for row in a],
            Duplicates.SAMPLE_ID_B: [sample_id[row] for row in b],
            Duplicates.SPLIT_A: split_n[a].astype(object),
            Duplicates.SPLIT_B: split_n[b].astype(object),
            Duplicates.SIMILARITY: similarity_p.astype(np.float32),
            Duplicates.KIND: list(kind),
        }
    )
