"""What a person does on the page "Try it", in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import synthetic_runs
from tests.support.browser import Dashboard
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched
from tests.support.trained_sweep import Answering

pytestmark = pytest.mark.browser


@pytest.fixture
def address(dashboard: Dashboard, answering: Answering) -> str:
    return dashboard.shows(answering.uri)


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
    )


def test_an_image_that_is_dropped_is_answered_and_a_bad_one_named(
    browser: Browser, address: str, answering: Answering
) -> None:
    watched = Watched(browser, address)
    page = watched.open("tryit")
    main = page.locator(MAIN)
    drop(page, ("mine.png", (answering.images / "red" / "3.png").read_bytes()), ("bad.png", b"<html>"))
    expect(main.get_by_role("heading", name="Position on the map")).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text("“bad.png” cannot be used: not an image")).to_be_visible(timeout=WITHIN_MS)
    likely = answering.probabilities()["red/3.png"].max()
    expect(main.get_by_text(f"{100 * likely:.1f} %")).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator(CHART)).to_have_count(2, timeout=WITHIN_MS)
    expect(main.get_by_text("share the predicted label")).to_be_visible()
    watched.check()


def test_a_name_full_of_traps_springs_none(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    page = watched.open("tryit")
    drop(page, (f"{synthetic_runs.HOSTILE.replace('/', '_')}.png", b"<html>"))
    expect(page.locator(MAIN).get_by_text("cannot be used")).to_be_visible(timeout=WITHIN_MS)
    watched.check()


def test_a_test_row_is_kept_in_the_address(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    page = watched.open("tryit")
    page.get_by_text("test row", exact=True).click()
    expect(page.locator(CHART)).to_have_count(2, timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("source=test"), timeout=WITHIN_MS)
    box = page.get_by_role("combobox", name="Test row")
    box.click()
    page.get_by_role("option").nth(2).click()
    expect(page).to_have_url(re.compile(r"row="), timeout=WITHIN_MS)
    chosen = box.input_value()
    page = watched.open(page.url.removeprefix(f"{address}/"))
    expect(page.get_by_role("combobox", name="Test row")).to_have_value(chosen, timeout=WITHIN_MS)
    watched.check()
