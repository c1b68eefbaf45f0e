"""Every number leads to an image: from a cell to its rows, to the map, and from the map to images."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import synthetic_answers, synthetic_runs
from tests.support.browser import FINISHED, Dashboard, settle
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched

pytestmark = pytest.mark.browser


class Served(NamedTuple):
    """A dashboard, and the runs that it shows."""

    address: str
    cells: str
    digits: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> list[str]:
    return [synthetic_answers.sweep(module_store, rows=600), synthetic_runs.sweep(module_store, rows=400)]


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: list[str]) -> Served:
    return Served(dashboard.shows(module_store), *runs)


def tile(page: Page, label: str, pred: str) -> None:
    """Click a cell of the first matrix."""
    page.locator(f'path[aria-label^="{label} taken for {pred}:"]').first.click(
        force=True
    )  # its figure lies above it


def drag(page: Page, *, across: tuple[float, float], down: tuple[float, float]) -> None:
    """Drag over a part of the first chart, ends as shares of its sides."""
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    x = [box["x"] + box["width"] * end for end in across]
    y = [box["y"] + box["height"] * end for end in down]
    page.mouse.move(x[0], y[0])
    page.mouse.down()
    page.mouse.move(x[1], y[1], steps=8)
    page.mouse.up()


@pytest.mark.slow
def test_a_cell_leads_to_its_images_and_these_to_the_map_and_back(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"confusion?run={served.cells}&head=best+linear&split=val")
    main = page.locator(MAIN)
    tile(page, "class 1", "class 1")
    expect(main.get_by_text("class 1, correct", exact=True)).to_be_visible(timeout=WITHIN_MS)
    assert "label=class+1&pred=class+1" in page.url
    expect(main.locator("img").first).to_be_visible(timeout=WITHIN_MS)
    page.get_by_role("button", name="Page 2", exact=True).click()
    expect(main.get_by_text("17 to ")).to_be_visible(timeout=WITHIN_MS)
    assert "page=2" in page.url
    tile(page, "class 0", "class 1")  # another cell begins with its first page
    expect(main.get_by_text("class 0 → class 1", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text("1 to 16 of")).to_be_visible(timeout=WITHIN_MS)
    page.get_by_role("link", name="See them on the map").click()
    expect(main.get_by_text("matches, ")).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text("label “class 0”, predicted “class 1”, val")).to_be_visible()
    expect(page.get_by_role("combobox", name="Head")).to_have_value("best linear")
    settle(page)
    page.get_by_role("button", name="Clear matches", exact=True).click()
    expect(main.get_by_text("matches, ")).to_be_hidden(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_box_on_the_map_shows_its_images_and_a_click_the_neighbours(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"embeddings?run={served.digits}&images=false")
    main = page.locator(MAIN)
    drag(page, across=(0.2, 0.5), down=(0.2, 0.6))
    expect(main.get_by_text(" selected, ")).to_be_visible(timeout=WITHIN_MS)
    expect(main.locator("img").first).to_be_visible(timeout=WITHIN_MS)
    chosen = main.get_by_text(" selected, ").inner_text()
    page.reload()
    settle(page)
    expect(main.get_by_text(" selected, ")).to_have_text(chosen)
    page.get_by_text("Keep earlier boxes").click()
    page.wait_for_selector(FINISHED)
    drag(page, across=(0.55, 0.75), down=(0.3, 0.7))
    expect(main.get_by_text(" selected in 2 boxes, ")).to_be_visible(timeout=WITHIN_MS)
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    for step in range(200):  # a walk over the map until it meets a point
        across, down = 0.25 + 0.5 * (step % 20) / 20, 0.3 + 0.04 * (step // 20)
        at = box["x"] + box["width"] * across, box["y"] + box["height"] * down
        page.mouse.move(*at)
        if page.locator("#vg-tooltip-element.visible").count():
            page.mouse.click(*at)
            break
    expect(main.get_by_text("nearest share the label")).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text(" selected in 2 boxes, ")).to_be_visible()
    assert "point=digit-" in page.url
    page.get_by_role("link", name="Its confusion matrix cell").click()
    expect(page.get_by_role("heading", name="Confusion matrix", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_text("See them on the map")).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_keyboard_reaches_the_worst_confusions(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"confusion?run={served.cells}&against=best+linear")
    way_in = page.get_by_role("radio", name="class 0 → class 1")
    way_in.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("class 0 → class 1", exact=True)).to_be_visible(timeout=WITHIN_MS)
    assert "pred=class+1" in page.url
    watched.check()
