"""Runs of a SQLite store, read without MLflow: to import it takes longer than to draw the first page."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from trainer.tracking.schema import Kind, Tag

INFO = "run_uuid, name, experiment_id, status, start_time, end_time, artifact_uri"
STAGE = (
    "runs.lifecycle_stage = '{}' AND experiment_id IN "
    "(SELECT experiment_id FROM experiments WHERE lifecycle_stage = 'active')"
)
TAGGED = "EXISTS (SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = ?{})"
NAME = "mlflow.runName"
AT_ONCE = 500  # runs whose tags, parameters and metrics are asked for together


class StoredInfo(NamedTuple):
    """What `mlflow.entities.RunInfo` has, as far as it is used here."""

    run_id: str
    run_name: str | None
    experiment_id: str
    status: str
    start_time: int | None
    end_time: int | None
    artifact_uri: str


class StoredData(NamedTuple):
    """What `mlflow.entities.RunData` has, as far as it is used here."""

    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


class StoredRun(NamedTuple):
    """A run as `mlflow.entities.Run` has it."""

    info: StoredInfo
    data: StoredData


class RunDatabase:
    """The tables of MLflow's SQLite store. Every method raises `sqlite3.Error` where they are others."""

    def __init__(self, path: Path) -> None:
        self.uri = f"file:{quote(str(path))}?mode=ro"

    def is_empty(self) -> bool:
        """Return whether there are no tables of MLflow."""
        with closing(self._connect()) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'runs'")
            return not tables.fetchone()[0]

    def experiments(self) -> dict[str, str]:
        """Return the names of the experiments by id."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT experiment_id, name FROM experiments").fetchall()
        return {str(number): name for number, name in rows}

    def runs(self, kind: Kind | None, *, archived: bool = False) -> Iterator[StoredRun]:
        """Yield the runs of a kind, or those that are nobody's child, newest first; in their place those that
        were archived."""
        if kind is None:
            where, asked = f"NOT {TAGGED.format('')}", [Tag.PARENT]
        else:
            where, asked = TAGGED.format(" AND value = ?"), [Tag.KIND, str(kind)]
        newest = "ORDER BY start_time DESC, run_uuid"
        with closing(self._connect()) as connection:
            stage = STAGE.format("deleted" if archived else "active")
            query = f"SELECT {INFO} FROM runs WHERE {stage} AND {where} {newest}"
            found = connection.execute(query, asked)
            while rows := found.fetchmany(AT_ONCE):
                yield from _runs(connection, rows)

    def run(self, run_id: str) -> StoredRun | None:
        """Return a run; None where there is none of that id."""
        with closing(self._connect()) as connection:
            row = connection.execute(f"SELECT {INFO} FROM runs WHERE run_uuid = ?", [run_id]).fetchone()
            return next(_runs(connection, [row])) if row else None

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.uri, uri=True, timeout=5)


def _runs(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[StoredRun]:
    """Yield the runs of some rows of `INFO`, in their order, with one query for each of their tables."""
    ids = [row[0] for row in rows]
    among = f"WHERE run_uuid IN ({', '.join('?' * len(ids))})"
    of_run: dict[str, StoredData] = {run_id: StoredData({}, {}, {}) for run_id in ids}
    for run_id, key, value in connection.execute(f"SELECT run_uuid, key, value FROM tags {among}", ids):
        of_run[run_id].tags[key] = value
    for run_id, key, value in connection.execute(f"SELECT run_uuid, key, value FROM params {among}", ids):
        of_run[run_id].params[key] = value
    latest = f"SELECT run_uuid, key, value, is_nan FROM latest_metrics {among}"
    for run_id, key, value, is_nan in connection.execute(latest, ids):
        of_run[run_id].metrics[key] = math.nan if is_nan else value
    for run_id, name, experiment_id, *others in rows:
        data = of_run[run_id]
        yield StoredRun(StoredInfo(run_id, name or data.tags.get(NAME), str(experiment_id), *others), data)
