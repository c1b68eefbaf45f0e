"""Child runs: one per trial of a sweep, one per cell of an ablation, below the parent run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.tracking.client import runs, tag_filter
from trainer.tracking.schema import Kind, Stopped, Tag, TrialState

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAILED: "FAILED"}


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """One finished trial or ablation cell, for its child run."""

    trial: int
    name: str
    state: TrialState  # any but RUNNING
    params: Mapping[str, object]  # None: does not apply to this trial, not logged
    epochs: Mapping[str, Sequence[float]]  # metric → one value per epoch, from epoch 1
    final: Mapping[str, float]
    started_ms: int  # UNIX milliseconds
    ended_ms: int
    message: str = ""  # error of a failed trial
    kind: Kind = Kind.TRIAL


def tags_of(child: ChildRun, parent: Run) -> dict[str, object]:
    """Return the tags of a child run."""
    tags: dict[str, object] = {
        Tag.PARENT: parent.info.run_id,
        Tag.KIND: child.kind,
        Tag.TRIAL: child.trial,
        Tag.TRIAL_STATE: child.state,
    }
    return {**tags, Tag.ERROR: child.message} if child.message else tags


def metrics_of(child: ChildRun) -> Iterator[Metric]:
    """Yield per-epoch metrics (step = epoch, timestamps spread evenly over the trial), then the final ones.

    Values that are not finite are skipped: MLflow would store 0.
    """
    from mlflow.entities import Metric

    length_ms = child.ended_ms - child.started_ms
    for name, values in child.epochs.items():
        for epoch, value in enumerate(values, start=1):
            if math.isfinite(value):
                time_ms = child.started_ms + length_ms * epoch // len(values)
                yield Metric(name, float(value), time_ms, epoch)
    for name, value in child.final.items():
        if math.isfinite(value):
            yield Metric(name, float(value), child.ended_ms, 0)


def complete_child_trials(client: MlflowClient, parent: Run) -> set[int]:
    """Return the trials with a complete child run. Incomplete runs are deleted, to be written again.

    So is a second run of one trial: a server that hangs may carry out a request that was given up and,
    meanwhile, made again.
    """
    whole: set[int] = set()
    where = tag_filter(Tag.PARENT, parent.info.run_id)
    for run in list(runs(client, parent.info.experiment_id, where=where)):  # pages would shift meanwhile
        tags = run.data.tags
        trial = int(tags[Tag.TRIAL]) if Tag.TRIAL in tags else None
        if run.info.status == "RUNNING" or Tag.STOPPED in tags or trial in whole:
            client.delete_run(run.info.run_id)
        elif trial is not None:
            whole.add(trial)
    return whole


def close_unfinished_children(client: MlflowClient, parent: Run, *, stopped: Stopped, ended_ms: int) -> None:
    """Close the child runs that were still open when their sweep stopped, as KILLED."""
    where = f"{tag_filter(Tag.PARENT, parent.info.run_id)} AND attributes.status = 'RUNNING'"
    for run in list(runs(client, parent.info.experiment_id, where=where)):  # pages would shift meanwhile
        client.set_tag(run.info.run_id, Tag.STOPPED, stopped)
        client.set_terminated(run.info.run_id, "KILLED", max(ended_ms, run.info.start_time))
