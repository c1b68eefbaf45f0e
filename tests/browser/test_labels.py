"""Pages of a sweep of several labels per image in a real browser, with names of labels that are traps."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support import synthetic_labels
from tests.support.accessibility import serious_findings
from tests.support.browser import Dashboard, settle
from tests.support.browsing import CHART, MAIN, Watched

pytestmark = pytest.mark.browser
PAGES = ["confusion", "embeddings", pytest.param("tryit", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def trapped(module_store: str) -> str:
    """Id of a sweep whose labels are named by traps."""
    return synthetic_labels.hostile(module_store)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_labels_is_for_everybody_and_no_name_acts(
    browser: Browser, dashboard: Dashboard, module_store: str, trapped: str, path: str
) -> None:
    watched = Watched(browser, dashboard.shows(module_store))
    page = watched.open(f"{path}?run={trapped}")
    assert page.locator(CHART).count() >= 1
    for theme, rules in (("light", None), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        settle(page)
        assert serious_findings(page, rules) == set(), theme
    page.set_viewport_size({"width": 390, "height": 800})
    settle(page)
    wide, seen = (
        page.locator(MAIN).evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth")
    )
    assert wide <= seen + 1
    watched.check()


def test_the_navigation_names_the_page_after_the_run_and_keeps_its_address(
    browser: Browser, dashboard: Dashboard, module_store: str, trapped: str
) -> None:
    watched = Watched(browser, dashboard.shows(module_store))
    page = watched.open(f"?run={trapped}")
    page.get_by_role("link", name="Labels", exact=True).click()
    page.wait_for_url("**/confusion*")
    settle(page)
    assert page.get_by_role("heading", name="Labels", exact=True).count() == 1
    watched.check()
