"""Access an MLflow store: client, experiments, runs and artifact folders.

MLflow is imported inside the functions: the import takes 1.4 s, too long for ``--help``.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trainer.core import scratch
from trainer.core.errors import InputError, first_line
from trainer.core.locations import without_password
from trainer.core.text import cut
from trainer.core.version import __version__
from trainer.tracking import database
from trainer.tracking.schema import EXPERIMENT_VERSION
from trainer.tracking.server import ServerClient, configure_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

SHOWN = 200  # characters of a name, or another library's message, in a sentence
PAGE = 1_000  # runs per request
# Loggers that print the trace of an error which is raised, too.
TALKATIVE = ("mlflow.store.db.utils", "sqlalchemy.pool")


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client for the store, creating it if necessary. MLflow's telemetry is off.

    Raises:
        InputError: see :func:`trainer.tracking.database.prepare` and `check_driver`. Calls of a server's
            client raise :class:`trainer.tracking.server.ServerAway` where it does not answer.
    """
    configure_mlflow()
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from mlflow import MlflowClient

    database.prepare(tracking_uri)
    database.check_driver(tracking_uri)
    client = MlflowClient(tracking_uri)
    return cast("MlflowClient", ServerClient(client)) if tracking_uri.startswith("http") else client


def find_run(client: MlflowClient, run_id: str) -> Run:
    """Return the run of that id.

    Raises:
        InputError: there is no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise InputError(
            f"There is no run {run_id} in {without_password(client.tracking_uri)}: {error}"
        ) from error


def parent_of(artifact: str) -> str | None:
    """Return the artifact's folder, as MLflow's calls want it: nothing for the root."""
    return artifact.rpartition("/")[0] or None


def read_artifact(client: MlflowClient, run: Run, artifact: str) -> bytes | None:
    """Return a file of a run; None where it is not logged."""
    folder = local_folder(run.info.artifact_uri)
    if folder is not None:
        path = folder / artifact
        return path.read_bytes() if path.exists() else None
    listed = client.list_artifacts(run.info.run_id, parent_of(artifact))
    if artifact not in {entry.path for entry in listed}:
        return None
    with tempfile.TemporaryDirectory() as beside:
        return Path(client.download_artifacts(run.info.run_id, artifact, beside)).read_bytes()


def list_artifacts(client: MlflowClient, run: Run, artifact: str) -> list[str]:
    """Return the names of what is in a folder of a run; [] where it is not logged."""
    folder = local_folder(run.info.artifact_uri)
    if folder is not None:
        found = folder / artifact
        return [path.name for path in found.iterdir() if path.name[0] != "."] if found.is_dir() else []
    listed = client.list_artifacts(run.info.run_id, artifact)
    return [entry.path.rpartition("/")[2] for entry in listed]


def download(tracking_uri: str, artifact_uri: str, *, flag: str) -> Path:
    """Download ``models:/NAME/VERSION`` or ``runs:/RUN_ID/PATH`` to a folder that is deleted at exit.

    Raises:
        InputError: it does not exist or cannot be downloaded; the message names ``flag``.
    """
    connect(tracking_uri)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    folder = scratch.of_process("model")
    try:
        with default_store(tracking_uri):
            return Path(download_artifacts(artifact_uri=artifact_uri, dst_path=str(folder)))
    except (MlflowException, OSError, ValueError) as error:
        raise InputError(f"{flag} {artifact_uri} cannot be downloaded: {first_line(error)}.") from error


@contextmanager
def default_store(tracking_uri: str) -> Iterator[None]:
    """Make MLflow resolve ``models:/`` and ``runs:/`` in that store: 3.17 passes over what it is given."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")  # which MLflow sets with its default store
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: as if never set


def find_experiment(client: MlflowClient, name: str) -> Experiment | None:
    """Return the experiment of that name, or None.

    Raises:
        InputError: it was deleted (MLflow still reserves the name), or the store was moved.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    if experiment.lifecycle_stage == "deleted":
        raise InputError(
            f"--experiment {name} was deleted, and MLflow reserves its name until it is removed permanently. "
            f"Restore it with `mlflow experiments restore --experiment-id {experiment.experiment_id}` "
            f"(MLFLOW_TRACKING_URI={without_password(client.tracking_uri)}), or pass another --experiment."
        )
    check_not_moved(client, experiment)
    return experiment


def open_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment of that name, creating it if necessary.

    A SQLite store keeps artifacts in ``artifacts/`` beside the database; a server decides for itself.

    Raises:
        InputError: as :func:`find_experiment`, or MLflow rejects the name.
    """
    from mlflow.exceptions import MlflowException

    path = database.sqlite_path(client.tracking_uri)
    experiment = find_experiment(client, name)
    if experiment is None:
        if path is None:
            database.check_keeps_files(client.tracking_uri, name)
        try:
            return client.create_experiment(name, database.artifact_root(path) if path else None)
        except MlflowException as error:
            experiment = find_experiment(client, name)  # another process may have created it
            if experiment is None:
                why = cut(first_line(error), SHOWN)
                raise InputError(f"--experiment {cut(name, SHOWN)!r} cannot be created: {why}") from error
    return experiment.experiment_id


def check_may_write(tracking_uri: str, experiment: str) -> None:
    """On a server, see before any data are read that the experiment may be written; it is made if need be.

    Raises:
        InputError: as :func:`open_experiment`, or this user has no right to write it.
    """
    if tracking_uri.startswith("http"):
        client = connect(tracking_uri)
        client.set_experiment_tag(open_experiment(client, experiment), EXPERIMENT_VERSION, __version__)


def check_not_moved(client: MlflowClient, experiment: Experiment) -> None:
    """Raise InputError for a store that was moved.

    MLflow stores absolute artifact paths, and lists nothing if the folder does not exist.

    Raises:
        InputError: the stored folder is missing, and there is an ``artifacts/`` folder beside the database.
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
    """Return the local folder of an artifact URI; None for a server or a bucket."""
    parts = urlsplit(artifact_uri)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def runs(client: MlflowClient, experiment_id: str, *, where: str) -> Iterator[Run]:
    """Yield all runs that match an MLflow filter, newest first."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=PAGE, order_by=["start_time DESC"], page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def tag_filter(tag: str, value: str) -> str:
    """Return an MLflow filter for a tag. The value must not contain quotes."""
    return f"tags.`{tag}` = '{value}'"
