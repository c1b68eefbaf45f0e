"""What a person does on the page "Search", in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Dashboard
from tests.support.browsing import MAIN, WITHIN_MS, Watched
from tests.support.trained_sweep import CLASSES, PER_CLASS, Answering

pytestmark = pytest.mark.browser

IMAGES = len(CLASSES) * PER_CLASS


@pytest.mark.slow
def test_words_are_searched_kept_in_the_address_and_lead_on_to_similar_images(
    browser: Browser, dashboard: Dashboard, searchable: Answering
) -> None:
    watched = Watched(browser, dashboard.shows(searchable.uri))
    page = watched.open("search")
    main = page.locator(MAIN)
    box = main.get_by_role("textbox", name="Words")
    box.fill("something red")
    box.press("Enter")
    expect(main.get_by_text(f"top {IMAGES} of {IMAGES} images")).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("words=something"), timeout=WITHIN_MS)
    page = watched.open(page.url.removeprefix(f"{watched.address}/"))
    main = page.locator(MAIN)
    expect(main.get_by_text(f"top {IMAGES} of {IMAGES} images")).to_be_visible(timeout=WITHIN_MS)
    link = main.locator("a[href*='like=']").first
    page = watched.open((link.get_attribute("href") or "").lstrip("/"))
    main = page.locator(MAIN)
    expect(main.get_by_text(re.compile("^Like .*: top"))).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text("1.00").first).to_be_visible(timeout=WITHIN_MS)
    watched.check()
