"""The dashboard in a real browser: charts are drawn, clicks work, and nothing leaves this machine."""

from __future__ import annotations

import shutil
import time
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from tests.support import synthetic_runs
from tests.support.browser import Dashboard, serving
from tests.support.browsing import CHART, WITHIN_MS, Watched, open_row
from tests.support.trained_sweep import DemoSweep
from trainer.tracking.schema import Artifact

pytestmark = pytest.mark.browser

PAGES = ["", "curves", "confusion", "embeddings"]


@pytest.fixture
def swept_address(dashboard: Dashboard, demo_sweep: DemoSweep) -> str:
    """The dashboard on a store that a real sweep has filled."""
    return dashboard.shows(demo_sweep.uri)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_a_real_sweep_draws_its_chart(
    browser: Browser, swept_address: str, path: str, theme: str
) -> None:
    watched = Watched(browser, swept_address, color_scheme=theme)
    page = watched.open(path)
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    watched.check()


class Served(NamedTuple):
    """A dashboard, and the runs that it shows."""

    address: str
    uri: str
    newer: str
    older: str
    hostile: str
    live: str
    report: str
    hostile_report: str


@pytest.fixture(scope="module")
def runs(module_store: str) -> dict[str, str]:
    uri, now = module_store, time.time()
    classes = [synthetic_runs.HOSTILE, "<img src=http://evil.example>"]
    return {
        "newer": synthetic_runs.sweep(uri, name="newer", rows=600, started=now - 1000),
        "older": synthetic_runs.sweep(uri, name="older", started=now - 5000),
        "hostile": synthetic_runs.sweep(
            uri, name=synthetic_runs.HOSTILE, classes=classes, started=now - 6000
        ),
        "live": synthetic_runs.sweep(
            uri, state="live", trials=6, started=now - 7000, heartbeat_age_s=synthetic_runs.LIVELY_S
        ),
        "report": synthetic_runs.extraction(uri),
        "hostile_report": synthetic_runs.extraction(uri, hostile=True, started=now - 8000),
    }


@pytest.fixture
def served(dashboard: Dashboard, module_store: str, runs: dict[str, str]) -> Served:
    return Served(dashboard.shows(module_store), module_store, **runs)


@pytest.mark.slow
def test_an_empty_store_shows_the_one_command(browser: Browser, tracking_uri: str) -> None:
    with serving(tracking_uri) as address:
        watched = Watched(browser, address)
        expect(watched.open("").get_by_text("make demo")).to_be_visible()
        watched.check()


def test_a_click_in_the_table_opens_that_sweep_on_every_page(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"?run={served.newer}")
    expect(page.get_by_role("heading", name="newer", exact=True)).to_be_visible()
    open_row(page, 1)
    expect(page.get_by_role("heading", name="older", exact=True)).to_be_visible(timeout=WITHIN_MS)
    assert f"run={served.older}" in page.url
    page.get_by_role("link", name="Confusion matrix", exact=True).click()
    expect(page.get_by_role("heading", name="Confusion matrix", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("[data-testid=stMain] [data-testid=stText]").first).to_have_text("older")
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    assert f"run={served.older}" in page.url
    watched.check()


def test_a_link_restores_the_controls(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"confusion?run={served.older}&split=val&head=best+linear")
    expect(page.get_by_role("radio", name="val", checked=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="Head")).to_have_value("best linear")
    watched.check()


def test_hovering_a_point_of_the_map_shows_its_image(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"embeddings?run={served.newer}")
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    image = page.locator("#vg-tooltip-element.visible img[src^='data:image/webp']")
    for step in range(200):  # a walk over the map until it meets a point
        across, down = 0.25 + 0.5 * (step % 20) / 20, 0.3 + 0.04 * (step // 20)
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        if image.count():
            break
    expect(image).to_be_visible()
    watched.check()


@pytest.mark.slow
def test_the_page_on_data_shows_pairs_extremes_and_the_chosen_measure(
    browser: Browser, served: Served
) -> None:
    watched = Watched(browser, served.address, color_scheme="dark")
    page = watched.open(f"quality?report={served.report}&measure=sharpness")
    main = page.locator("[data-testid=stMain]")
    expect(main.get_by_text("60 of 65 files used, 3 unusable, 1 label conflict")).to_be_visible()
    expect(main.get_by_text("Sharpness of 60 images")).to_be_visible(timeout=WITHIN_MS)
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    assert main.locator("img").count() >= 2 * 2 + 16
    page.get_by_role("radio", name="entropy").click()
    expect(main.get_by_text("Entropy of 60 images")).to_be_visible(timeout=WITHIN_MS)
    assert "measure=entropy" in page.url
    assert f"report={served.report}" in page.url
    watched.check()


@pytest.mark.slow
def test_hostile_names_fetch_nothing_and_run_nothing(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    watched.open(f"quality?report={served.hostile_report}")
    for path in PAGES:
        page = watched.open(f"{path}?run={served.hostile}")
        page.locator("[data-testid=stSidebar] input").click()
        expect(page.get_by_role("option")).to_have_count(4, timeout=WITHIN_MS)
        page.keyboard.press("Escape")
    watched.check()


@pytest.mark.slow
def test_a_live_sweep_redraws_itself_and_keeps_the_controls(browser: Browser, served: Served) -> None:
    watched = Watched(browser, served.address)
    page = watched.open(f"curves?run={served.live}&metric=validation+loss&group=state")  # 4 trials so far
    main = page.locator("[data-testid=stMain]")
    expect(main.get_by_text("4 trials in 2 groups")).to_be_visible(timeout=WITHIN_MS)
    folder = synthetic_runs.folder_of(
        synthetic_runs.MlflowClient(served.uri).get_run(served.live).info.artifact_uri
    )
    curves, trials = synthetic_runs.training(9, 2, 9)
    for name, frame in ((Artifact.CURVES, curves), (Artifact.TRIALS, trials)):
        frame.to_parquet(folder / "new")
        shutil.move(folder / "new", folder / name)
    expect(main.get_by_text("9 trials in 2 groups")).to_be_visible(timeout=WITHIN_MS)
    assert "group=state" in page.url
    assert "metric=validation+loss" in page.url
    watched.check()
