"""Look into a SQLite store of MLflow without changing a byte of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from trainer.core.errors import InputError
from trainer.tracking.client import local_folder

Schema = Literal["current", "older", "newer"]


class StoreState(NamedTuple):
    """What a store holds."""

    experiments: int
    runs: int
    schema: Schema  # compared with the installed MLflow's
    moved: (
        tuple[Path, Path] | None
    )  # where artifacts are recorded, and where they are; None if at their place


def inspect(path: Path) -> StoreState | None:
    """Return what the database holds; None where it was not created yet.

    Raises:
        InputError: it is a folder, no SQLite database, or one of another program.
    """
    if path.is_dir():
        raise InputError(f"The tracking store {path} is a folder. Pass --tracking-uri with a file in it.")
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(_read_only(path)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
            if "experiments" not in tables:
                raise InputError(
                    f"The tracking store {path} is a database of another program, not of MLflow. Pass "
                    "--tracking-uri with another path."
                )
            (experiments,) = store.execute("SELECT COUNT(*) FROM experiments").fetchone()
            (runs,) = store.execute("SELECT COUNT(*) FROM runs").fetchone()
            places = [place for (place,) in store.execute("SELECT artifact_location FROM experiments")]
            versions = []
            if "alembic_version" in tables:
                versions = [one for (one,) in store.execute("SELECT version_num FROM alembic_version")]
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"The tracking store {path} cannot be read as a SQLite database ({error}). Restore a backup "
            "(*.bak beside it), or pass --tracking-uri with another path."
        ) from error
    return StoreState(experiments, runs, _compare(versions), _moved(path, places))


def _read_only(path: Path) -> sqlite3.Connection:
    """Open a database so that not even a file beside it appears, as SQLite's log does for a reader."""
    in_use = path.with_name(path.name + "-wal").exists()
    return sqlite3.connect(f"file:{quote(str(path))}?{'mode=ro' if in_use else 'immutable=1'}", uri=True)


def _compare(versions: list[str]) -> Schema:
    """Return how old a schema of these revisions is; without one, its creation was cut short."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    known = ScriptDirectory.from_config(utils._get_alembic_config(db_url=""))
    if versions == [known.get_current_head()]:
        return "current"
    revisions = {one.revision for one in known.walk_revisions()}
    return "older" if revisions.issuperset(versions) else "newer"


def _moved(path: Path, places: list[str | None]) -> tuple[Path, Path] | None:
    beside = path.parent / "artifacts"
    for place in places:
        recorded = local_folder(place or "")
        ours = recorded is not None and recorded.name == beside.name  # as Headroom records it
        if recorded is not None and ours and recorded != beside and beside.exists() and not recorded.exists():
            return recorded, beside
    return None
