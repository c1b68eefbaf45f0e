"""A tracking server that dies, hangs or fails costs no trial, and is never waited for without a word."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.commands.test_sweep import features_file
from tests.support import commands
from tests.support.image_files import class_folders
from tests.support.mlflow_server import MlflowServer
from trainer.tracking.schema import HEARTBEAT_LOST_S, Artifact, Summary, Tag, Trials

TRIALS = 24
SHORT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
GOES_ON = "The work goes on"


def until(started: commands.Started, words: str) -> None:
    """Wait until a command has said something."""
    while words not in started.said():
        assert started.wait(0.05) is None, started.said()


def flags(server: MlflowServer, folder: Path) -> list[object]:
    """Of a sweep of a study, or the rest of one."""
    data = folder / "three.npz"
    if not data.exists():
        features_file(data, classes=3)
    return [
        *("--data", data, "--trials", TRIALS, "--seeds", 1, "--at-once", 2),
        *("--validate", "holdout", "--fresh-seeds", 0, "--study", "away"),
        *("--tracking-uri", server.uri, "--cache-dir", folder / "cache"),
    ]


def sweep(server: MlflowServer, folder: Path, **constants: object) -> commands.Started:
    """Start it."""
    return commands.start(
        *("trainer.sweep", *flags(server, folder)),
        folder=folder,
        environment=SHORT,
        constants={"trainer.tracking.server.FOLDER": str(folder / "unsent"), **constants},
    )


def check_whole(server: MlflowServer, run_id: str) -> None:
    """Every trial is in the table and among the child runs, once, and the run is closed."""
    client = MlflowClient(server.uri)
    run = client.get_run(run_id)
    table = pd.read_parquet(client.download_artifacts(run_id, Artifact.TRIALS))
    assert sorted(table[Trials.TRIAL]) == list(range(TRIALS))
    below = client.search_runs([run.info.experiment_id], f"tags.`{Tag.PARENT}` = '{run_id}'")
    assert sorted(int(one.data.tags[Tag.TRIAL]) for one in below) == list(range(TRIALS))
    assert {one.info.status for one in below} <= {"FINISHED", "KILLED", "FAILED"}
    assert run.info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_sweep_goes_on_while_its_server_is_away_and_the_record_catches_up(how: str, tmp_path: Path) -> None:
    with MlflowServer(tmp_path) as server:
        started = sweep(server, tmp_path)
        until(started, "Searching")
        server.kill() if how == "killed" else server.send(signal.SIGSTOP)
        until(started, GOES_ON)
        until(started, "Waiting for the MLflow server")
        server.start() if how == "killed" else server.send(signal.SIGCONT)
        assert started.wait(600) == 0, started.said()
        assert started.said().count(GOES_ON) == 1
        assert "Traceback" not in started.said()
        check_whole(server, json.loads(started.printed())[Summary.RUN_ID])
        assert not any((tmp_path / "unsent").iterdir())


@pytest.mark.slow
def test_what_a_server_never_got_is_sent_when_the_study_is_resumed(tmp_path: Path) -> None:
    with MlflowServer(tmp_path) as server:
        started = sweep(server, tmp_path, **{"trainer.tracking.writer.PATIENCE_S": 1.0})
        until(started, "Searching")
        server.kill()
        assert started.wait(600) == 2
        said = started.said()
        assert "does not answer: no answer for 1 s. Start it (mlflow server)" in said
        assert "Traceback" not in said
        (waiting,) = (tmp_path / "unsent").iterdir()
        assert len(pd.read_parquet(waiting / Artifact.TRIALS)) == TRIALS
        server.start()
        client = MlflowClient(server.uri)
        client.set_tag(waiting.name, Tag.HEARTBEAT, str(time.time() - 2 * HEARTBEAT_LOST_S))
        resumed = sweep(server, tmp_path)
        assert resumed.wait(600) == 0, resumed.said()
        assert f"{TRIALS} of {TRIALS} trials are on record" in resumed.said()
        check_whole(server, waiting.name)


@pytest.mark.slow
def test_a_sweep_that_slept_while_another_took_its_place_leaves_the_run_to_it(tmp_path: Path) -> None:
    with MlflowServer(tmp_path) as server:
        sleeper = sweep(server, tmp_path, **{"trainer.tracking.writer.HEARTBEAT_LOST_S": 2.0})
        until(sleeper, "Searching")
        os.kill(sleeper.pid, signal.SIGSTOP)
        server.kill()  # with what it was being sent: that could still arrive after the other's, and be kept
        server.start()
        client = MlflowClient(server.uri)
        (run,) = client.search_runs(
            [client.get_experiment_by_name("headroom").experiment_id], "", max_results=1
        )
        run_id = run.data.tags.get(Tag.PARENT, run.info.run_id)
        client.set_tag(run_id, Tag.HEARTBEAT, str(time.time() - 2 * HEARTBEAT_LOST_S))
        other = commands.run_afresh("trainer.sweep", *map(str, flags(server, tmp_path)))
        assert other.returncode == 0, other.stderr
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.wait(300) == 2, sleeper.said()
        assert "Error: The study away was taken over by another process" in sleeper.said()
        assert "Traceback" not in sleeper.said()
        check_whole(server, run_id)


class Failing(BaseHTTPRequestHandler):
    """Answers each request with an internal error."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def unusable(kind: str) -> Iterator[str]:
    """The address of a server that refuses connections, never answers, or fails."""
    if kind == "failing":
        server = HTTPServer(("127.0.0.1", 0), Failing)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        return
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if kind == "silent":
            bound.listen()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("module", ["trainer.sweep", "trainer.extract", "trainer.predict"])
@pytest.mark.parametrize("kind", ["refusing", "silent", "failing"])
def test_a_server_that_is_not_there_at_the_start_is_refused_in_a_sentence(
    kind: str, module: str, tmp_path: Path
) -> None:
    data = class_folders(tmp_path / "images", {"a": 3, "b": 3})
    arguments = [data] if module == "trainer.predict" else ["--data", data, "--encoder", "demo"]
    with unusable(kind) as uri:
        started = commands.start(
            *(module, *arguments, "--tracking-uri", uri, "--cache-dir", tmp_path / "cache"),
            folder=tmp_path,
            environment={**SHORT, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"},
            constants={"trainer.tracking.database.SERVER_TIMEOUT_S": 1.0},
        )
        assert started.wait(300) == 2, started.said()
    assert f"Error: The MLflow server {uri} does not answer" in started.said()
    assert "Traceback" not in started.said()
