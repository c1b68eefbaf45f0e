"""The one reader of MLflow. No Streamlit here; caching is the business of `dashboard.ui.state`.

A sweep of ours is read from the files of its parent run; a run of another program through the client.
Looking never changes a store: a missing SQLite file is not created, an empty one not migrated.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from dashboard.runs import artifacts, foreign
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import Figures, RunInfo, describe, figures_so_far, final_figures, kind_of
from trainer.tracking.schema import LIKE_SWEEPS, Artifact, Kind, Tag

NEWEST = 500  # runs listed


class Store:
    """What there is to see at one tracking URI. Every method may raise `StoreProblem`."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._summaries: dict[tuple[str, int], dict[str, Any] | None] = {}  # of runs that have ended

    @cached_property
    def database(self) -> Path | None:
        """The SQLite file, absolute; ``None`` for a server."""
        if not self.tracking_uri.startswith("sqlite"):
            return None
        return Path(self.tracking_uri.partition(":///")[2].partition("?")[0]).absolute()

    def is_empty(self) -> bool:
        """Whether there is no store yet: no SQLite file, or one without tables.

        Raises:
            StoreProblem: the file is no SQLite database.
        """
        if self.database is None:
            return False
        if not self.database.exists():
            return True
        uri = f"file:{quote(str(self.database))}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
                tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'runs'")
                return not tables.fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise StoreProblem(
                f"The tracking store {self.database} cannot be read as a SQLite database ({error}). Start "
                "the dashboard with HEADROOM_TRACKING_URI set to the store that you mean."
            ) from error

    def sweeps(self) -> list[RunInfo]:
        """The newest `NEWEST` runs that are nobody's child, and are like sweeps or another program's, newest
        first; none where there is no store."""
        return self._infos(
            f"tags.`{Tag.PARENT}` IS NULL",
            lambda run: kind_of(run) in (None, *LIKE_SWEEPS),
            self._figures,
        )

    def of_kind(self, kind: Kind) -> list[RunInfo]:
        """The newest `NEWEST` runs of one kind, newest first; none where there is no store."""
        return self._infos(f"tags.`{Tag.KIND}` = '{kind}'", lambda run: True, lambda run: Figures())

    def trials(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Trials`, one row per trial; for another program's run see `foreign.trials`."""
        run = self._run(run_id)
        if kind_of(run):
            return self._table(run, Artifact.TRIALS)
        return foreign.trials(foreign.members(self._client, run))

    def curves(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Curves`, long form; for another program's run see `foreign.curves`."""
        run = self._run(run_id)
        if kind_of(run):
            return self._table(run, Artifact.CURVES)
        return foreign.curves(self._client, foreign.members(self._client, run))

    def predictions(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Predictions`; ``None`` until the sweep is done."""
        return self._table(self._run(run_id), Artifact.PREDICTIONS)

    def projection(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Projection`; ``None`` until the sweep is done."""
        return self._table(self._run(run_id), Artifact.PROJECTION)

    def samples(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Samples`; ``None`` until the sweep is done."""
        return self._table(self._run(run_id), Artifact.SAMPLES)

    def head(self, run_id: str) -> tuple[bytes, bytes] | None:
        """Card and weights of the best head; ``None`` until the sweep is done."""
        uri = self._run(run_id).info.artifact_uri
        card, weights = (
            artifacts.read_bytes(uri, one) for one in (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS)
        )
        return None if card is None or weights is None else (card, weights)

    def vectors(self, run_id: str) -> bytes | None:
        """Features of the rows of `schema.Samples`; ``None`` where the sweep kept none."""
        return artifacts.read_bytes(self._run(run_id).info.artifact_uri, Artifact.VECTORS)

    def quarantine(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Quarantine`; ``None`` for a sweep in which every file could be used."""
        return self._table(self._run(run_id), Artifact.QUARANTINE)

    def pictures(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Pictures` of an extraction."""
        return self._table(self._run(run_id), Artifact.PICTURES)

    def duplicates(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Duplicates` of an extraction."""
        return self._table(self._run(run_id), Artifact.DUPLICATES)

    def ablation(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Ablation`; ``None`` until the ablation is done."""
        return self._table(self._run(run_id), Artifact.ABLATION)

    def ablation_classes(self, run_id: str) -> pd.DataFrame | None:
        """`schema.AblationClasses`; ``None`` until the ablation is done."""
        return self._table(self._run(run_id), Artifact.ABLATION_CLASSES)

    def scores(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Scores` of an ablation, from its beginning."""
        return self._table(self._run(run_id), Artifact.SCORES)

    def pairs(self, run_id: str) -> pd.DataFrame | None:
        """`schema.PairsOf` of a verification, scored split by split."""
        return self._table(self._run(run_id), Artifact.PAIRS)

    def roc(self, run_id: str) -> pd.DataFrame | None:
        """`schema.RocOf`; ``None`` until the verification is done."""
        return self._table(self._run(run_id), Artifact.ROC)

    def faces(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Faces`; ``None`` until the verification is done."""
        return self._table(self._run(run_id), Artifact.FACES)

    def methods(self, run_id: str) -> pd.DataFrame | None:
        """`schema.Methods` of a zero-shot or fusion run; ``None`` until it is done."""
        return self._table(self._run(run_id), Artifact.METHODS)

    def method_pairs(self, run_id: str) -> pd.DataFrame | None:
        """`schema.MethodPairs`, likewise."""
        return self._table(self._run(run_id), Artifact.METHOD_PAIRS)

    def method_classes(self, run_id: str) -> pd.DataFrame | None:
        """`schema.MethodClasses`, likewise."""
        return self._table(self._run(run_id), Artifact.METHOD_CLASSES)

    def encoders(self, run_id: str) -> pd.DataFrame | None:
        """`schema.EncodersOf` of a comparison of encoders; ``None`` until it is done."""
        return self._table(self._run(run_id), Artifact.ENCODERS)

    def few_shot(self, run_id: str) -> pd.DataFrame | None:
        """`schema.FewShot` of a zero-shot run; ``None`` until it is done."""
        return self._table(self._run(run_id), Artifact.FEW_SHOT)

    def few_shot_scores(self, run_id: str) -> pd.DataFrame | None:
        """`schema.FewShotScores` of a zero-shot run, a draw at a time."""
        return self._table(self._run(run_id), Artifact.FEW_SHOT_SCORES)

    def summary(self, run_id: str) -> dict[str, Any] | None:
        """`schema.Summary`, or `schema.Extracted` or `schema.Ablated`; ``None`` until the run is done."""
        return self._summary(self._run(run_id))

    def _infos(
        self, where: str, wanted: Callable[[Any], bool], figures: Callable[[Any], Figures]
    ) -> list[RunInfo]:
        if self.is_empty():
            return []
        names = {e.experiment_id: e.name for e in self._ask("search_experiments")}
        now = time.time()
        return [
            describe(run, experiment=names.get(run.info.experiment_id, ""), figures=figures(run), now=now)
            for run in islice(filter(wanted, self._runs(list(names), where)), NEWEST)
        ]

    def _runs(self, experiments: list[str], where: str) -> Iterator[Any]:
        """Newest first, in as many requests as it takes."""
        token = None
        while True:
            page = self._ask(
                "search_runs",
                experiments,
                filter_string=where,
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

    def _ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the client; whatever goes wrong becomes a paragraph."""
        try:
            return getattr(self._client, method)(*args, **kwargs)
        except Exception as error:
            raise StoreProblem(
                f"The tracking store {self.tracking_uri} cannot be read: {error} If it was written by "
                "another version of MLflow, any command of the trainer upgrades it; if it is a server, check "
                "that it runs."
            ) from error

    def _run(self, run_id: str) -> Any:
        return self._ask("get_run", run_id)

    def _table(self, run: Any, name: str) -> pd.DataFrame | None:
        frame = artifacts.read_table(run.info.artifact_uri, name)
        if frame is None:
            self._check_not_moved(run)
        return frame

    def _summary(self, run: Any) -> dict[str, Any] | None:
        key = (run.info.run_id, run.info.end_time)
        if key not in self._summaries:
            found = artifacts.read_json(run.info.artifact_uri, Artifact.SUMMARY)
            if run.info.end_time is None:
                return found
            self._summaries[key] = found
        return self._summaries[key]

    def _check_not_moved(self, run: Any) -> None:
        if kind_of(run) and run.info.status != "RUNNING":  # a new run makes its folder with its first file
            artifacts.check_not_moved(run.info.artifact_uri, self.database)

    def _figures(self, run: Any) -> Figures:
        if kind_of(run) not in LIKE_SWEEPS:
            return Figures()
        try:
            # A sweep that was resumed has the summary of its earlier end until it ends again.
            summary = self._summary(run) if run.info.status == "FINISHED" else None
            if summary:
                return final_figures(summary)
            trials = artifacts.read_table(run.info.artifact_uri, Artifact.TRIALS)
        except StoreProblem:  # the run's own page tells; the list must stand
            trials = None
        return figures_so_far(run.data.metrics, trials)
