"""A look into a store changes nothing and says what the store is."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.tracking.inspection import inspect


@pytest.fixture
def store(tracking_uri: str) -> Path:
    return Path(tracking_uri.removeprefix("sqlite:///"))


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def state_of_folder(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir() if one.is_file()}


def test_what_is_not_there_is_not_created(tmp_path: Path) -> None:
    assert inspect(tmp_path / "none" / "mlflow.db") is None
    (tmp_path / "empty.db").touch()
    assert inspect(tmp_path / "empty.db") is None
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


def test_a_current_store_is_counted_and_stays_as_it_is(store: Path) -> None:
    before = state_of_folder(store)
    found = inspect(store)
    assert found is not None
    assert (found.experiments, found.runs, found.schema, found.moved) == (1, 0, "current", None)
    assert state_of_folder(store) == before


def test_a_store_in_use_is_read_with_what_its_log_holds(store: Path) -> None:
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        with writer:
            writer.execute(
                "INSERT INTO experiments (experiment_id, name, workspace) VALUES (7, 'new', 'default')"
            )
        assert store.with_name(store.name + "-wal").stat().st_size
        found = inspect(store)
        assert found is not None
        assert found.experiments == 2


@pytest.mark.parametrize(
    ("statement", "schema"),
    [
        ("UPDATE alembic_version SET version_num = '451aebb31d03'", "older"),  # the first migration
        ("UPDATE alembic_version SET version_num = 'ffffffffffff'", "newer"),
        ("DROP TABLE alembic_version", "older"),  # its creation was cut short
    ],
)
def test_the_schema_is_compared_with_the_installed_mlflow(store: Path, statement: str, schema: str) -> None:
    change(store, statement)
    before = state_of_folder(store)
    found = inspect(store)
    assert found is not None
    assert found.schema == schema
    assert state_of_folder(store) == before


def test_a_moved_store_is_noticed(store: Path) -> None:
    old = "/nowhere/mlruns/artifacts"
    change(store, f"UPDATE experiments SET artifact_location = 'file://{old}'")
    (store.parent / "artifacts").mkdir(exist_ok=True)
    found = inspect(store)
    assert found is not None
    assert found.moved == (Path(old), store.parent / "artifacts")


def test_a_folder_and_a_database_of_another_program_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        inspect(tmp_path)
    change(tmp_path / "other.db", "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(InputError, match="another program"):
        inspect(tmp_path / "other.db")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.integers(1, 400_000), noise=st.binary(max_size=200))
def test_a_damaged_file_is_read_or_refused_in_a_sentence(store: Path, keep: int, noise: bytes) -> None:
    damaged = store.with_name("damaged.db")
    damaged.write_bytes(store.read_bytes()[:keep] + noise)
    with suppress(InputError):
        assert inspect(damaged) is not None
    assert {one.name for one in store.parent.iterdir()} <= {store.name, damaged.name, "artifacts"}
