"""The map and its images side by side, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import synthetic_answers, synthetic_runs
from tests.support.browser import Dashboard, settle
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched

pytestmark = pytest.mark.browser

BOX = "embeddings?box=0,60,0,60"


@pytest.fixture(scope="module")
def swept(module_store: str) -> str:
    synthetic_answers.sweep(module_store, rows=400, classes=12)
    return module_store


@pytest.fixture
def address(dashboard: Dashboard, swept: str) -> str:
    return dashboard.shows(swept)


def size(page: Page) -> tuple[float, float]:
    """Width and height of the map."""
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    return box["width"], box["height"]


@pytest.mark.slow
def test_a_box_on_the_map_shows_its_first_image_without_scrolling(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.page.set_viewport_size({"width": 1440, "height": 900})
    page = watched.open("embeddings")
    before, place = size(page), page.locator(CHART).first.bounding_box()
    assert place is not None
    assert before[0] > 560
    page.mouse.move(place["x"] + 0.4 * place["width"], place["y"] + 0.3 * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + 0.6 * place["width"], place["y"] + 0.6 * place["height"], steps=8)
    page.mouse.up()
    expect(page.locator(MAIN).get_by_text(re.compile(r"\d+ selected, \d+ misclassified"))).to_be_visible(
        timeout=WITHIN_MS
    )
    settle(page)
    image = page.locator(f"{MAIN} [data-testid=stImage] img").first.bounding_box()
    assert image is not None
    assert image["y"] + image["height"] <= 900
    assert image["x"] >= place["x"] + place["width"]  # beside the map
    assert page.locator(MAIN).evaluate("node => node.scrollTop") == 0
    assert size(page) == before
    watched.check()


def click_in_legend(page: Page, place: int) -> None:
    """Click the symbol of a class of a map that is drawn as SVG, as one of few points is."""
    page.locator(".role-legend-symbol path").nth(place).click(force=True)


@pytest.mark.slow
def test_clicks_in_the_legend_and_a_drag_select_together_and_a_link_keeps_both(
    browser: Browser, dashboard: Dashboard, swept: str
) -> None:
    synthetic_runs.sweep(swept, rows=300)
    watched = Watched(browser, dashboard.shows(swept))
    page = watched.open("embeddings?pictures=false&names=false")
    click_in_legend(page, 2)
    expect(page.locator(MAIN).get_by_text("label: “2”.")).to_be_visible(timeout=WITHIN_MS)
    settle(page)
    click_in_legend(page, 3)
    expect(page.locator(MAIN).get_by_text("label: “2”, “3”.")).to_be_visible(timeout=WITHIN_MS)
    settle(page)
    every = page.locator(MAIN).get_by_text(re.compile(r"^\d+ selected, ")).inner_text()
    place = page.locator(CHART).first.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 0.5 * place["width"], place["y"] + 0.2 * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + 0.8 * place["width"], place["y"] + 0.5 * place["height"], steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile("legend=2&legend=3&box="), timeout=WITHIN_MS)
    settle(page)
    both = page.locator(MAIN).get_by_text(re.compile(r"^\d+ selected, ")).inner_text()
    assert 0 < int(both.split()[0]) < int(every.split()[0])
    page.reload()
    settle(page)
    expect(page.locator(MAIN).get_by_text(re.compile(r"^\d+ selected, "))).to_have_text(both)
    click_in_legend(page, 3)
    expect(page.locator(MAIN).get_by_text("label: “2”.")).to_be_visible(timeout=WITHIN_MS)
    watched.check()


def test_on_a_telephone_the_images_are_below_the_map(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.page.set_viewport_size({"width": 390, "height": 844})
    page = watched.open(BOX)
    place = page.locator(CHART).first.bounding_box()
    image = page.locator(f"{MAIN} [data-testid=stImage] img").first.bounding_box()
    assert place is not None
    assert image is not None
    assert place["width"] > 300
    assert image["y"] > place["y"] + place["height"]
    watched.check()


@pytest.mark.slow
def test_images_are_as_large_as_the_slider_in_the_address_says(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    page = watched.open(BOX)
    image = page.locator(f"{MAIN} [data-testid=stImage] img").first
    assert image.evaluate("node => node.width") == 80
    page.get_by_role("slider", name="Image size").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("page_size=104"), timeout=WITHIN_MS)
    settle(page)
    assert image.evaluate("node => node.width") == 104
    page.reload()
    settle(page)
    assert image.evaluate("node => node.width") == 104
    watched.check()
