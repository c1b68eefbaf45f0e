"""A finished sweep that predicts a number of each drawing, wrong by as much as a test wants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from tests.support import synthetic_runs
from trainer.stats.objective import F1, R2
from trainer.tracking.schema import Artifact, Predictions, Samples, Summary, Trials


def sweep(tracking_uri: str, *, error: float = 1.0, seed: int = 0, **options: Any) -> str:
    """Write it; returns its run id.

    Args:
        error: standard deviation of the errors; the true numbers are 0, 1, 2, ….
        seed: of the errors.
        options: of `synthetic_runs.sweep`.
    """
    run_id = synthetic_runs.sweep(tracking_uri, **options)
    client = MlflowClient(tracking_uri)
    client.log_param(run_id, Summary.OBJECTIVE, R2.name)
    folder = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri)
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    ends = ("", Trials.SE, Trials.LOW, Trials.HIGH)
    named = {f"{F1.column}{end}": f"{R2.column}{end}" for end in ends}
    trials.rename(columns=named).to_parquet(folder / Artifact.TRIALS)
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    true_n = np.arange(len(samples), dtype=np.float64)
    pd.DataFrame(
        {
            Predictions.HEAD: "best",
            Predictions.TRIAL: np.int32(0),
            Predictions.SEED: np.int16(0),
            Predictions.SAMPLE_ID: samples[Samples.SAMPLE_ID],
            Predictions.SPLIT: "test",
            Predictions.UNIT: np.arange(len(samples)),
            Predictions.TARGET: true_n,
            Predictions.NUMBER: true_n + error * np.random.default_rng(seed).normal(size=len(samples)),
        }
    ).to_parquet(folder / Artifact.PREDICTIONS)
    return run_id
