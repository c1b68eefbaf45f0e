"""What a person does on the page "Hyperparameters", in a real browser."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support import synthetic_trials as known
from tests.support.browser import Dashboard, settle
from tests.support.browsing import WITHIN_MS, Watched

pytestmark = pytest.mark.browser

DRAWER = "[data-testid=stDialog]"


class Served(NamedTuple):
    """A dashboard, and the runs that it shows."""

    address: str
    uri: str
    done: str
    hostile: str
    live: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> dict[str, str]:
    return {
        "done": known.sweep(module_store, known.trials(24)),
        "hostile": known.foreign(module_store, hostile=True),
        "live": known.sweep(module_store, known.trials(12), state="live"),
    }


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: dict[str, str]) -> Served:
    return Served(dashboard.shows(module_store), module_store, **runs)


def chart(page: Page, number: int) -> Locator:
    return page.locator("[data-testid=stVegaLiteChart] svg.marks").nth(number)


def close(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator(DRAWER)).to_have_count(0, timeout=WITHIN_MS)
    expect(page).not_to_have_url(re.compile("[?&]trial="), timeout=WITHIN_MS)  # the script has heard of it
    settle(page)  # the charts are drawn without the chosen trial


@pytest.mark.slow
def test_a_click_on_a_line_a_dot_or_a_row_opens_that_trial(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"hyperparameters?run={served.done}")
    drawer = page.locator(DRAWER)

    lines = chart(page, 1)
    lines.scroll_into_view_if_needed()
    lines.locator("path[aria-roledescription='point']").last.click(force=True)
    expect(drawer.get_by_role("heading", name="Trial")).to_be_visible(timeout=WITHIN_MS)
    assert "trial=" in page.url
    expect(drawer.get_by_role("link", name="Learning curves")).to_be_visible()
    close(page)

    dot = chart(page, 2).locator(".mark-symbol path").first
    dot.scroll_into_view_if_needed()
    for _ in range(2):  # again after it was closed
        dot.click(force=True)
        expect(drawer).to_be_visible(timeout=WITHIN_MS)
        close(page)

    table = page.locator("[data-testid=stDataFrame]").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 50)
    expect(drawer).to_be_visible(timeout=WITHIN_MS)
    drawer.get_by_role("link", name="Learning curves").click()
    expect(page.get_by_role("heading", name="Loss curves", exact=True)).to_be_visible(timeout=WITHIN_MS)
    watched.check()


@pytest.mark.slow
def test_a_link_restores_the_card_and_the_controls(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address, color_scheme="dark")
    page = watched.open(f"hyperparameters?run={served.done}&trial=5&across=dropout&up=lr&rung=20&better=true")
    drawer = page.locator(DRAWER)
    expect(drawer.get_by_role("heading", name="Trial 5")).to_be_visible(timeout=WITHIN_MS)
    close(page)
    expect(page.get_by_role("combobox", name="x", exact=True)).to_have_value("dropout")
    expect(page.get_by_role("radio", name="20", checked=True)).to_be_visible()
    expect(page.get_by_text("Off the chart").first).to_be_visible()
    watched.check()


@pytest.mark.slow
def test_names_of_another_program_fetch_nothing_when_hovered(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"hyperparameters?run={served.hostile}&trial=3")
    close(page)
    for number in range(page.locator("[data-testid=stVegaLiteChart] svg.marks").count()):
        for dot in chart(page, number).locator(".mark-symbol path").all()[:4]:
            dot.hover(force=True)
            page.evaluate("new Promise(requestAnimationFrame)")
    watched.check()


@pytest.mark.slow
def test_a_live_sweep_keeps_the_open_card_while_trials_end(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"hyperparameters?run={served.live}&trial=5")
    drawer = page.locator(DRAWER)
    expect(drawer).to_be_visible(timeout=WITHIN_MS)
    known.replace(served.uri, served.live, known.trials(30))
    expect(page.get_by_text("30 trials, coloured by")).to_be_attached(timeout=WITHIN_MS)
    expect(drawer.get_by_role("heading", name="Trial 5")).to_be_visible()
    close(page)
    known.replace(served.uri, served.live, known.trials(31))
    expect(page.get_by_text("31 trials, coloured by")).to_be_attached(timeout=WITHIN_MS)  # redrawn, and
    expect(drawer).to_have_count(0)
    watched.check()
