"""An empty MLflow store: a copy of a migrated database, with its artifacts beside it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path


def fresh_store(migrated: Path, folder: Path) -> str:
    """Copy the database into ``folder``; artifacts go below it too. Returns the URI."""
    path = folder / "mlflow.db"
    shutil.copyfile(migrated, path)
    artifacts = (folder / "artifacts").as_uri()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? || '/' || experiment_id", [artifacts]
        )
    return f"sqlite:///{path}"
