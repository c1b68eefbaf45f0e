"""Fixtures of the tests that run pages in process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from streamlit.components.v2 import manifest_scanner

from dashboard.runs import launcher
from dashboard.ui import run_controls, run_permission
from tests.support.pages import LOCAL, Showing, Stores, nobody_looking


@pytest.fixture(scope="package", autouse=True)
def _libraries_are_searched_once() -> Iterator[None]:
    """Every `AppTest` searches all installed libraries for components, which takes longer than most pages."""
    searched = cache(manifest_scanner.scan_component_manifests)
    with patch.object(manifest_scanner, "scan_component_manifests", searched):
        yield


@pytest.fixture(scope="package", autouse=True)
def _nobody_looks() -> Iterator[None]:
    with nobody_looking():
        yield


# In place of a command: ends by Ctrl-C as one does.
PROGRAM = """#!{python}
import sys, time
print("working", file=sys.stderr, flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def runs_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A local server that was started with --allow-runs; what it starts waits for Ctrl-C."""
    monkeypatch.setenv(launcher.ALLOWED, "1")
    monkeypatch.setattr(run_permission, "_asked", lambda: LOCAL)
    monkeypatch.setattr(run_controls, "home", lambda: tmp_path / launcher.FOLDER)
    program = tmp_path / "python"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    yield
    for job in launcher.jobs(tmp_path / launcher.FOLDER):
        if job.running and job.pid:
            os.kill(job.pid, signal.SIGKILL)


@pytest.fixture
def uri(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store of the test's own, that the app looks at."""
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    return tracking_uri


@pytest.fixture(scope="session")
def _stores(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return Stores(migrated_database, tmp_path_factory.mktemp)


@pytest.fixture
def showing(_stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Showing:
    """Let the app look at a store with one run: a writer of runs and its arguments behind the store's URI.

    Tests share it, so none changes it. Returns what the writer returned.
    """

    def show(write: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        uri, written = _stores(write, *arguments, **options)
        monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
        return written

    return show
