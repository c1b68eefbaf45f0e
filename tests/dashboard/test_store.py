"""The one reader of MLflow, on real SQLite stores."""

from __future__ import annotations

import math
import shutil
import sqlite3
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dashboard.runs import artifacts
from dashboard.runs.artifacts import ArtifactsMoved, StoreProblem
from dashboard.runs.run_database import RunDatabase
from dashboard.runs.run_info import on_same_rows
from dashboard.runs.store import Store
from tests.support import synthetic_runs
from tests.support.paths import REPO
from trainer.tracking.schema import Artifact, Kind, RunState, Tag


def run_folder(tracking_uri: str, run_id: str) -> Path:
    return synthetic_runs.folder_of(
        synthetic_runs.MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri
    )


def test_looking_at_a_missing_store_does_not_create_it(tmp_path: Path) -> None:
    assert Store(f"sqlite:///{tmp_path}/not/there.db").sweeps() == []
    assert list(tmp_path.iterdir()) == []


def test_looking_at_an_empty_file_does_not_turn_it_into_a_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    assert Store(f"sqlite:///{path}").sweeps() == []
    assert path.stat().st_size == 0


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("these are not the tables you are looking for" * 100)
    with pytest.raises(StoreProblem, match="cannot be read as a SQLite database"):
        Store(f"sqlite:///{path}").sweeps()


def test_a_store_without_runs_is_an_empty_list(tracking_uri: str) -> None:
    assert Store(tracking_uri).sweeps() == []


def test_a_finished_sweep_has_its_figures_from_the_summary(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    (info,) = Store(tracking_uri).sweeps()
    summary = Store(tracking_uri).summary(run_id)
    assert summary is not None
    assert (info.run_id, info.state, info.ours) == (run_id, RunState.DONE, True)
    assert (info.study, info.data, info.encoder) == ("digits", "demo", "demo (float32, key 0123456789abcdef)")
    figures = info.figures
    assert (figures.trials, figures.complete, figures.pruned, figures.failed) == (6, 4, 2, 0)
    assert figures.test == summary["test_f1_macro"]
    assert figures.best_val_ci95 == tuple(summary["best_val_f1_macro_ci95"])
    assert info.duration_s == pytest.approx(240, abs=0.01)
    assert info.started is not None
    assert info.started.tzinfo is not None


def test_runs_come_newest_first_and_children_do_not_show(tracking_uri: str) -> None:
    now = time.time()
    old = synthetic_runs.sweep(tracking_uri, started=now - 5000)
    new = synthetic_runs.sweep(tracking_uri, started=now - 1000)
    assert [info.run_id for info in Store(tracking_uri).sweeps()] == [new, old]


def test_a_live_sweep_has_trials_and_curves_only(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri, state="live")
    store = Store(tracking_uri)
    (info,) = store.sweeps()
    assert info.state == RunState.LIVE
    assert (info.figures.trials, info.figures.complete, info.figures.test) == (4, 3, None)
    assert info.figures.best_val is not None
    assert len(store.table(run_id, Artifact.TRIALS)) == 4  # type: ignore[arg-type]
    assert not store.table(run_id, Artifact.CURVES).empty  # type: ignore[union-attr]
    assert store.table(run_id, Artifact.PREDICTIONS) is None
    assert store.table(run_id, Artifact.PROJECTION) is None
    assert store.table(run_id, Artifact.SAMPLES) is None
    assert store.summary(run_id) is None


def test_a_live_sweep_that_has_written_nothing_yet_is_no_moved_one(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri, state="live")
    shutil.rmtree(run_folder(tracking_uri, run_id).parent.parent)
    assert Store(tracking_uri).table(run_id, Artifact.TRIALS) is None


def test_a_sweep_whose_heartbeat_stopped_is_interrupted_and_lasted_until_then(tracking_uri: str) -> None:
    synthetic_runs.sweep(tracking_uri, state="live", started=time.time() - 1000, heartbeat_age_s=400)
    (info,) = Store(tracking_uri).sweeps()
    assert (info.state, info.stopped) == (RunState.INTERRUPTED, "lost")
    assert info.duration_s == pytest.approx(600, abs=5)


def test_a_failed_sweep_tells_its_error(tracking_uri: str) -> None:
    synthetic_runs.sweep(tracking_uri, state="failed")
    (info,) = Store(tracking_uri).sweeps()
    assert info.state == RunState.FAILED
    assert "disk is full" in info.error


def test_a_resumed_sweep_does_not_show_the_figures_of_its_earlier_end(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    synthetic_runs.MlflowClient(tracking_uri).update_run(run_id, status="RUNNING")
    (info,) = Store(tracking_uri).sweeps()
    assert info.state == RunState.LIVE
    assert info.figures.test is None


def test_a_run_of_another_program_shows_parameters_and_histories(tracking_uri: str) -> None:
    run_id = synthetic_runs.foreign(tracking_uri)
    store = Store(tracking_uri)
    (info,) = store.sweeps()
    assert (info.ours, info.experiment, info.figures.trials) == (False, "other", None)
    trials, curves = store.table(run_id, Artifact.TRIALS), store.table(run_id, Artifact.CURVES)
    assert trials is not None
    assert curves is not None
    assert trials.loc[0, "param.learning.rate"] == 0.001
    assert trials.loc[0, "param.optimiser"] == "lion"
    assert set(curves["metric"]) == {"eval/accuracy", "eval/loss"}
    assert curves.loc[curves["metric"] == "eval/loss", "value"].tolist() == [2 / (e + 1) for e in range(8)]
    assert store.table(run_id, Artifact.PREDICTIONS) is None


def test_the_children_of_another_programs_run_are_its_trials(tracking_uri: str) -> None:
    run_id = synthetic_runs.foreign_tree(tracking_uri)
    store = Store(tracking_uri)
    assert [info.run_id for info in store.sweeps()] == [run_id]
    trials, curves = store.table(run_id, Artifact.TRIALS), store.table(run_id, Artifact.CURVES)
    assert trials is not None
    assert curves is not None
    assert trials["param.depth"].tolist() == [0, 1, 2]
    assert curves.groupby("trial").size().tolist() == [4, 4, 4]


def test_moved_artifacts_are_detected_and_the_commands_given_mend_them(
    tracking_uri: str, tmp_path: Path
) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    store = Store(f"sqlite:///{moved}/mlflow.db")
    assert store.sweeps()[0].figures.trials is None  # the list stands all the same
    with pytest.raises(ArtifactsMoved, match="no longer there") as found:
        store.table(run_id, Artifact.TRIALS)
    for command in found.value.mend.splitlines():
        sql = command.partition('"')[2].rstrip('"')
        execute(moved / "mlflow.db", sql)
    assert len(Store(f"sqlite:///{moved}/mlflow.db").table(run_id, Artifact.TRIALS)) == 6  # type: ignore[arg-type]


def execute(database: Path, sql: str) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(sql)


def test_artifacts_that_are_gone_for_good_have_no_command_to_mend_them(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    shutil.rmtree(run_folder(tracking_uri, run_id).parent.parent)
    with pytest.raises(ArtifactsMoved) as found:
        Store(tracking_uri).table(run_id, Artifact.CURVES)
    assert found.value.mend == ""


def test_a_torn_table_is_named_and_the_list_stands(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    path = run_folder(tracking_uri, run_id) / Artifact.CURVES
    path.write_bytes(path.read_bytes()[:500])
    store = Store(tracking_uri)
    with pytest.raises(StoreProblem, match=r"curves\.parquet of this run cannot be read"):
        store.table(run_id, Artifact.CURVES)
    assert len(store.sweeps()) == 1


def test_a_table_that_is_whole_at_the_second_look_is_read(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    path = run_folder(tracking_uri, run_id) / Artifact.CURVES
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    monkeypatch.setattr(artifacts.time, "sleep", lambda _: path.write_bytes(whole))
    curves = Store(tracking_uri).table(run_id, Artifact.CURVES)
    assert curves is not None
    assert len(curves) == len(pd.read_parquet(path))


def test_the_version_of_a_table_changes_with_the_file(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri, state="live")
    uri = synthetic_runs.MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri
    before = artifacts.version(uri, Artifact.CURVES)
    path = synthetic_runs.folder_of(uri) / Artifact.CURVES
    pd.read_parquet(path).head(3).to_parquet(path)
    assert before is not None
    assert artifacts.version(uri, Artifact.CURVES) != before
    assert artifacts.version(uri, Artifact.PREDICTIONS) is None


def test_a_server_that_does_not_answer_is_a_paragraph_and_no_stack_trace() -> None:
    with pytest.raises(StoreProblem, match=r"http://127\.0\.0\.1:9 cannot be read"):
        Store("http://127.0.0.1:9").sweeps()


def test_runs_on_the_same_rows_are_told_by_digest_and_of_old_runs_by_name(tracking_uri: str) -> None:
    client = synthetic_runs.MlflowClient(tracking_uri)
    digests = {"mine": "a", "same rows": "a", "planted": "b", "old": ""}
    for name, digest in digests.items():
        run_id = synthetic_runs.sweep(tracking_uri, name=name)
        if digest:
            client.set_tag(run_id, Tag.DIGEST, digest)
        client.set_tag(run_id, Tag.DATA, "elsewhere" if name == "same rows" else "demo")
    infos = Store(tracking_uri).sweeps()
    of = {info.name: info for info in infos}
    assert {info.name for info in on_same_rows(infos, of["mine"])} == {"mine", "same rows", "old"}
    assert {info.name for info in on_same_rows(infos, of["old"])} == {"mine", "planted", "old"}


def test_a_sqlite_store_is_listed_as_mlflows_client_lists_it(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic_runs.sweep(tracking_uri, name="done")
    synthetic_runs.sweep(tracking_uri, name="live", state="live")
    synthetic_runs.extraction(tracking_uri)
    synthetic_runs.foreign_tree(tracking_uri)
    deleted = synthetic_runs.foreign(tracking_uri)
    client = synthetic_runs.MlflowClient(tracking_uri)
    client.delete_run(deleted)
    client.log_metric(synthetic_runs.foreign(tracking_uri), "diverged", float("nan"))
    kinds = [None, Kind.EXTRACTION, Kind.ABLATION]
    store = Store(tracking_uri)

    def listed(kind: Kind | None, archived: bool) -> list[tuple[object, ...]]:
        names, runs = store._in_database(kind, archived)
        return [(names[run.info.experiment_id], *fields_of(run)) for run in runs]

    def through_client(kind: Kind | None, archived: bool) -> list[tuple[object, ...]]:
        names, runs = store._through_client(kind, archived)
        return [(names[run.info.experiment_id], *fields_of(run)) for run in runs]

    for kind, archived in product(kinds, (False, True)):
        assert listed(kind, archived) == through_client(kind, archived)
    assert len(listed(None, True)) == 1
    with sqlite3.connect(tracking_uri.removeprefix("sqlite:///")) as connection:
        connection.execute("ALTER TABLE latest_metrics RENAME COLUMN is_nan TO is_not_a_number")
    monkeypatch.setattr(store, "_through_client", lambda kind, archived: ({}, iter([])))
    assert store.sweeps() == []  # the tables of another version are left to the client


def fields_of(run: Any) -> tuple[object, ...]:
    """What the dashboard reads of a run."""
    info, data = run.info, run.data
    metrics = {name: None if math.isnan(value) else value for name, value in data.metrics.items()}
    named = (info.run_id, info.run_name, info.experiment_id, info.status, info.artifact_uri)
    return (*named, info.start_time, info.end_time, dict(data.tags), dict(data.params), metrics)


def test_a_longer_list_of_runs_takes_no_more_queries(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connect = RunDatabase._connect

    def heard(database: RunDatabase) -> sqlite3.Connection:
        connection = connect(database)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(RunDatabase, "_connect", heard)
    counts = []
    for _ in range(2):
        for _ in range(3):
            synthetic_runs.foreign(tracking_uri)
        asked.clear()
        counts.append((len(Store(tracking_uri).sweeps()), len(asked)))
    (few, of_few), (many, of_many) = counts
    assert (few, many) == (3, 6)
    assert of_few == of_many


def test_a_sqlite_store_is_listed_and_read_without_importing_mlflow(tracking_uri: str) -> None:
    """Importing it takes longer than drawing the first page."""
    run_id = synthetic_runs.sweep(tracking_uri)
    look = (
        "import sys; from dashboard.runs.store import Store; from trainer.tracking.schema import Artifact; "
        f"store = Store({tracking_uri!r}); (info,) = store.sweeps(); assert info.run_id == {run_id!r}; "
        f"assert store.summary({run_id!r}); assert len(store.table({run_id!r}, Artifact.TRIALS)); "
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", look], cwd=REPO, check=True)
