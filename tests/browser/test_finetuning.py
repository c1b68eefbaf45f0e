"""What a person does with a fine-tuning, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Dashboard
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched, choose

pytestmark = pytest.mark.browser


@pytest.fixture
def tuned(dashboard: Dashboard, finetuned: tuple[str, str]) -> str:
    return dashboard.shows(finetuned[0])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_verdict_stands_on_home_and_fits_a_telephone(
    browser: Browser,
    tuned: str,
    theme: str,
) -> None:
    watched = Watched(browser, tuned, color_scheme=theme)
    watched.page.set_viewport_size({"width": 390, "height": 800})
    page = watched.open("")
    verdict = page.locator("[data-testid=stAlert]").filter(has_text="Fine-tuning the last 1 block of 2")
    expect(verdict).to_contain_text("test macro-F1", timeout=WITHIN_MS)
    main = page.locator(MAIN)
    wide, seen = (main.evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth"))
    assert wide <= seen + 1
    watched.check()


@pytest.mark.slow
def test_from_home_to_the_two_heads_side_by_side(browser: Browser, tuned: str) -> None:
    watched = Watched(browser, tuned)
    page = watched.open("")
    page.get_by_role("link", name="Confusion matrix").click()
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    choose(page, "Compare with", "frozen")
    expect(page.locator(CHART)).to_have_count(3, timeout=WITHIN_MS)
    assert "against=frozen" in page.url
    watched.check()
