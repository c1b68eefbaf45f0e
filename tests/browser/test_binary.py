"""What a person does on the page "Two classes", in a real browser."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.support import synthetic_runs
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched

pytestmark = pytest.mark.browser

CLASSES = ["normal", "pneumonia"]
SERIOUS = ("serious", "critical")


@pytest.mark.slow
def test_a_slider_moves_figures_and_images_and_a_link_brings_them_back(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    synthetic_runs.sweep(tracking_uri, classes=CLASSES)
    watched = Watched(browser, address)
    page = watched.open("twoclass")
    main = page.locator(MAIN)
    page.locator(CHART).nth(3).wait_for(timeout=WITHIN_MS)
    expect(main.get_by_text("Not a medical device")).to_be_visible(timeout=WITHIN_MS)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("End")
    expect(main.get_by_text(re.compile(r"specificity 1\.000"))).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("at=1"), timeout=WITHIN_MS)
    expect(main.get_by_role("img").first).to_be_visible()
    main.get_by_role("radio", name="val").click()
    expect(main.get_by_text(re.compile("fitted on these rows"))).to_be_visible(timeout=WITHIN_MS)
    link = page.url.partition("/twoclass")[2]
    page = watched.open(f"twoclass{link}")
    expect(main.get_by_text(re.compile(r"specificity 1\.000"))).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text(re.compile("fitted on these rows"))).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_with_curves_it_is_for_everybody_and_for_telephones(
    browser: Browser, address: str, tracking_uri: str, theme: str
) -> None:
    synthetic_runs.sweep(tracking_uri, classes=CLASSES)
    watched = Watched(browser, address, color_scheme=theme)
    page = watched.open("twoclass")
    page.locator(CHART).nth(3).wait_for(timeout=WITHIN_MS)
    found = Axe().run(page).response["violations"]
    assert {one["id"] for one in found if one["impact"] in SERIOUS} == set()
    page.set_viewport_size({"width": 390, "height": 800})
    page = watched.open("twoclass")
    wide, seen = (
        page.locator(MAIN).evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth")
    )
    assert wide <= seen + 1
    watched.check()
