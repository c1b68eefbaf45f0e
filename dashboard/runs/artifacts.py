"""Files of a run: where they lie, and how they are read while somebody may be writing them."""

from __future__ import annotations

import atexit
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse

import pandas as pd

T = TypeVar("T")
RETRY_AFTER_S = 0.2
LET_IN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


class StoreProblem(RuntimeError):
    """The store, or a file in it, cannot be shown. The message is one paragraph for people.

    ``mend`` holds the commands that put it right, where there are any.
    """

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class ArtifactsMoved(StoreProblem):
    """The folder that the store names for a run's files is gone: somebody moved or deleted it."""


def local_folder(artifact_uri: str) -> Path | None:
    """The folder behind an artifact URI on this machine; ``None`` for a server or an object store."""
    parsed = urlparse(artifact_uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(artifact_uri) if parsed.scheme == "" else None


def check_not_moved(artifact_uri: str, database: Path | None) -> None:
    """Local artifact locations are absolute in MLflow, and it lists a moved folder as an empty one.

    A run without a single file is a different thing: there the folder of its experiment exists.

    Raises:
        ArtifactsMoved: with the commands that mend it, as far as they can be known.
    """
    folder = local_folder(artifact_uri)
    if folder is None or folder.exists() or folder.parent.parent.exists():
        return
    message = (
        f"The files of this run were in {folder}, and that folder is no longer there. MLflow keeps absolute "
        "paths, so a store that was moved or copied still points at the old place. Move the files back, or "
        "point the store at the new place."
    )
    raise ArtifactsMoved(message, mend=_mend(folder, database))


def _mend(folder: Path, database: Path | None) -> str:
    """Commands that point the store at the files, if these lie beside the database where ours do."""
    if database is None or "artifacts" not in folder.parts:
        return ""
    cut = folder.parts.index("artifacts") + 1
    old, new = Path(*folder.parts[:cut]), database.parent / "artifacts"
    if not (new / Path(*folder.parts[cut:])).exists():
        return ""
    change = f"replace({{0}}, '{old.as_uri()}', '{new.as_uri()}')"
    return "\n".join(
        f'sqlite3 {database} "UPDATE {table} SET {column} = {change.format(column)}"'
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"))
    )


def version(artifact_uri: str, name: str) -> tuple[int, int] | None:
    """What changes when a local file changes: (time, size). ``None``: absent, or not on this machine."""
    folder = local_folder(artifact_uri)
    try:
        found = (folder / name).stat() if folder else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found else None


class Files:
    """Reads the files of runs.

    Args:
        tracking_uri: the store. A server that hands out artifacts itself is asked for them; MLflow would ask
            its default store.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def read_table(self, artifact_uri: str, name: str) -> pd.DataFrame | None:
        """A Parquet artifact; ``None`` where it does not exist (yet).

        Raises:
            StoreProblem: it exists and cannot be read, not even at the second attempt.
        """
        return self._read(artifact_uri, name, pd.read_parquet)

    def read_json(self, artifact_uri: str, name: str) -> dict[str, Any] | None:
        """A JSON artifact; ``None`` where it does not exist (yet). Raises as `read_table` does."""
        return self._read(artifact_uri, name, lambda path: json.loads(path.read_text()))

    def read_bytes(self, artifact_uri: str, name: str) -> bytes | None:
        """An artifact as it is; ``None`` where it does not exist (yet). Raises as `read_table` does."""
        return self._read(artifact_uri, name, Path.read_bytes)

    def folder(self, artifact_uri: str, name: str) -> Path:
        """A folder of artifacts: on this machine itself, else a copy that is deleted at exit."""
        here = local_folder(artifact_uri)
        if here is not None:
            return here / name
        scratch = Path(mkdtemp(prefix="headroom-"))
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        try:
            return self._download(f"{artifact_uri}/{name}", scratch)
        except Exception as error:
            raise StoreProblem(f"{name} of this run cannot be read: {error}.") from error

    def _download(self, artifact: str, target: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        uri = self.tracking_uri
        return Path(download_artifacts(artifact_uri=artifact, dst_path=str(target), tracking_uri=uri))

    def _read(self, artifact_uri: str, name: str, parse: Callable[[Path], T]) -> T | None:
        try:
            return self._attempt(artifact_uri, name, parse)
        except Exception:
            time.sleep(RETRY_AFTER_S)  # most likely a writer was at it
        try:
            return self._attempt(artifact_uri, name, parse)
        except Exception as error:
            why = (
                "If the run is still going, wait for its next checkpoint; if not, the file is damaged, and "
                "running the sweep again under the same study name writes it again."
                if local_folder(artifact_uri) is not None
                else f"Check that the server runs, and that you may read there ({LET_IN})."
            )
            raise StoreProblem(f"{name} of this run cannot be read: {error}. {why}") from error

    def _attempt(self, artifact_uri: str, name: str, parse: Callable[[Path], T]) -> T | None:
        folder = local_folder(artifact_uri)
        if folder is not None:
            path = folder / name
            return parse(path) if path.exists() else None
        from mlflow.artifacts import list_artifacts

        inner = name.rpartition("/")[0]  # "" for the root; only the names of one folder are listed at a time
        above = f"{artifact_uri}/{inner}" if inner else artifact_uri
        listed = list_artifacts(artifact_uri=above, tracking_uri=self.tracking_uri)
        if name.rpartition("/")[2] not in {item.path.rpartition("/")[2] for item in listed}:
            return None
        with TemporaryDirectory() as scratch:
            return parse(self._download(f"{artifact_uri}/{name}", Path(scratch)))
