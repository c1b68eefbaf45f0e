"""Finding one's way about an MLflow store: a client for a URI, its experiments, runs and folders.

MLflow is imported inside the functions: the import costs 1.4 s, which ``--help`` should not pay.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trainer.core.errors import InputError, first_line
from trainer.tracking import database

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

PAGE = 1_000  # runs per request
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a line per run, where scripts look for figures
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def connect(tracking_uri: str) -> MlflowClient:
    """A client for the store, which exists from here on. MLflow's telemetry stays off.

    Raises:
        InputError: see :func:`trainer.tracking.database.prepare`.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # before the import, which reads them
    from mlflow import MlflowClient

    database.prepare(tracking_uri)
    return MlflowClient(tracking_uri)


def find_run(client: MlflowClient, run_id: str) -> Run:
    """The run of that id.

    Raises:
        InputError: there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise InputError(f"There is no run {run_id} in {client.tracking_uri}: {error}") from error


def download(tracking_uri: str, artifact_uri: str, *, flag: str) -> Path:
    """A folder behind ``models:/NAME/VERSION`` or ``runs:/RUN_ID/PATH``, on this machine until it exits.

    Raises:
        InputError: there is none, or it cannot be fetched; ``flag`` named it.
    """
    connect(tracking_uri)
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(tracking_uri)  # models:/ and runs:/ are looked up where the process points
    scratch = tempfile.mkdtemp(prefix="headroom-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    try:
        return Path(download_artifacts(artifact_uri=artifact_uri, dst_path=scratch))
    except (MlflowException, OSError, ValueError) as error:
        raise InputError(f"{flag} {artifact_uri} cannot be fetched: {first_line(error)}.") from error


def find_experiment(client: MlflowClient, name: str) -> Experiment | None:
    """The experiment of that name, if there is one.

    Raises:
        InputError: it was deleted (MLflow keeps the name taken), or its artifacts are not where the
            store says.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        raise InputError(
            f"--experiment {name} was deleted, and MLflow keeps its name until it is removed for good. Bring "
            f"it back with `mlflow experiments restore --experiment-id {experiment.experiment_id}` "
            f"(MLFLOW_TRACKING_URI={client.tracking_uri}), or pass another --experiment."
        )
    refuse_moved_store(client, experiment)
    return experiment


def open_experiment(client: MlflowClient, name: str) -> str:
    """Id of the experiment of that name, created where missing.

    A SQLite store keeps the artifacts in ``artifacts/`` beside the database; a server decides itself.

    Raises:
        InputError: as :func:`find_experiment`, or MLflow does not accept the name.
    """
    from mlflow.exceptions import MlflowException

    path = database.sqlite_path(client.tracking_uri)
    experiment = find_experiment(client, name)
    if experiment is None:
        try:
            return client.create_experiment(name, database.artifact_root(path) if path else None)
        except MlflowException as error:
            experiment = find_experiment(client, name)  # somebody else may have been faster
            if experiment is None:
                raise InputError(f"--experiment {name!r} cannot be created: {error}") from error
    return experiment.experiment_id


def refuse_moved_store(client: MlflowClient, experiment: Experiment) -> None:
    """Notice a store that was moved: MLflow keeps absolute artifact paths, and then silently lists nothing.

    Raises:
        InputError: the recorded folder is gone, and the database has an ``artifacts/`` folder beside it.
    """
    path = database.sqlite_path(client.tracking_uri)
    recorded = local_folder(experiment.artifact_location)
    if path is None or recorded is None or recorded.exists():
        return
    beside = path.parent / "artifacts"
    if recorded != beside and beside.exists():
        raise InputError(
            f"The tracking store {path} was moved: MLflow looks for the artifacts of experiment "
            f"{experiment.name} in {recorded}, and they are in {beside}. Move the folder back, or link the "
            f"old place to the new one: mkdir -p {recorded.parent} && ln -s {beside} {recorded}"
        )


def local_folder(artifact_uri: str) -> Path | None:
    """The folder behind an artifact URI; ``None`` where it is on a server or in a bucket."""
    parts = urlsplit(artifact_uri)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def runs(client: MlflowClient, experiment_id: str, *, where: str) -> Iterator[Run]:
    """All runs that match an MLflow filter, newest first, however many pages that takes."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=PAGE, order_by=["start_time DESC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def tag_is(tag: str, value: str) -> str:
    """MLflow filter for a tag; the value must be one of our own words (no quotes in it)."""
    return f"tags.`{tag}` = '{value}'"


def cut(value: object, limit: int) -> str:
    """``value`` as text of at most ``limit`` characters, with an ellipsis where it was longer."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
