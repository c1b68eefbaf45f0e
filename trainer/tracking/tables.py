"""Build the tables of a sweep and of an extraction, with the schema's column names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from trainer.core.text import HIGH, LOW
from trainer.data.bit_depth import stored_hashes
from trainer.data.duplicates import unit_numbers
from trainer.stats.share_cut import shares_cut
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
    said = {
        Predictions.LABEL: names[manifest.label_n[rows]],
        Predictions.PRED: names[pred_n],
        Predictions.CONFIDENCE: probabilities_nc[np.arange(len(pred_n)), pred_n].astype(np.float32),
        Predictions.PROBS: list(probabilities_nc.astype(np.float32)),
    }
    return _of_head(manifest, rows, said, head=head, trial=trial, seed=seed)


def _of_head(
    manifest: Manifest, rows: np.ndarray, said: Mapping[str, Any], *, head: str, trial: int, seed: int
) -> pd.DataFrame:
    """Return PREDICTIONS of one head for ``rows`` [N]: which rows these are, around what it ``said`` of
    them."""
    return pd.DataFrame(
        {
            Predictions.HEAD: head,
            Predictions.TRIAL: np.int32(trial),
            Predictions.SEED: np.int16(seed),
            Predictions.SAMPLE_ID: [manifest.sample_id[row] for row in rows],
            Predictions.SPLIT: manifest.split_n[rows],
            **said,
            Predictions.UNIT: unit_numbers(manifest)[rows].astype(np.int32),
        }
    )


def number_predictions(
    manifest: Manifest, number_n: np.ndarray, *, head: str, trial: int, seed: int
) -> pd.DataFrame:
    """Return PREDICTIONS of one head of numbers: one row for each of the manifest.

    Args:
        number_n: float [N], the predicted ones.
    """
    said = {
        Predictions.TARGET: manifest.learned_n.astype(np.float64),
        Predictions.NUMBER: number_n.astype(np.float64),
    }
    return _of_head(manifest, np.arange(len(manifest)), said, head=head, trial=trial, seed=seed)


def label_predictions(
    manifest: Manifest, probability_nc: np.ndarray, *, head: str, trial: int, seed: int
) -> pd.DataFrame:
    """Return PREDICTIONS of one head of several labels: one row for each of the manifest.

    Args:
        probability_nc: float [N, C], of each label.
    """
    has_nc, names = manifest.learned_n, manifest.labels
    said = {
        Predictions.TRUE_LABELS: [[names[c] for c in np.flatnonzero(has_c)] for has_c in has_nc],
        Predictions.LABEL_PROBABILITIES: list(probability_nc.astype(np.float32)),
    }
    return _of_head(manifest, np.arange(len(manifest)), said, head=head, trial=trial, seed=seed)


def projection(
    sample_id: Sequence[str], maps: Mapping[int, np.ndarray], components_n2: np.ndarray
) -> pd.DataFrame:
    """Return PROJECTION from the coordinates [N, 2] by perplexity, and the principal components."""
    columns: dict[str, Any] = {Projection.SAMPLE_ID: sample_id}
    for perplexity, xy_n2 in maps.items():
        for name, values in zip(Projection.at(perplexity), xy_n2.T, strict=True):
            columns[name] = values.astype(np.float32)
    for name, values in zip((Projection.X_PCA, Projection.Y_PCA), components_n2.T, strict=True):
        columns[name] = values.astype(np.float32)
    return pd.DataFrame(columns)


def samples(
    manifest: Manifest,
    rows: Sequence[int],
    thumbnails: Sequence[bytes | None],
    field_n6: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return SAMPLES for ``rows``, each with its thumbnail and, of all rows, what the encoder sees."""
    known = manifest.corrupted
    return pd.DataFrame(
        {
            Samples.SAMPLE_ID: [manifest.sample_id[row] for row in rows],
            Samples.SPLIT: [str(manifest.split_n[row]) for row in rows],
            Samples.LABEL: _class_texts(manifest, rows),
            Samples.CAPTION: [manifest.caption[row] for row in rows],
            Samples.GROUP: [manifest.group[row] for row in rows],
            Samples.CORRUPTED: [None if known is None else known[row] for row in rows],
            Samples.THUMBNAIL: thumbnails,
            Samples.CONTENT_HASH: stored_hashes(manifest, rows),
            Samples.FIELD: _fields(None if field_n6 is None else field_n6[list(rows)], len(rows)),
        }
    )


def _class_texts(manifest: Manifest, rows: Sequence[int]) -> list[str]:
    """Return the labels of rows as they were read, "" for none."""
    label_n = manifest.label_n
    return [manifest.classes[label_n[row]] if label_n[row] >= 0 else "" for row in rows]


def _fields(field_n6: np.ndarray | None, rows: int) -> pd.Series:
    """Return the column FIELD: null where a size is not known."""
    if field_n6 is None:
        return pd.Series([None] * rows, dtype=object)
    return pd.Series([field if np.isfinite(field).all() else None for field in field_n6], dtype=object)


def quarantine(entries: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return QUARANTINE from the (path, reason) of every corrupt file."""
    return pd.DataFrame(entries, columns=[Quarantine.PATH, Quarantine.REASON])


def images(
    manifest: Manifest,
    *,
    measures: Mapping[str, np.ndarray],
    thumbnails: Mapping[int, bytes | None],
    field_n6: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return IMAGES: every row with its measures [N] by name and what the encoder sees of it, and thumbnails
    by row index."""
    rows = range(len(manifest))
    cut_n = np.full(len(rows), np.nan, np.float32) if field_n6 is None else shares_cut(field_n6)
    return pd.DataFrame(
        {
            Images.SAMPLE_ID: list(manifest.sample_id),
            Images.SPLIT: manifest.split_n.astype(object),
            Images.LABEL: _class_texts(manifest, rows),
            **{name: np.asarray(measures[name], dtype=np.float32) for name in Images.MEASURES},
            Images.CUT: cut_n,
            Images.FIELD: _fields(field_n6, len(rows)),
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
