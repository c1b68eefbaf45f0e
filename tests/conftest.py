"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

# Before anything imports these libraries: no test talks to the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"
os.environ.pop("HEADROOM_TRACKING_URI", None)  # a developer's own store is none of the tests' business
os.environ.pop("MLFLOW_TRACKING_URI", None)

import sqlite3

import pytest
from hypothesis import settings

# the same examples in every run; people who look for new ones pass --hypothesis-profile=default
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")

REPO = Path(__file__).resolve().parents[1]
SHARED = REPO.parent / "shared" / "data"


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database, made once: migrating takes seconds, copying 0.07 s. Never opened in place."""
    from trainer.tracking import database

    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    database.prepare(f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking_uri(migrated_database: Path, tmp_path: Path) -> str:
    """A SQLite store of its own for each test, ready for use; artifacts go below ``tmp_path`` too."""
    path = tmp_path / "mlflow.db"
    shutil.copyfile(migrated_database, path)
    artifacts = (tmp_path / "artifacts").as_uri()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? || '/' || experiment_id", [artifacts]
        )
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def saved_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP model in a folder that no test changes."""
    from tiny_clip import save_tiny_clip

    return save_tiny_clip(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(saved_clip: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(saved_clip, tmp_path / "model"))
