"""The navigation in a real browser: its sections, and where the Back button leads."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from dashboard.ui.pages import PAGES
from tests.support import synthetic_runs
from tests.support.browser import settle
from tests.support.browsing import WITHIN_MS, Watched

pytestmark = pytest.mark.browser

ITEMS = "[data-testid=stSidebarNavItems] > li"


@pytest.mark.slow
def test_one_press_of_back_returns_to_the_page_before(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    synthetic_runs.extraction(tracking_uri)
    watched = Watched(browser, address)
    page = watched.open("")
    names = ["Home", "Loss curves", "Data quality", "Confusion matrix"]
    for name in names[1:]:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WITHIN_MS)
        settle(page)
    for name in names[-2::-1]:
        page.go_back()
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WITHIN_MS)
        settle(page)
    assert f"run={run_id}" in page.url
    watched.check()


def test_the_navigation_lists_every_page_under_four_headings_and_hides_none(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    synthetic_runs.sweep(tracking_uri)
    watched = Watched(browser, address)
    page = watched.open("")
    expect(page.locator(ITEMS)).to_have_text([f"{one.icon}{one.title}" for one in PAGES])
    headings = page.locator(ITEMS).evaluate_all(
        "items => items.map(item => getComputedStyle(item, '::before').content).filter(one => one !== 'none')"
    )
    assert headings == ['"Sweep"', '"Data"', '"Studies"', '"Tools"']
    expect(page.get_by_text("View", exact=False).and_(page.locator("button"))).to_have_count(0)
    watched.check()
