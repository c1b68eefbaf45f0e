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
from tests.support.browser import Dashboard
from tests.support.browsing import Watched
from trainer.tracking.schema import Kind, RunState

pytestmark = pytest.mark.browser

PATHS = ["" if page is HOME else page.view for page in PAGES]
TEST_ROW = "tryit?source=test+row"


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
    "empty": lambda uri: None,
}


def broken(watched: Watched, path: str) -> list[str]:
    """Open a page and return its errors, and the images that it asks for in vain."""
    watched.open(path)
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
    found = {path: errors for path in [*PATHS, TEST_ROW] if (errors := broken(watched, path))}
    assert found == {}
    watched.check()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, 600])  # of as many the chart is a drawing, of more a canvas
def test_a_row_of_precomputed_features_has_a_marker_on_the_map_and_no_broken_image(
    browser: Browser, dashboard: Dashboard, tracking_uri: str, rows: int
) -> None:
    synthetic_runs.sweep(tracking_uri, images=False, rows=rows)
    watched = Watched(browser, dashboard.shows(tracking_uri))
    assert broken(watched, TEST_ROW) == []
    watched.check()
