"""What a person does on the page "Verification", in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support import synthetic_runs, synthetic_verification
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_a_slider_moves_the_rates_the_images_and_the_address_and_a_link_brings_them_back(
    browser: Browser,
    address: str,
    tracking_uri: str,
) -> None:
    synthetic_verification.verification(tracking_uri)
    watched = Watched(browser, address)
    page = watched.open("verification")
    main = page.locator(MAIN)
    page.locator(CHART).nth(4).wait_for(timeout=WITHIN_MS)
    expect(main.get_by_text(re.compile(r"FAR \d+\.\d%, FRR"))).to_be_visible(timeout=WITHIN_MS)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("Home")
    expect(main.get_by_text(re.compile(r"FAR 100\.0%, FRR 0\.0%"))).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("at_trained="), timeout=WITHIN_MS)
    main.get_by_role("radio", name=re.compile("true accepts")).click()
    expect(main.get_by_text(re.compile(r"of 200 true accepts"))).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_role("img").first).to_be_visible()
    link = page.url.partition("/verification")[2]
    page = watched.open(f"verification{link}")
    expect(main.get_by_text(re.compile(r"of 200 true accepts"))).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_verification_full_of_traps_springs_none(
    browser: Browser,
    address: str,
    tracking_uri: str,
) -> None:
    synthetic_verification.verification(tracking_uri, hostile=synthetic_runs.HOSTILE)
    watched = Watched(browser, address)
    page = watched.open("verification")
    page.locator(CHART).nth(4).wait_for(timeout=WITHIN_MS)
    links = page.evaluate("[...document.links].map(link => link.href)")
    assert [link for link in links if not link.startswith(address)] == []
    watched.check()
