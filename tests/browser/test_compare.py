"""Clicks and drags that lead from runs and charts to images and trials: Compare, slices, brushed axes."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from dashboard.frames.predictions import BEST
from tests.support import synthetic_answers
from tests.support.browser import Dashboard, settle
from tests.support.browsing import MAIN, WITHIN_MS, Watched, tick

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Served(NamedTuple):
    """A dashboard, and the two sweeps that it shows."""

    address: str
    older: str
    newer: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> tuple[str, str]:
    return synthetic_answers.pair(module_store)


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: tuple[str, str]) -> Served:
    return Served(dashboard.shows(module_store), *runs)


def test_two_runs_ticked_on_home_are_compared_down_to_an_image_that_only_one_has_right(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"?run={served.newer}")
    main = page.locator(MAIN)
    tick(page, 0, 1)
    expect(page.get_by_role("heading", name="newer", exact=True)).to_be_visible()  # ticks open nothing
    page.get_by_role("link", name="Compare 2 runs").click()
    expect(main.get_by_text("newer is better than older")).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile(f"runs={served.older}%2C{served.newer}"))  # the older is the baseline
    settle(page)
    only = page.get_by_role("radiogroup", name="Correct only for")
    only.get_by_text("older").click()
    expect(main.get_by_text("correct for older, wrong for newer")).to_be_visible(timeout=WITHIN_MS)
    settle(page)
    enlarge = main.get_by_role("button", name=re.compile("^Fullscreen: a drawing")).last
    main.get_by_test_id("stImage").last.hover()
    enlarge.click()
    frame = page.get_by_test_id("stFullScreenFrame").filter(has=page.get_by_label("Close fullscreen"))
    image = frame.locator("img")
    expect(image).to_be_visible()
    assert image.evaluate("node => node.getBoundingClientRect().height") > 800  # of 1000, from a thumbnail
    watched.check()


def test_a_click_on_a_cell_of_two_runs_answers_shows_its_images(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"compare?runs={served.older},{served.newer}")
    cell = page.locator('path[aria-label^="class 2 and class 0: "]')
    count = int((cell.get_attribute("aria-label") or "").rpartition(" ")[2])
    cell.click(force=True)  # its figure lies above it
    expect(page.get_by_role("combobox", name="older → newer")).to_have_value(
        f"class 2 → class 0 ({count})", timeout=WITHIN_MS
    )
    expect(page.get_by_text(f"{count} images, below each its label")).to_be_visible(timeout=WITHIN_MS)
    assert "said=class+2" in page.url
    watched.check()


def test_a_click_on_a_slice_shows_its_mistakes(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"confusion?run={served.older}&head={BEST}")
    picked = page.get_by_role("combobox", name="Mistakes in")
    expect(picked).to_have_value("caption: blurred (n = 15)")
    other = page.locator('path[aria-label*="name: caption: number (n = 85)"]').last
    other.click(force=True)
    expect(picked).to_have_value("caption: number (n = 85)", timeout=WITHIN_MS)
    expect(page.get_by_text("most confident first; below each the label and the answer")).to_be_visible()
    assert "slice=caption%3A+number" in page.url
    watched.check()


def test_a_drag_over_an_axis_keeps_its_trials_there_and_on_the_loss_curves(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"hyperparameters?run={served.newer}")
    expect(page.get_by_text("6 trials, coloured by")).to_be_attached(timeout=WITHIN_MS)
    chart = page.locator("[data-testid=stVegaLiteChart] svg.marks").first
    chart.scroll_into_view_if_needed()
    ends = [chart.locator("text").get_by_text(value, exact=True).first.bounding_box() for value in "21"]
    assert all(ends)
    (top, bottom) = (one for one in ends if one)  # ticks of the first axis, the depth
    page.mouse.move(top["x"] - 25, top["y"] + 3)  # within the chart
    page.mouse.down()
    page.mouse.move(top["x"] + 15, bottom["y"] - 30, steps=8)
    page.mouse.up()
    expect(page).to_have_url(re.compile("[?&]keep="), timeout=WITHIN_MS)
    kept = page.get_by_test_id("stMain").get_by_text(re.compile(r"^\d of 6 trials$"))
    expect(kept).to_have_text("3 of 6 trials", timeout=WITHIN_MS)
    settle(page)
    page.get_by_role("link", name="Loss curves", exact=True).click()
    expect(page.get_by_role("heading", name="Loss curves", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(kept).to_have_text("3 of 6 trials", timeout=WITHIN_MS)
    expect(page.get_by_role("button", name="depth: 2")).to_be_visible()
    assert "keep=" in page.url
    watched.check()
