"""The one reader of MLflow. No Streamlit here; caching is the business of `dashboard.ui.state`.

Runs are listed from the database where it is a SQLite file, else through MLflow's client. A sweep of ours is
read from the files of its parent run; what another program's run logged, through the client.
Looking never changes a store: a missing SQLite file is not created, an empty one not migrated.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from dashboard.runs import artifacts, foreign
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_database import RunDatabase
from dashboard.runs.run_info import (
    Figures,
    RunInfo,
    describe,
    figures_so_far,
    final_figures,
    kind_of,
    objective_of,
)
from trainer.core.locations import sqlite_file, without_password
from trainer.tracking.schema import SWEEP_KINDS, Artifact, Kind, Tag

NEWEST = 500  # runs listed
ACTIVE_ONLY, DELETED_ONLY = 1, 2  # `mlflow.entities.ViewType`, which is slow to import


class Store:
    """What there is to see at one tracking URI. Every method may raise `StoreProblem`."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self.files = artifacts.Files(tracking_uri)
        self._summaries: dict[tuple[str, int], dict[str, Any] | None] = {}  # of runs that have ended

    @cached_property
    def database(self) -> Path | None:
        """The SQLite file, absolute; ``None`` for a server."""
        file = sqlite_file(self.tracking_uri)
        return None if file is None else Path(file).absolute()

    def is_empty(self) -> bool:
        """Whether there is no store yet: no SQLite file, or one without tables.

        Raises:
            StoreProblem: the file is no SQLite database.
        """
        if self.database is None:
            return False
        if not self.database.exists():
            return True
        try:
            return RunDatabase(self.database).is_empty()
        except sqlite3.DatabaseError as error:
            raise StoreProblem(
                f"The tracking store {self.database} cannot be read as a SQLite database ({error}). Start "
                "the dashboard with HEADROOM_TRACKING_URI set to the store that you mean."
            ) from error

    def sweeps(self) -> list[RunInfo]:
        """The newest `NEWEST` runs that are nobody's child, and are like sweeps or another program's, newest
        first; none where there is no store."""
        return self._infos(
            None,
            lambda run: kind_of(run) in (None, *SWEEP_KINDS),
            self._figures,
        )

    def of_kind(self, kind: Kind) -> list[RunInfo]:
        """The newest `NEWEST` runs of one kind, newest first; none where there is no store."""
        return self._infos(kind, lambda run: True, lambda run: Figures())

    def every(self, *, archived: bool = False) -> list[RunInfo]:
        """The newest `NEWEST` runs of all kinds that are nobody's child, newest first; in their place those
        that were archived."""
        return self._infos(None, lambda run: True, self._figures, archived=archived)

    def table(self, run_id: str, artifact: str) -> pd.DataFrame | None:
        """A table of `schema.Artifact`; ``None`` where the run has none, or none yet.

        Another program's trials and curves are put together from what it logged: see `foreign`.
        """
        run = self._run(run_id)
        if kind_of(run) is None and artifact == Artifact.TRIALS:
            return foreign.trials(foreign.members(self._client, run))
        if kind_of(run) is None and artifact == Artifact.CURVES:
            return foreign.curves(self._client, foreign.members(self._client, run))
        frame = self.files.read_table(run.info.artifact_uri, artifact)
        if frame is None:
            self._check_not_moved(run)
        return frame

    def file(self, run_id: str, artifact: str) -> bytes | None:
        """A file of `schema.Artifact` as it is; ``None`` where the run has none, or none yet."""
        return self.files.read_bytes(self._run(run_id).info.artifact_uri, artifact)

    def summary(self, run_id: str) -> dict[str, Any] | None:
        """`schema.Summary`, or `schema.Extracted` or `schema.Ablated`; ``None`` until the run is done."""
        return self._summary(self._run(run_id))

    def _infos(
        self,
        kind: Kind | None,
        wanted: Callable[[Any], bool],
        figures: Callable[[Any], Figures],
        *,
        archived: bool = False,
    ) -> list[RunInfo]:
        if self.is_empty():
            return []
        try:
            return self._described(*self._in_database(kind, archived), wanted, figures)
        except sqlite3.Error:  # tables of another version of MLflow
            return self._described(*self._through_client(kind, archived), wanted, figures)

    def _in_database(self, kind: Kind | None, archived: bool) -> tuple[dict[str, str], Iterator[Any]]:
        if self.database is None:
            return self._through_client(kind, archived)
        database = RunDatabase(self.database)
        return database.experiments(), database.runs(kind, archived=archived)

    def _through_client(self, kind: Kind | None, archived: bool) -> tuple[dict[str, str], Iterator[Any]]:
        names = {e.experiment_id: e.name for e in self.ask("search_experiments")}
        where = f"tags.`{Tag.PARENT}` IS NULL" if kind is None else f"tags.`{Tag.KIND}` = '{kind}'"
        return names, self.found(list(names), where, archived=archived)

    @staticmethod
    def _described(
        names: dict[str, str],
        runs: Iterator[Any],
        wanted: Callable[[Any], bool],
        figures: Callable[[Any], Figures],
    ) -> list[RunInfo]:
        now = time.time()
        return [
            describe(run, experiment=names.get(run.info.experiment_id, ""), figures=figures(run), now=now)
            for run in islice(filter(wanted, runs), NEWEST)
        ]

    def found(self, experiments: list[str], where: str, *, archived: bool = False) -> Iterator[Any]:
        """Runs that an MLflow filter finds, newest first, in as many requests as it takes."""
        token = None
        while True:
            page = self.ask(
                "search_runs",
                experiments,
                filter_string=where,
                run_view_type=DELETED_ONLY if archived else ACTIVE_ONLY,
                max_results=NEWEST,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    @cached_property
    def _client(self) -> Any:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a page must not hang for minutes
        from mlflow import MlflowClient

        for chatty in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        return MlflowClient(self.tracking_uri)

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the client; whatever goes wrong becomes a paragraph."""
        try:
            return getattr(self._client, method)(*args, **kwargs)
        except Exception as error:
            raise StoreProblem(
                f"The tracking store {without_password(self.tracking_uri)} cannot be read: {error} If it "
                "was written by another version of MLflow, any command of the trainer upgrades it; if it is "
                f"a server, check that it runs, and that you may read there ({artifacts.LET_IN})."
            ) from error

    def _run(self, run_id: str) -> Any:
        try:
            found = RunDatabase(self.database).run(run_id) if self.database is not None else None
        except sqlite3.Error:
            found = None
        return found or self.ask("get_run", run_id)

    def _summary(self, run: Any) -> dict[str, Any] | None:
        key = (run.info.run_id, run.info.end_time)
        if key not in self._summaries:
            found = self.files.read_json(run.info.artifact_uri, Artifact.SUMMARY)
            if run.info.end_time is None:
                return found
            self._summaries[key] = found
        return self._summaries[key]

    def _check_not_moved(self, run: Any) -> None:
        if kind_of(run) and run.info.status != "RUNNING":  # a new run makes its folder with its first file
            artifacts.check_not_moved(run.info.artifact_uri, self.database)

    def _figures(self, run: Any) -> Figures:
        if kind_of(run) not in SWEEP_KINDS:
            return Figures()
        try:
            # A sweep that was resumed has the summary of its earlier end until it ends again.
            summary = self._summary(run) if run.info.status == "FINISHED" else None
            if summary:
                return final_figures(summary, objective_of(run))
            trials = self.files.read_table(run.info.artifact_uri, Artifact.TRIALS)
        except StoreProblem:  # the run's own page tells; the list must stand
            trials = None
        return figures_so_far(run, trials)
