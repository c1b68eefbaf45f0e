"""Sweeps whose trials are known, for the tests of the page "Hyperparameters"."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from tests.support import synthetic_runs
from trainer.tracking.schema import Artifact, Kind, RunState, Tag, TrialState

RUNGS = (6, 20, 60)


def trials(count: int, *, seed: int = 0, seeds: int = 3) -> pd.DataFrame:
    """TRIALS in which the learning rate decides, dropout helps a little and ``nothing`` does nothing.

    The first two are logistic regressions, which have neither; every tenth fails, and bad ones are pruned.
    """
    random = np.random.default_rng(seed)
    return pd.DataFrame(_trial(number, random, seeds) for number in range(count))


def _trial(number: int, random: np.random.Generator, seeds: int) -> dict:
    linear = number < 2
    lr, dropout = float(10 ** random.uniform(-4, -1)), float(random.uniform(0, 0.6))
    optimizer = str(random.choice(["adam", "adamw", "sgd"]))
    noise, nothing = float(random.normal(0, 0.01)), float(random.uniform(0, 1))
    score = 0.8 - 0.12 * (np.log10(lr) + 2.5) ** 2 + 0.1 * dropout + noise
    score = 0.7 + 0.01 * number if linear else score
    failed, pruned = number % 10 == 9, not linear and score < 0.6
    state = TrialState.FAILED if failed else TrialState.PRUNED if pruned else TrialState.COMPLETE
    reached = {} if linear else {rung: score * (0.7 + 0.1 * place) for place, rung in enumerate(RUNGS)}
    reached = {6: score * 0.7} if pruned or failed else reached
    return {
        "trial": number,
        "state": str(state),
        "seeds": seeds,
        "epochs": 6 if pruned else 60,
        "best_epoch": 5.0 if pruned else 41.5,
        "val_f1_macro": None if failed else score,
        "val_f1_macro_se": 0.01 if seeds > 1 else None,
        "val_f1_macro_low": score - 0.02 if seeds > 1 and not failed else None,
        "val_f1_macro_high": score + 0.02 if seeds > 1 and not failed else None,
        "val_accuracy": score,
        "val_loss": 0.4,
        "parameters": 650,
        "started_s": float(number),
        "finished_s": float(2 * number + 1),
        "rungs": json.dumps(reached),
        "message": "Its loss became infinite." if failed else "",
        "param.depth": 0 if linear else 1,
        "param.solver": "lbfgs" if linear else "descent",
        "param.l2": 0.1 + number if linear else None,
        "param.lr": None if linear else lr,
        "param.dropout": None if linear else dropout,
        "param.optimizer": None if linear else optimizer,
        "param.nothing": nothing,
        "param.epochs": 60,
    }


def sweep(tracking_uri: str, table: pd.DataFrame, *, state: str = RunState.DONE, name: str = "known") -> str:
    """Write TRIALS as a sweep of ours; returns its run id."""
    client = MlflowClient(tracking_uri)
    tags = {
        Tag.KIND: Kind.SWEEP,
        Tag.STUDY: "known",
        Tag.COMMAND: "python -m trainer.sweep --study known",
        Tag.HEARTBEAT: str(time.time() + 3600),
    }
    run = client.create_run(synthetic_runs.experiment(client, tracking_uri), run_name=name, tags=tags)
    replace(tracking_uri, run.info.run_id, table)
    if state in synthetic_runs.STATUS:
        client.set_terminated(run.info.run_id, synthetic_runs.STATUS[state])
    return str(run.info.run_id)


def replace(tracking_uri: str, run_id: str, table: pd.DataFrame) -> None:
    """TRIALS as they stand a moment later."""
    folder = synthetic_runs.folder_of(MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "new")
    (folder / "new").replace(folder / Artifact.TRIALS)


def foreign(tracking_uri: str, *, children: int = 12, hostile: bool = False) -> str:
    """A search of another program: child runs with parameters and two metrics, one of them a loss."""
    client, random = MlflowClient(tracking_uri), np.random.default_rng(0)
    experiment = synthetic_runs.experiment(client, tracking_uri, "other")
    parent = client.create_run(experiment, run_name=synthetic_runs.HOSTILE if hostile else "grid").info.run_id
    kind = synthetic_runs.HOSTILE if hostile else "lion"
    for number in range(children):
        run = client.create_run(experiment, run_name=f"child {number}", tags={Tag.PARENT: parent})
        rate = 10 ** random.uniform(-4, -1)
        client.log_param(run.info.run_id, "learning.rate", rate)
        client.log_param(run.info.run_id, "image", ["http://evil.example/x.png", kind][number % 2])
        client.log_metric(run.info.run_id, "eval/loss", abs(np.log10(rate) + 2.5))
        client.log_metric(run.info.run_id, "eval/accuracy", 0.9 - 0.1 * abs(np.log10(rate) + 2.5))
        client.set_terminated(run.info.run_id)
    client.set_terminated(parent)
    return str(parent)
