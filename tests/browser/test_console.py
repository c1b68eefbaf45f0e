"""No page logs an error to the browser's console, whatever the store holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from dashboard.ui.pages import HOME, PAGES
from tests.support import (
    synthetic_ablation,
    synthetic_answers,
    synthetic_comparison,
    synthetic_runs,
    synthetic_trials,
    synthetic_verification,
)
from tests.support.browser import Dashboard, settle
from tests.support.browsing import WITHIN_MS, Watched
from trainer.tracking.schema import Kind, RunState

pytestmark = pytest.mark.browser

TEST_ROW = "tryit?source=test+row"
EMPTY = "empty"


def of_state(uri: str, state: str) -> None:
    """Write a sweep, an extraction and an ablation in a state."""
    for write in (synthetic_runs.sweep, synthetic_runs.extraction, synthetic_ablation.ablation):
        write(uri, state=state)


def finished(uri: str, *, hostile: str = "") -> None:
    """Write a finished run of every kind."""
    classes = [hostile, "<script>", ":red[c]"] if hostile else None
    synthetic_runs.sweep(uri, name=hostile or "digits", classes=classes)
    synthetic_runs.extraction(uri, hostile=bool(hostile))
    synthetic_ablation.ablation(uri, hostile=hostile)
    synthetic_verification.verification(uri, hostile=hostile)
    for kind in (Kind.ZERO_SHOT, Kind.FUSION, Kind.ENCODERS):
        synthetic_comparison.run(uri, kind, hostile=hostile)


def without_images(uri: str) -> None:
    """Write runs on precomputed features."""
    synthetic_runs.sweep(uri, images=False)
    synthetic_runs.extraction(uri, measured=False)
    synthetic_ablation.ablation(uri, images=False)


STORES: dict[str, Callable[[str], object]] = {
    "precomputed features": without_images,
    "live": lambda uri: of_state(uri, RunState.LIVE),
    "interrupted": lambda uri: of_state(uri, RunState.INTERRUPTED),
    "failed": lambda uri: of_state(uri, RunState.FAILED),
    "foreign": synthetic_trials.foreign,
    "hostile": lambda uri: finished(uri, hostile=synthetic_runs.HOSTILE),
    "two classes": lambda uri: synthetic_runs.sweep(uri, classes=["healthy", "pneumonia"]),
    "two classes, groups": lambda uri: synthetic_answers.sweep(uri, classes=2, groups=True),
    EMPTY: lambda uri: None,
}


def broken(watched: Watched) -> list[str]:
    """Return the errors of the page that is open, and the images that it has asked for in vain."""
    found = [*watched.errors, *watched.nothings]
    watched.errors.clear()
    watched.nothings.clear()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_no_page_logs_an_error_to_the_console(
    browser: Browser, dashboard: Dashboard, tracking_uri: str, store: str
) -> None:
    STORES[store](tracking_uri)
    watched = Watched(browser, dashboard.shows(tracking_uri))
    watched.open("")
    found = {HOME.title: broken(watched)}
    for page in PAGES[1:]:  # as people go from page to page; other tests open each by its address
        watched.page.get_by_role("link", name=page.title, exact=True).click()
        if store != EMPTY:  # where all pages say the same
            watched.page.get_by_role("heading", name=page.title, exact=True).wait_for(timeout=WITHIN_MS)
        settle(watched.page)
        found[page.title] = broken(watched)
    watched.open(TEST_ROW)
    found[TEST_ROW] = broken(watched)
    assert {name: errors for name, errors in found.items() if errors} == {}
    watched.check()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, 600])  # of as many the chart is a drawing, of more a canvas
def test_a_row_of_precomputed_features_has_a_marker_on_the_map_and_no_broken_image(
    browser: Browser, dashboard: Dashboard, tracking_uri: str, rows: int
) -> None:
    synthetic_runs.sweep(tracking_uri, images=False, rows=rows)
    watched = Watched(browser, dashboard.shows(tracking_uri))
    watched.open(TEST_ROW)
    assert broken(watched) == []
    watched.check()
