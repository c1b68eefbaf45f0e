"""Find studies by name and close the runs of dead processes."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.tracking.children import close_unfinished_children
from trainer.tracking.claims import is_lost, remove_leftovers
from trainer.tracking.client import connect, find_experiment, local_folder, runs, tag_filter
from trainer.tracking.long_tags import whole
from trainer.tracking.schema import Kind, RunState, Stopped, Tag, run_state
from trainer.tracking.server import ServerClient, clock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class StudyRun:
    """The stored run of a study."""

    run_id: str
    state: RunState
    tags: dict[str, str]
    params: dict[str, str]


def find_study(tracking_uri: str, experiment: str, study: str, *, kind: Kind = Kind.SWEEP) -> StudyRun | None:
    """Return the newest run of that study and kind, or None.

    LIVE means that the last heartbeat is recent; the process may have been killed a moment ago.
    ``RunWriter.resume`` distinguishes the two.
    """
    client = connect(tracking_uri)
    found = find_experiment(client, experiment)
    if found is None:
        return None
    for run in runs(client, found.experiment_id, where=tag_filter(Tag.KIND, kind)):
        if run.data.tags.get(Tag.STUDY) == study:  # not in the filter, which cannot quote every name
            return StudyRun(
                run.info.run_id, state_of(run, clock(client)), whole(client, run), run.data.params
            )
    return None


def close_lost_runs(tracking_uri: str, experiment: str) -> list[str]:
    """Close the runs of dead processes and their incomplete child runs, and remove their temporary files.

    On a server, which many may use, only those of this user: a colleague's process may be cut off, and alive.

    Returns:
        Ids of the closed parent runs: KILLED, tagged as lost, ended at their last heartbeat.
    """
    client = connect(tracking_uri)
    found = find_experiment(client, experiment)
    if found is None:
        return []
    open_runs = runs(client, found.experiment_id, where="attributes.status = 'RUNNING'")
    ours, now = [run for run in open_runs if Tag.HEARTBEAT in run.data.tags], clock(client)
    if isinstance(client, ServerClient):
        ours = [run for run in ours if run.data.tags.get(Tag.USER, this_user()) == this_user()]
    lost = [run for run in ours if is_lost(run, silent=state_of(run, now) is not RunState.LIVE)]
    for run in lost:
        ended_ms = int(min(float(run.data.tags[Tag.HEARTBEAT]), now) * 1000)
        close_unfinished_children(client, run, stopped=Stopped.LOST, ended_ms=ended_ms)
        client.set_tag(run.info.run_id, Tag.STOPPED, Stopped.LOST)
        client.set_terminated(run.info.run_id, "KILLED", max(ended_ms, run.info.start_time))
        folder = local_folder(run.info.artifact_uri)
        if folder is not None:
            remove_leftovers(folder)
    return [run.info.run_id for run in lost]


def state_of(run: Run, now: float) -> RunState:
    """Return the state of a run at a time of its store's clock."""
    heartbeat = run.data.tags.get(Tag.HEARTBEAT)
    return run_state(run.info.status, float(heartbeat) if heartbeat else None, now)


def this_user() -> str:
    """Return who starts runs here: the user of the server, else of this machine."""
    named = os.environ.get("MLFLOW_TRACKING_USERNAME")
    try:
        return named or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"user {os.getuid()}"


def test_looks(client: MlflowClient, *, digest: str) -> int:
    """Return how often runs of the store have answered the test rows of the data with that digest."""
    looks = 0
    for experiment in client.search_experiments():
        for run in runs(client, experiment.experiment_id, where=tag_filter(Tag.DIGEST, digest)):
            before_counting = run.info.status == "FINISHED" and run.data.tags.get(Tag.KIND) != Kind.EXTRACTION
            looks += int(run.data.tags.get(Tag.TEST_LOOKS, before_counting))
    return looks


def finished_runs(tracking_uri: str, experiment: str, *, kind: Kind = Kind.SWEEP) -> Iterator[str]:
    """Yield the ids of the finished runs of a kind, newest first."""
    client = connect(tracking_uri)
    found = find_experiment(client, experiment)
    if found is not None:
        where = f"{tag_filter(Tag.KIND, kind)} AND attributes.status = 'FINISHED'"
        yield from (run.info.run_id for run in runs(client, found.experiment_id, where=where))
