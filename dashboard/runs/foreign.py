"""Runs that other programs wrote: parameters and metric histories through the MLflow client."""

from __future__ import annotations

from typing import Any

import pandas as pd

from trainer.tracking.schema import PARAM_PREFIX, Curves, Tag, Trials, TrialState

METRIC_PREFIX = "metric."  # columns of `trials`: the last value of each metric
NAME = "name"
MOST_CHILDREN = 50  # a metric's history costs 7–17 ms; the page says when there are more

STATES = {"FINISHED": TrialState.COMPLETE, "FAILED": TrialState.FAILED, "KILLED": TrialState.PRUNED}


def members(client: Any, run: Any) -> list[Any]:
    """The children of a run, oldest first; the run itself where it has none."""
    children = client.search_runs(
        [run.info.experiment_id],
        filter_string=f"tags.`{Tag.PARENT}` = '{run.info.run_id}'",
        max_results=1000,
        order_by=["attributes.start_time ASC"],
    )
    return list(children) or [run]


def trials(runs: list[Any]) -> pd.DataFrame:
    """One row per run: ``trial`` (its place), name, state, ``param.*`` and ``metric.*`` columns."""
    rows = [
        {
            Trials.TRIAL: number,
            NAME: run.info.run_name or run.info.run_id,
            Trials.STATE: str(STATES.get(run.info.status, TrialState.RUNNING)),
            **{f"{PARAM_PREFIX}{key}": value for key, value in run.data.params.items()},
            **{f"{METRIC_PREFIX}{key}": value for key, value in run.data.metrics.items()},
        }
        for number, run in enumerate(runs)
    ]
    frame = pd.DataFrame(rows)
    for column in frame.columns:
        if column.startswith(PARAM_PREFIX):  # MLflow keeps parameters as text
            frame[column] = _numbers_if_all(frame[column])
    return frame


def _numbers_if_all(texts: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce")
    return numbers if numbers.notna().equals(texts.notna()) else texts


def curves(client: Any, runs: list[Any]) -> pd.DataFrame:
    """Metric histories of the first `MOST_CHILDREN` runs in the columns of `Curves`; the split is "".

    Epoch is MLflow's step.
    """
    rows = [
        (number, 0, point.step, "", key, point.value)
        for number, run in enumerate(runs[:MOST_CHILDREN])
        for key in sorted(run.data.metrics)
        for point in client.get_metric_history(run.info.run_id, key)
    ]
    columns = [Curves.TRIAL, Curves.SEED, Curves.EPOCH, Curves.SPLIT, Curves.METRIC, Curves.VALUE]
    return pd.DataFrame(rows, columns=columns)
