"""Default locations of runs and features."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_EXPERIMENT = "headroom"
_SOURCES = Path(__file__).resolve().parents[2]


def base_folder() -> Path:
    """Return the checkout of this code; for an installed package, the working directory."""
    return _SOURCES if (_SOURCES / "pyproject.toml").is_file() else Path.cwd()


def default_tracking_uri() -> str:
    """Return the MLflow store.

    ``HEADROOM_TRACKING_URI``, else ``MLFLOW_TRACKING_URI``, else the SQLite database ``mlruns/mlflow.db`` in
    `base_folder`.
    """
    given = os.environ.get("HEADROOM_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{base_folder() / 'mlruns' / 'mlflow.db'}"


def default_cache_dir() -> Path:
    """Return the feature cache: ``.cache/headroom`` in `base_folder`."""
    return base_folder() / ".cache" / "headroom"
