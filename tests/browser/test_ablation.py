"""What a person does on the page "Filter ablations", in a real browser."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from tests.support import synthetic_ablation, synthetic_runs
from tests.support.browser import Dashboard
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched

pytestmark = pytest.mark.browser


class Served(NamedTuple):
    """A dashboard, and the ablations that it shows."""

    address: str
    digits: str
    hostile: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> list[str]:
    return [
        synthetic_ablation.ablation(module_store, hostile=hostile) for hostile in ("", synthetic_runs.HOSTILE)
    ]


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: list[str]) -> Served:
    return Served(dashboard.shows(module_store), *runs)


@pytest.mark.slow
def test_a_click_in_the_forest_or_in_the_table_shows_that_cell_and_whom_it_threw_out(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"ablation?ablation={served.digits}")
    main = page.locator(MAIN)
    expect(page.get_by_role("combobox", name="Filter")).to_have_value(
        re.compile("quality"), timeout=WITHIN_MS
    )
    drawn = page.locator(CHART).nth(4)  # after the two panels of the grid and two histograms
    drawn.scroll_into_view_if_needed()
    row = drawn.locator("path[aria-label*='agreement>=top80%;']").first
    row.click(force=True)
    expect(page).to_have_url(re.compile(r"cell=\d+"), timeout=WITHIN_MS)
    expect(page.get_by_role("combobox", name="Filter")).to_have_value("agreement>=top80%", timeout=WITHIN_MS)
    expect(main.get_by_role("heading", name="Removed by this filter")).to_be_visible(timeout=WITHIN_MS)
    expect(main.get_by_text("24 images, lowest score first").last).to_be_visible()

    table = page.locator("[data-testid=stDataFrame]").filter(has=page.get_by_text("macro-F1 [95 %]")).first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 52)  # the first row: the baseline
    expect(page).to_have_url(re.compile("cell=0"), timeout=WITHIN_MS)
    expect(main.get_by_role("heading", name="Removed by this filter")).to_have_count(0, timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_slider_moves_the_count_the_rule_and_the_address_and_a_link_brings_them_back(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"ablation?ablation={served.digits}")
    main = page.locator(MAIN)
    expect(main.get_by_text("96 of 120 training rows kept")).to_be_visible(timeout=WITHIN_MS)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(5):
        slider.press("ArrowLeft")
    expect(main.get_by_text("90 of 120 training rows kept")).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile("keep_first=75"), timeout=WITHIN_MS)
    link = page.url.partition("/ablation")[2]
    page = watched.open(f"ablation{link}")
    expect(main.get_by_text("90 of 120 training rows kept")).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_with_both_panels_of_the_grid_fits_a_telephone(
    browser: Browser, served: Served, theme: str
) -> None:
    watched = Watched(browser, served.address, color_scheme=theme)
    watched.page.set_viewport_size({"width": 390, "height": 800})
    page = watched.open(f"ablation?ablation={served.digits}&every=true")
    page.locator(CHART).nth(7).wait_for(timeout=WITHIN_MS)
    main = page.locator(MAIN)
    wide, seen = (main.evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth"))
    assert wide <= seen + 1
    watched.check()


@pytest.mark.slow
def test_an_ablation_full_of_traps_springs_none(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"ablation?ablation={served.hostile}")
    page.locator(CHART).nth(5).wait_for(timeout=WITHIN_MS)
    links = page.evaluate("[...document.links].map(link => link.href)")
    assert [link for link in links if not link.startswith(served.address)] == []
    watched.check()
