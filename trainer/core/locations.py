"""Where runs and features are kept unless a flag says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_EXPERIMENT = "headroom"
_SOURCES = Path(__file__).resolve().parents[2]


def base_folder() -> Path:
    """The checkout that this code lies in; of an installed package the working directory."""
    return _SOURCES if (_SOURCES / "pyproject.toml").is_file() else Path.cwd()


def default_tracking_uri() -> str:
    """The MLflow store: ``HEADROOM_TRACKING_URI``, else MLflow's own ``MLFLOW_TRACKING_URI``, else the SQLite
    database ``mlruns/mlflow.db`` in `base_folder`.
    """
    given = os.environ.get("HEADROOM_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{base_folder() / 'mlruns' / 'mlflow.db'}"


def default_cache_dir() -> Path:
    """Where features are cached: ``.cache/headroom`` in `base_folder`."""
    return base_folder() / ".cache" / "headroom"
