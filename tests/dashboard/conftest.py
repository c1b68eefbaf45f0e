"""Fixtures of the tests that run pages in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from streamlit.components.v2 import manifest_scanner

from tests.support.pages import Showing, Stores, nobody_looking


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
