"""Default locations of runs and features."""

from __future__ import annotations

import os
import re
from pathlib import Path

from trainer.core.errors import InputError

DEFAULT_EXPERIMENT = "headroom"
_PASSWORD = re.compile(r"(?<=://)([^/@:?#]*):[^/?#]*(?=@)")
_SECRET = re.compile(r"([?&](?:password|passwd|pwd|token|secret)=)[^&#]*", re.IGNORECASE)
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


def without_password(uri: str) -> str:
    """Return a URI as it may be shown and stored: ``postgresql://me:***@host/runs``."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***", uri))


def check_no_password(tracking_uri: str) -> None:
    """Raise InputError for a password in ``--tracking-uri``: every run would store it."""
    if without_password(tracking_uri) != tracking_uri != default_tracking_uri():
        raise InputError(
            f"--tracking-uri {without_password(tracking_uri)} holds a password, which lists of processes and "
            "the shell's history would show. Set HEADROOM_TRACKING_URI to it and leave out the flag; for an "
            "MLflow server, set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )


def default_cache_dir() -> Path:
    """Return the feature cache: ``.cache/headroom`` in `base_folder`."""
    return base_folder() / ".cache" / "headroom"
