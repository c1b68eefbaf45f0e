"""Fixtures of the tests in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import Dashboard, find_browser
from tests.support.browsing import Watched


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("No Chromium in CI, so the pages would go untested.")
        pytest.skip("no Chromium here: the pages go untested")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        launched.new_context()  # keeps what every page fetches; see `browser`
        yield launched
        launched.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Chromium. Its first context stays, without anything but the dashboard's code, and the tabs in it."""
    yield chromium
    first, *others = chromium.contexts
    for watched in [*Watched.looking]:
        if watched.page.context is first and not watched.page.is_closed():
            watched.leave()
        else:
            Watched.looking.remove(watched)
    first.clear_cookies()
    for context in others:
        context.close()


@pytest.fixture(scope="session")
def dashboard() -> Iterator[Dashboard]:
    """The dashboard of all browser tests of a worker; each says which store it shall look at."""
    served = Dashboard()
    yield served
    served.stop()


@pytest.fixture
def address(dashboard: Dashboard, tracking_uri: str) -> str:
    """The dashboard on the test's own store."""
    return dashboard.shows(tracking_uri)
