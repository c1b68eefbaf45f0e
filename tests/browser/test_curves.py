"""The loss curves in a real browser: a line, or a field where many run, leads to its trial."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import synthetic_runs
from tests.support.browser import Dashboard
from tests.support.browsing import WITHIN_MS, Watched

pytestmark = pytest.mark.browser

MANY = 120  # trials, more than are drawn as lines
FROM_THE_MIDDLE = """path => {
    const at = path.getPointAtLength(path.getTotalLength() / 2), to = path.getScreenCTM();
    return [at.x * to.a + to.e, at.y * to.d + to.f];
}"""


class Served(NamedTuple):
    address: str
    few: str
    many: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> list[str]:
    return [synthetic_runs.sweep(module_store, name=f"of {n}", trials=n) for n in (6, MANY)]


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: list[str]) -> Served:
    return Served(dashboard.shows(module_store), *runs)


def click(page: Page, mark: str, number: int) -> None:
    """A point of the mark, as a pointer would hit it."""
    path = page.locator(f"[data-testid=stVegaLiteChart] svg.marks >> nth=0 >> {mark}").nth(number)
    path.wait_for(state="attached", timeout=WITHIN_MS)
    page.mouse.click(*path.evaluate(FROM_THE_MIDDLE))


@pytest.mark.slow
def test_a_click_on_a_line_opens_its_trial_in_the_address_and_a_second_browser_sees_it(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"curves?run={served.few}")
    click(page, "path[stroke-width='5']", 2)
    expect(page.get_by_text(re.compile(r"^Trial \d+ \(.+\)"))).to_be_visible(timeout=WITHIN_MS)
    number = re.search(r"[?&]trial=(\d+)", page.url)
    assert number is not None
    other = Watched(browser, served.address, alone=True)
    seen = other.open(page.url.removeprefix(f"{served.address}/"))
    expect(seen.get_by_text(f"Trial {number.group(1)} (")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page).not_to_have_url(re.compile("[?&]trial="), timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_click_on_a_field_where_many_run_offers_its_trials_the_best_first(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"curves?run={served.many}")
    fields = page.locator("[data-testid=stVegaLiteChart] svg.marks >> nth=0 >> g.mark-rect path")
    fields.first.wait_for(state="attached", timeout=WITHIN_MS)
    fields.nth(fields.count() // 2).click(force=True)
    offered = page.get_by_text(re.compile(r"^\d+ trials? at .* epoch \d.*: open$"))
    expect(offered).to_be_visible(timeout=WITHIN_MS)
    first = page.get_by_role("radio").first
    number = first.inner_text()
    first.click()
    expect(page.get_by_text(re.compile(rf"^Trial {number} \("))).to_be_visible(timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile(rf"[?&]trial={number}\b"))
    watched.check()
