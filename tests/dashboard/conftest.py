"""Fixtures of the tests that run pages in process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest.mock import patch

import pytest
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(scope="package", autouse=True)
def _libraries_are_searched_once() -> Iterator[None]:
    """Every `AppTest` searches all installed libraries for components, which takes longer than most pages."""
    searched = cache(manifest_scanner.scan_component_manifests)
    with patch.object(manifest_scanner, "scan_component_manifests", searched):
        yield
