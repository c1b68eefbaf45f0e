"""With whom Python processes speak, written down by themselves; see `network_record.sitecustomize`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.paths import REPO

FOLDER = Path(__file__).with_name("network_record")
HERE = ("127.0.0.1", "::1", "localhost")
OFF = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")  # as people do not set them


def recorded_in(file: Path) -> dict[str, str]:
    """An environment whose processes write into ``file``, and in which no library is told to stay offline."""
    quiet = (*OFF, "STREAMLIT_BROWSER_GATHER_USAGE_STATS", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    plain = {name: value for name, value in os.environ.items() if name not in quiet}
    path = os.pathsep.join([str(FOLDER), str(REPO)])
    return {**plain, "PYTHONPATH": path, "HEADROOM_NETWORK_RECORD": str(file)}


def hosts(file: Path, what: str = "") -> set[str]:
    """Whom they spoke to, looked up or listened at; only what ``connect``, ``look up`` or ``bind`` says."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {line.rpartition(" ")[2] for line in lines if line.startswith(what)}


def strangers(file: Path) -> list[str]:
    """Hosts that are not this machine."""
    return sorted(hosts(file) - {*HERE})
