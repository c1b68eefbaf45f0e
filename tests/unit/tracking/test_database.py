"""The SQLite store: whole after every first use, however many start it and however they end."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.core.locations import sqlite_uri
from trainer.tracking import database
from trainer.tracking.client import connect, local_folder, open_experiment

FIRST_USE = """
import sys
from trainer.tracking.client import connect, open_experiment
client = connect(sys.argv[1])
print(client.create_run(open_experiment(client, "first use")).info.run_id)
"""


def first_use(uri: str) -> subprocess.Popen[str]:
    """A process of its own that uses the store: it prints the id of the run it made."""
    command = [sys.executable, "-c", FIRST_USE, uri]
    return subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


@pytest.fixture
def unused(tmp_path: Path) -> Path:
    return tmp_path / "store" / "mlflow.db"


@pytest.fixture
def outdated(tracking_uri: str) -> Path:
    """A store one migration behind, with an experiment named "kept" in it, and nobody using it."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    path = Path(tracking_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET name = 'kept'")
    config = utils._get_alembic_config(tracking_uri)
    command.downgrade(config, ScriptDirectory.from_config(config).get_revision("head").down_revision)
    return path


def content(path: Path) -> tuple[str, str]:
    """Schema revision of a store, and the name of its one experiment."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num, name FROM alembic_version, experiments").fetchone()


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(2))
def test_processes_that_start_at_once_share_one_working_store(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / str(attempt) / "mlflow.db"
    processes = [first_use(f"sqlite:///{path}") for _ in range(4)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, results
    with closing(sqlite3.connect(path)) as connection:
        (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    assert runs == 4


@pytest.mark.slow
@pytest.mark.kill
def test_a_first_use_killed_anywhere_leaves_a_store_that_works_the_next_time(unused: Path) -> None:
    uri = f"sqlite:///{unused}"
    temporary = unused.with_name(".mlflow.db.new")
    for size in (1, 100_000, 500_000):  # bytes migrated before the kill
        process = first_use(uri)
        while process.poll() is None and not (temporary.exists() and temporary.stat().st_size >= size):
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not unused.exists(), "the process was to be killed before the store was whole"
    process = first_use(uri)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(out.strip()) == 32
    assert not temporary.exists()


def test_an_existing_store_is_left_as_it_is(tracking_uri: str) -> None:
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    before = path.read_bytes()
    database.prepare(tracking_uri)
    assert path.read_bytes() == before
    assert not path.with_name("mlflow.db.lock").exists()


def test_an_older_schema_is_upgraded_and_the_old_store_kept(outdated: Path) -> None:
    from mlflow import MlflowClient

    old = content(outdated)
    database.prepare(f"sqlite:///{outdated}")
    new = content(outdated)
    (backup,) = outdated.parent.glob("mlflow.db.*.bak")
    assert content(backup) == old
    assert new[0] != old[0]
    assert MlflowClient(f"sqlite:///{outdated}").get_experiment_by_name("kept") is not None


def test_a_store_in_use_is_not_upgraded_under_its_user(
    outdated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IN_USE_AFTER_S", 0.1)
    with closing(sqlite3.connect(outdated, isolation_level=None)) as user:
        user.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match="another program has it open"):
            database.prepare(f"sqlite:///{outdated}")
    database.prepare(f"sqlite:///{outdated}")


def test_a_store_of_a_newer_mlflow_is_refused_and_left_as_it_is(tracking_uri: str) -> None:
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
    with pytest.raises(InputError, match=r"cannot be upgraded.*fromthefuture"):
        database.prepare(tracking_uri)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("fromthefuture",)
    assert not list(path.parent.glob("*.bak"))


def test_what_a_deleted_store_left_behind_does_not_reach_the_new_one(unused: Path) -> None:
    unused.parent.mkdir()
    unused.touch()  # as sqlite3.connect leaves it
    for suffix in database.SIDECARS:
        Path(f"{unused}{suffix}").write_bytes(b"of another life")
    database.prepare(f"sqlite:///{unused}")
    assert names(unused) == {"mlflow.db", "mlflow.db.lock"}
    with closing(sqlite3.connect(unused)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "/data/mlruns", "file:///data/mlruns", "file:mlruns"])
def test_a_plain_folder_is_refused_with_what_to_pass_instead(uri: str) -> None:
    with pytest.raises(InputError, match=r"MLflow 3 no longer supports plain folders.*sqlite:///"):
        database.prepare(uri)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_would_not_be_kept_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="names no file"):
        database.prepare(uri)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://user:secret@host/db", "databricks"])
def test_a_server_is_left_alone(uri: str) -> None:
    database.prepare(uri)
    assert database.sqlite_path(uri) is None


@pytest.mark.parametrize(
    "content", [b"epoch,loss\n1,0.5\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000], ids=["csv", "torn"]
)
def test_a_file_that_is_not_a_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"results\.csv cannot be read as a SQLite database"):
        database.prepare(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE visits (url TEXT)")
    with pytest.raises(InputError, match="of another program"):
        database.prepare(f"sqlite:///{path}")


def test_a_folder_in_the_stores_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        database.prepare(f"sqlite:///{tmp_path}")


def test_a_store_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, so no folder")
    with pytest.raises(InputError, match=r"taken/mlflow\.db cannot be created"):
        database.prepare(f"sqlite:///{tmp_path}/taken/mlflow.db")


class Tracking(BaseHTTPRequestHandler):
    """Answers who says that he is me."""

    def do_POST(self) -> None:
        known = self.headers["Authorization"] == f"Basic {b64encode(b'me:s3cret').decode()}"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b"{}" if known else b"You are not authenticated.")

    def log_message(self, *args: object) -> None:
        pass


def test_a_server_answers_though_its_address_holds_a_user_and_a_password_that_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Tracking) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://me:s3cret@127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
        database.check(uri)
        with pytest.raises(InputError, match="does not let you in"):
            database.check(uri.replace("me:s3cret@", ""))
        server.shutdown()
    with pytest.raises(InputError, match=r"server http://me:\*\*\*@127.0.0.1:\d+ does not answer") as none:
        database.check(uri)
    assert "s3cret" not in str(none.value)


def test_what_is_no_mlflow_server_is_named() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # 501 to all
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="answers, but not as an MLflow server does"):
            database.check(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket/runs", "s3:// is none of sqlite, postgresql"),
        ("gs://bucket/runs", "gs:// is none of sqlite, postgresql"),
        ("postgresql+asdf://host/runs", "is no address of a database"),
        ("postgresql://host:port/runs", "is no address of a database"),
        ("sqlite+pysqlcipher:////tmp/x.db", "another driver than Python's own"),
        ("sqlite:////tmp/wh?at/mlflow.db", "Write %3F for a ? in a path"),
        ("http://a b/", "does not answer"),
        ("databricks-uc", "names a folder"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_with_what_can(uri: str, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        database.check(uri)
    assert said in str(refusal.value)


def test_a_store_lies_where_its_address_says_with_a_percent_sign_and_a_question_mark(
    migrated_database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "50% off, per%20cent? #1"
    folder.mkdir()
    shutil.copyfile(migrated_database, folder / "mlflow.db")
    uri = sqlite_uri(folder / "mlflow.db")
    assert database.sqlite_path(uri) == folder / "mlflow.db"
    client = connect(uri)
    run = client.create_run(open_experiment(client, "one"))
    written = local_folder(run.info.artifact_uri)
    assert written is not None
    assert written.is_relative_to(folder / "artifacts")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
