"""Runs for the tests of cells, pairs of heads and points: as many classes and rows as a test wants."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from tests.support import synthetic_runs
from trainer.tracking.schema import Artifact, Predictions, Samples, Summary

HEADS = ("best", "best linear")
HARD = "a blurred drawing"  # caption of the rows that the older sweep of a `pair` has wrong


def sweep(
    tracking_uri: str,
    *,
    rows: int = 400,
    classes: int = 4,
    projected: int | None = None,
    images: bool = True,
    groups: bool = False,
    seed: int = 0,
    **options: Any,
) -> str:
    """A finished sweep of two heads, of which the second confuses the first two classes far more often.

    Row i has label i modulo ``classes``; a row of each in turn is train, test and val.
    """
    run_id = synthetic_runs.sweep(tracking_uri, **options)
    folder = synthetic_runs.folder_of(MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri)
    names = [f"class {i}" for i in range(classes)]
    answered = answers(rows, names, seed)
    answered.to_parquet(folder / Artifact.PREDICTIONS)
    kept = answered[answered[Predictions.HEAD] == HEADS[0]].head(projected or rows)
    number = np.arange(len(kept)) % classes
    random = np.random.default_rng(seed + 1)
    places = 10 * np.stack([number % 20, number // 20], axis=1) + random.normal(0, 2, (len(kept), 2))
    places_of = {"sample_id": kept["sample_id"].to_numpy(), "x": places[:, 0], "y": places[:, 1]}
    pd.DataFrame(places_of).to_parquet(folder / Artifact.PROJECTION)
    digits = synthetic_runs.load_digits().images
    thumbnails = (
        [synthetic_runs.webp(digits[i % len(digits)]) for i in range(min(len(kept), 500))]
        if images
        else [None]
    )
    pd.DataFrame(
        {
            Samples.SAMPLE_ID: kept["sample_id"].to_numpy(),
            Samples.SPLIT: kept["split"].to_numpy(),
            Samples.LABEL: kept["label"].to_numpy(),
            Samples.CAPTION: [f"a drawing, number {i}" for i in range(len(kept))],
            Samples.GROUP: [f"person {i // 7}" if groups else "" for i in range(len(kept))],
            Samples.CORRUPTED: None,
            Samples.THUMBNAIL: [thumbnails[i % len(thumbnails)] for i in range(len(kept))],
        }
    ).to_parquet(folder / Artifact.SAMPLES)
    summary = json.loads((folder / Artifact.SUMMARY).read_text())
    (folder / Artifact.SUMMARY).write_text(json.dumps(summary | {Summary.CLASSES: names}))
    return run_id


def pair(tracking_uri: str, *, rows: int = 300) -> tuple[str, str]:
    """Two finished sweeps of the same rows with other answers, "older" and "newer"; in the older one 15 test
    rows with the caption `HARD` are wrong."""
    older, newer = (
        sweep(tracking_uri, study=study, seed=seed, rows=rows, started=time.time() - 5000 + 1000 * seed)
        for seed, study in enumerate(("older", "newer"))
    )
    folder = synthetic_runs.folder_of(MlflowClient(tracking_uri).get_run(older).info.artifact_uri)
    answered = pd.read_parquet(folder / Artifact.PREDICTIONS)
    tested = (answered[Predictions.HEAD] == HEADS[0]) & (answered[Predictions.SPLIT] == "test")
    hard = answered.loc[tested, Predictions.SAMPLE_ID].head(15)
    is_hard = answered[Predictions.SAMPLE_ID].isin(hard)
    wrong = answered[Predictions.LABEL].map(lambda label: "class 3" if label == "class 2" else "class 2")
    answered[Predictions.PRED] = answered[Predictions.PRED].where(~is_hard, wrong)
    answered.to_parquet(folder / Artifact.PREDICTIONS)
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    samples.loc[samples[Samples.SAMPLE_ID].isin(hard), Samples.CAPTION] = HARD
    samples.to_parquet(folder / Artifact.SAMPLES)
    return older, newer


def answers(rows: int, names: list[str], seed: int) -> pd.DataFrame:
    """PREDICTIONS of both heads."""
    random = np.random.default_rng(seed)
    label = np.arange(rows) % len(names)
    drawn, other = random.random(rows), random.integers(0, len(names), rows)
    split = np.array(["train", "test", "val"])[np.arange(rows) // len(names) % 3]
    first = np.where(drawn < 0.1, other, label)
    second = np.where((label == 0) & (drawn > 0.3), 1, first)
    tables = []
    for head, pred in zip(HEADS, (first, second), strict=True):
        probs = np.full((rows, len(names)), 0.1 / max(len(names) - 1, 1), np.float32)
        probs[np.arange(rows), pred] = 0.5 + 0.5 * drawn
        tables.append(
            pd.DataFrame(
                {
                    Predictions.HEAD: head,
                    Predictions.TRIAL: 0,
                    Predictions.SEED: 0,
                    Predictions.SAMPLE_ID: [f"row-{i:05d}" for i in range(rows)],
                    Predictions.SPLIT: split,
                    Predictions.LABEL: np.array(names)[label],
                    Predictions.PRED: np.array(names)[pred],
                    Predictions.CONFIDENCE: probs.max(axis=1),
                    Predictions.PROBS: list(probs),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
