"""A server that several people and machines write to: nobody writes over another's work, or closes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.mlflow_server import MlflowServer
from trainer.core.errors import InputError
from trainer.tracking import database
from trainer.tracking.claims import TakenOver
from trainer.tracking.client import connect
from trainer.tracking.schema import HEARTBEAT_LOST_S, Stopped, Tag
from trainer.tracking.server import Unsent, clock
from trainer.tracking.studies import close_lost_runs
from trainer.tracking.writer import RunWriter

FILE = "notes.txt"
LONG_AGO_S = 2 * HEARTBEAT_LOST_S


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def quiet_hearts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.tracking.schema.HEARTBEAT_EVERY_S", 3600.0)


def started(server: MlflowServer, study: str) -> RunWriter:
    return RunWriter.start(
        tracking_uri=server.uri, experiment="shared", study=study, tags={}, params={}, config_yaml=""
    )


def grows_silent(writer: RunWriter, client: MlflowClient) -> None:
    """What a process looks like, to itself and to others, that was stopped for two minutes."""
    writer._seen_alive -= LONG_AGO_S
    client.set_tag(writer.run_id, Tag.HEARTBEAT, str(time.time() - LONG_AGO_S))


def wakes(writer: RunWriter, woken: str) -> None:
    """Go on as a command does."""
    with writer:
        if woken == "writes":
            writer.file(FILE, b"of the first again")
        if woken == "fails":
            raise ValueError("as a request to a run that was closed meanwhile")


@pytest.mark.slow
@pytest.mark.parametrize("woken", ["writes", "ends", "fails"])
def test_a_writer_that_was_replaced_while_it_was_silent_writes_and_closes_nothing(
    server: MlflowServer, quiet_hearts: None, woken: str, tmp_path: Path
) -> None:
    client = MlflowClient(server.uri)
    first = started(server, f"replaced-{woken}")
    first.file(FILE, b"of the first")
    grows_silent(first, client)
    second = RunWriter.resume(tracking_uri=server.uri, run_id=first.run_id)
    second.file(FILE, b"of the second")
    with pytest.raises(TakenOver, match=f"replaced-{woken} was taken over by another process"):
        wakes(first, woken)
    run = client.get_run(first.run_id)
    assert run.info.status == "RUNNING"
    assert not {Tag.STOPPED, Tag.ERROR} & run.data.tags.keys()
    assert Path(client.download_artifacts(first.run_id, FILE, str(tmp_path))).read_bytes() == b"of the second"
    second.finish()
    assert client.get_run(first.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_writer_that_was_silent_and_not_replaced_goes_on(server: MlflowServer, quiet_hearts: None) -> None:
    client = MlflowClient(server.uri)
    writer = started(server, "alone")
    grows_silent(writer, client)
    with writer:
        writer.file(FILE, b"still here")
    assert client.get_run(writer.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_lost_runs_of_other_people_are_left_to_them(server: MlflowServer, quiet_hearts: None) -> None:
    client = MlflowClient(server.uri)
    mine, other = (started(server, study) for study in ("mine", "of somebody else"))
    client.set_tag(other.run_id, Tag.USER, "somebody else")
    for writer in (mine, other):
        grows_silent(writer, client)
    closed = close_lost_runs(server.uri, "shared")
    assert mine.run_id in closed
    assert other.run_id not in closed
    assert client.get_run(mine.run_id).data.tags[Tag.STOPPED] == Stopped.LOST
    assert client.get_run(other.run_id).info.status == "RUNNING"


class Ahead(BaseHTTPRequestHandler):
    """Its clock is an hour ahead of ours."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"3.17")

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + 3600, usegmt=True)

    def log_message(self, *args: object) -> None:
        pass


def test_signs_of_life_are_told_by_the_clock_of_the_server() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ahead) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = connect(f"http://127.0.0.1:{server.server_port}")
        assert clock(client) == pytest.approx(time.time() + 3600, abs=2)
        server.shutdown()


def test_the_clock_of_a_server_that_does_not_tell_it_is_ours(tracking_uri: str) -> None:
    for client in (connect("http://127.0.0.1:9"), connect(tracking_uri)):
        assert clock(client) == pytest.approx(time.time(), abs=2)


def test_files_that_wait_are_sent_only_by_who_follows_their_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.tracking.server.default_cache_dir", lambda: tmp_path)
    Unsent("run", "first").keep(FILE, b"of the first")
    following = Unsent("run", "second")
    following.adopt("first")
    assert dict(following.files()) == {FILE: b"of the first"}
    Unsent("run", "third").adopt("first")  # the second died before the server knew of it
    assert dict(following.files()) == {FILE: b"of the first"}
    late = Unsent("run", "fourth")
    late.adopt("somebody on another machine")
    assert not late
    assert dict(late.files()) == {}


def test_a_database_that_does_not_say_where_files_go_gets_no_new_experiment() -> None:
    with pytest.raises(InputError, match="does not say where files go") as refused:
        database.check_keeps_files("postgresql+psycopg://me:s3cret@host/runs", "headroom")
    assert "s3cret" not in str(refused.value)
    database.check_keeps_files("http://host:5000", "headroom")
