"""Create and upgrade MLflow's SQLite store safely.

MLflow migrates a new database in place. Measured with 3.17: four processes starting at once broke 10 of 12
databases, and ``kill -9`` during the migration broke 2 of 12. Here the migration runs under a lock on a
temporary file, which is renamed when it is complete.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trainer.core import atomic
from trainer.core.errors import InputError, first_line
from trainer.core.locations import (
    check_characters,
    check_no_password,
    hide_password,
    sqlite_file,
    sqlite_uri,
    without_password,
)
from trainer.core.process_lock import exclusive
from trainer.tracking import server

# WAL needs shared memory, which machines on a network file system do not have.
NETWORK_FILESYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "fuse.sshfs",
}
STORES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")  # that MLflow knows
SIDECARS = ("-journal", "-wal", "-shm")
IN_USE_AFTER_S = 5.0


def prepare(tracking_uri: str) -> None:
    """Create the SQLite store of ``tracking_uri``, or upgrade it to the schema of the installed MLflow.

    The upgrade is done on a copy; the old database is kept as ``<name>.<time>.bak``. Servers and other
    databases are not touched.

    Raises:
        InputError: a folder (MLflow 3 no longer has the file store), a file that is not an MLflow
            database, one that cannot be upgraded, or one that is in use and needs an upgrade.
    """
    path = sqlite_path(tracking_uri)
    if path is None or (_tables(path) and _is_current(path)):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(path.name + ".lock"), f"the new tracking store {path}"):
            if not _tables(path):
                _create(path)
            elif not _is_current(path):
                _upgrade(path)
    except OSError as error:
        raise InputError(
            f"The tracking store {path} cannot be created or upgraded: {error}. Pass --tracking-uri with a "
            "path in a folder that you may write to, for example sqlite:////tmp/mlflow.db."
        ) from error


def check(tracking_uri: str) -> None:
    """Check that a store can be used, before a long run starts. Creates nothing.

    Raises:
        InputError: see `sqlite_path` and `trainer.tracking.server.check`; it holds a password; or the
            database does not answer.
    """
    check_no_password(tracking_uri)
    if sqlite_path(tracking_uri) is not None:
        return
    check_driver(tracking_uri)
    if tracking_uri.lower().startswith("http"):
        server.check(tracking_uri)
        return
    try:
        _check_database(tracking_uri)
    except Exception as error:  # whatever a driver raises
        raise InputError(
            f"The database {without_password(tracking_uri)} does not answer: "
            f"{hide_password(first_line(error), tracking_uri)}. Start it, correct --tracking-uri, or omit it "
            "to use the default store."
        ) from error


def check_keeps_files(tracking_uri: str, experiment: str) -> None:
    """Raise InputError for a database without a server in which an experiment is to be made: it does not say
    where files go, and MLflow would put them into a folder of whatever directory a command runs in."""
    if "://" in tracking_uri and not tracking_uri.lower().startswith(("http", "databricks")):
        shown = without_password(tracking_uri)
        raise InputError(
            f"--tracking-uri {shown} is a database without a server, and does not say where files go. Start "
            f"one (mlflow server --backend-store-uri {shown} --artifacts-destination FOLDER_OR_BUCKET) and "
            "pass its address, or make the experiment with a place for its files: MLFLOW_TRACKING_URI=… "
            f"mlflow experiments create --experiment-name {experiment} --artifact-location FOLDER_OR_BUCKET"
        )


def _check_database(tracking_uri: str) -> None:
    """Connect to it once; MLflow would try for minutes. Of Databricks nothing is checked."""
    import sqlalchemy

    if "://" in tracking_uri and not tracking_uri.startswith("databricks"):
        engine = sqlalchemy.create_engine(tracking_uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def check_driver(tracking_uri: str) -> None:
    """Raise InputError for a database whose Python driver is not installed."""
    if "://" not in tracking_uri or tracking_uri.lower().startswith(("http", "databricks")):
        return
    import sqlalchemy

    try:
        sqlalchemy.make_url(tracking_uri).get_dialect().import_dbapi()
    except ImportError as error:
        raise InputError(
            f"--tracking-uri {without_password(tracking_uri)} needs the Python package {error.name}, which "
            "is not installed. Install it, name a driver that you have (postgresql+psycopg2://…), or use a "
            "SQLite file (sqlite:///mlruns/mlflow.db) or an MLflow server (http://host:5000)."
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        raise InputError(
            f"--tracking-uri {without_password(tracking_uri)} is no address of a database: "
            f"{hide_password(first_line(error), tracking_uri)}."
        ) from error


@contextmanager
def opening_study(tracking_uri: str) -> Iterator[None]:
    """Let one process at a time look for a study and create its run, so that there is one of each name.

    Only in a SQLite store: who else uses a server is not known.

    Raises:
        InputError: as of :func:`prepare`.
    """
    prepare(tracking_uri)
    path = sqlite_path(tracking_uri)
    if path is None:
        yield
        return
    with exclusive(path.with_name(path.name + ".study.lock"), f"the tracking store {path} to open a study"):
        yield


def sqlite_path(tracking_uri: str) -> Path | None:
    """Return the absolute path of a SQLite URI; None for a server or another database.

    Raises:
        InputError: the URI names a folder, a SQLite database in memory, or what cannot hold runs.
    """
    shown = without_password(tracking_uri)
    scheme, colon, _ = tracking_uri.partition("://")
    if tracking_uri.startswith(("sqlite:", "sqlite+")):
        return _file_of(tracking_uri)
    if tracking_uri == "databricks" or (colon and _dialect(scheme) in STORES):
        return None
    if colon and not tracking_uri.startswith("file:"):
        raise InputError(
            f"--tracking-uri {shown} cannot hold runs: {scheme}:// is none of {', '.join(STORES)}. Pass a "
            "SQLite file (sqlite:///mlruns/mlflow.db) or a server (http://host:5000), which may keep its "
            "artifacts in a bucket."
        )
    raise InputError(
        f"--tracking-uri {shown} names a folder, and MLflow 3 no longer supports plain folders. Pass a "
        "SQLite file (sqlite:///mlruns/mlflow.db) or a server (http://host:5000)."
    )


def _dialect(scheme: str) -> str:
    return scheme.lower().partition("+")[0]


def _file_of(tracking_uri: str) -> Path:
    """Return the absolute path of a SQLite URI, with the checks of `sqlite_path`."""
    check_characters("--tracking-uri", tracking_uri, utf8=True)
    shown = without_password(tracking_uri)
    if tracking_uri.partition(":")[0] not in ("sqlite", "sqlite+pysqlite"):
        raise InputError(f"--tracking-uri {shown} names another driver than Python's own. Pass sqlite:///….")
    name, options = sqlite_file(tracking_uri) or "", tracking_uri.partition("?")[2]
    if name in ("", ":memory:"):
        raise InputError(
            f"--tracking-uri {shown} names no file, so nothing would be stored. "
            "Pass one with a path, for example sqlite:///mlruns/mlflow.db."
        )
    if options and ("/" in options or "=" not in options):
        raise InputError(
            f"--tracking-uri {shown} holds a ?, after which options of SQLite are read. Write %3F for a ? in "
            "a path."
        )
    return Path(name).absolute()


def artifact_root(path: Path) -> str:
    """Return the file URI of the artifacts of the database at ``path``."""
    return (path.parent / "artifacts").as_uri()


def _tables(path: Path) -> set[str]:
    """Return the names of the tables; empty if the file is missing or empty."""
    if path.is_dir():
        raise InputError(
            f"The tracking store {path} is a folder; a SQLite file was expected. "
            f"Pass --tracking-uri {sqlite_uri(path / 'mlflow.db')} to keep the store inside it."
        )
    if not path.exists() or path.stat().st_size == 0:
        return set()
    rows = _read(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}


def _is_current(path: Path) -> bool:
    """Return whether a database with tables has the schema of the installed MLflow."""
    from mlflow.store.db import utils

    tables = _tables(path)
    if "experiments" not in tables:
        raise InputError(
            f"The tracking store {path} is a SQLite database of another program, not of MLflow. "
            "Pass --tracking-uri with another path; a new store is created."
        )
    if "alembic_version" not in tables:
        return False  # a process died before the first migration
    return (utils._get_latest_schema_revision(),) in _read(path, "SELECT version_num FROM alembic_version")


def _read(path: Path, query: str) -> list[tuple[Any, ...]]:
    try:
        with closing(_connect(path)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        raise InputError(
            f"The tracking store {path} cannot be used ({error}). Check that its disk has room and that you "
            "may write there, or pass --tracking-uri with another path."
        ) from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"The tracking store {path} cannot be read as a SQLite database ({error}). "
            "Move the file away, or pass --tracking-uri with another path; a new store is created."
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open an existing database (never create one) in autocommit mode."""
    uri = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=IN_USE_AFTER_S)


def _create(path: Path) -> None:
    """Migrate an empty temporary file and give it the name ``path``."""
    temporary = _temporary(path)
    _migrate(temporary, artifact_root(path))
    for suffix in SIDECARS:  # of a deleted database: SQLite would replay them into the new one
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    _publish(temporary, path)


def _upgrade(path: Path) -> None:
    """Upgrade a copy of the database, back up the old one and replace it."""
    temporary = _temporary(path)
    backup = path.with_name(f"{path.name}.{time.strftime('%Y-%m-%d-%H%M%S')}.bak")
    with _alone(path) as connection:
        _copy(connection, temporary)
        try:
            _migrate(temporary, artifact_root(path))
        except Exception as error:
            raise InputError(
                f"The tracking store {path} has another schema than the installed MLflow and cannot be "
                f"upgraded: {error}. The file is unchanged. Install the MLflow that wrote it, move the file "
                "away, or pass --tracking-uri with another path."
            ) from error
        _copy(connection, backup)
        _publish(temporary, path)


@contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    """Lock the database exclusively, with the whole content in its main file."""
    with closing(_connect(path)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # fails while another connection is open
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # the lock outlives its transaction:
            connection.executescript(
                "BEGIN EXCLUSIVE; COMMIT"
            )  # within one, SQLite's backup would wait forever
        except sqlite3.OperationalError as error:
            raise InputError(
                f"The tracking store {path} needs an upgrade to the installed MLflow's schema, and another "
                f"program has it open ({error}). Stop that program (the MLflow UI, the dashboard, a sweep) "
                "and try again."
            ) from error
        yield connection


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)


def _migrate(path: Path, artifacts: str) -> None:
    """Migrate the database (may be missing) to the newest schema, with the default experiment."""
    from mlflow.store.db import utils
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    chatty = [logging.getLogger(name) for name in ("alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.ERROR)  # else dozens of lines, one per migration
    engine = utils.create_sqlalchemy_engine(sqlite_uri(path))
    try:
        if path.exists():
            utils._upgrade_db(engine)
        SqlAlchemyStore(sqlite_uri(path), artifacts).engine.dispose()
    finally:
        engine.dispose()
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)


def _temporary(path: Path) -> Path:
    """Return the temporary path for ``path``, removing files of a killed migration."""
    temporary = path.with_name(f".{path.name}.new")
    for suffix in ("", *SIDECARS):
        Path(f"{temporary}{suffix}").unlink(missing_ok=True)
    return temporary


def _publish(temporary: Path, path: Path) -> None:
    """Rename a closed database atomically and durably."""
    mode = "DELETE" if is_on_network(path.parent) else "WAL"
    with closing(_connect(temporary)) as connection:  # closing the last connection empties the log
        connection.execute(f"PRAGMA journal_mode = {mode}")
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    atomic.sync_folder(path.parent)


def is_on_network(folder: Path) -> bool:
    """Return whether a folder is on a network file system, as far as the system tells."""
    return _filesystem(folder) in NETWORK_FILESYSTEMS


def _filesystem(folder: Path) -> str:
    """Return the file system type of ``folder``; "" if unknown (not Linux)."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    resolved = folder.resolve()
    holding = [(point, kind) for point, kind in mounts if resolved.is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]), default=("", ""))[1]
