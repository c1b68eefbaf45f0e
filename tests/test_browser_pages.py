"""The dashboard in a real browser: charts are drawn, clicks work, and nothing leaves this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stores
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from scripts.screenshots import find_browser, serving, settle
from trainer.tracking.schema import Artifact

pytestmark = pytest.mark.browser

REPO = Path(__file__).resolve().parents[1]
PAGES = ["", "curves", "confusion", "embeddings"]
CHART = "[data-testid=stVegaLiteChart] :is(canvas, svg.marks)"
WITHIN_MS = 30_000


@pytest.fixture(scope="session")
def swept_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that a real sweep has filled."""
    folder = tmp_path_factory.mktemp("swept")
    uri = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, "-m", "trainer.sweep", "--data", "demo", "--trials", "8", "--seeds", "2"]
    command += ["--tracking-uri", uri, "--cache-dir", str(folder / "cache")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return uri


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("No Chromium in CI, so the pages would go untested.")
        pytest.skip("no Chromium here: the pages go untested")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


class Watched:
    """A page that remembers what must not happen: errors in the console, requests to other machines."""

    def __init__(self, browser: Browser, address: str, **options: str) -> None:
        self.address, self.errors, self.strangers = address, [], []  # type: ignore[var-annotated]
        self.page: Page = browser.new_page(viewport={"width": 1400, "height": 1000}, **options)  # type: ignore[arg-type]
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._see(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        # On a deep link Streamlit first asks for its health below the page's own path, in vain.
        if message.type == "error" and "_stcore" not in message.location.get("url", ""):
            self.errors.append(message.text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.strangers.append(url)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.address}/{path}")
        settle(self.page)
        return self.page

    def check(self) -> None:
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert self.errors == []
        assert self.strangers == []


@pytest.fixture(scope="module")
def swept_address(swept_store: str) -> Iterator[str]:
    with serving(swept_store) as address:
        yield address


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_a_real_sweep_draws_its_chart(
    browser: Browser, swept_address: str, path: str, theme: str
) -> None:
    watched = Watched(browser, swept_address, color_scheme=theme)
    page = watched.open(path)
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    watched.check()
    page.close()


@pytest.fixture
def address(tracking_uri: str) -> Iterator[str]:
    with serving(tracking_uri) as address:
        yield address


def test_an_empty_store_shows_the_one_command(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    expect(watched.open("").get_by_text("make demo")).to_be_visible()
    watched.check()


def test_a_click_in_the_table_opens_that_sweep_on_every_page(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    old = stores.sweep(tracking_uri, name="older", started=time.time() - 5000)
    stores.sweep(tracking_uri, name="newer", started=time.time() - 1000)
    watched = Watched(browser, address)
    page = watched.open("")
    expect(page.get_by_role("heading", name="newer", exact=True)).to_be_visible()
    table = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    assert table is not None
    row = table["height"] / 3  # a header and two rows
    page.mouse.click(table["x"] + 15, table["y"] + 2.5 * row)
    expect(page.get_by_role("heading", name="older", exact=True)).to_be_visible(timeout=WITHIN_MS)
    assert f"run={old}" in page.url
    page.get_by_role("link", name="Confusion matrix", exact=True).click()
    expect(page.get_by_role("heading", name="Confusion matrix", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("[data-testid=stMain] [data-testid=stText]").first).to_have_text("older")
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    assert f"run={old}" in page.url
    watched.check()


def test_a_link_restores_the_controls(browser: Browser, address: str, tracking_uri: str) -> None:
    run_id = stores.sweep(tracking_uri)
    watched = Watched(browser, address)
    page = watched.open(f"confusion?run={run_id}&split=val&head=best+linear")
    expect(page.get_by_role("radio", name="val", checked=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="Head")).to_have_value("best linear")
    watched.check()


def test_hovering_a_point_of_the_map_shows_its_picture(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    stores.sweep(tracking_uri, rows=600)
    watched = Watched(browser, address)
    page = watched.open("embeddings")
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    picture = page.locator("#vg-tooltip-element.visible img[src^='data:image/webp']")
    for step in range(200):  # a walk over the map until it meets a point
        across, down = 0.25 + 0.5 * (step % 20) / 20, 0.3 + 0.04 * (step // 20)
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        if picture.count():
            break
    expect(picture).to_be_visible()
    watched.check()


def test_the_page_on_data_shows_pairs_extremes_and_the_chosen_measure(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    run_id = stores.extraction(tracking_uri)
    watched = Watched(browser, address, color_scheme="dark")
    page = watched.open(f"quality?report={run_id}&measure=sharpness")
    main = page.locator("[data-testid=stMain]")
    expect(main.get_by_text("found 65 = used 60 + quarantined 3 + dropped duplicates 2")).to_be_visible()
    expect(main.get_by_text("Sharpness of 60 pictures")).to_be_visible(timeout=WITHIN_MS)
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    assert main.locator("img").count() >= 2 * 2 + 16
    page.get_by_role("radio", name="entropy").click()
    expect(main.get_by_text("Entropy of 60 pictures")).to_be_visible(timeout=WITHIN_MS)
    assert "measure=entropy" in page.url
    assert f"report={run_id}" in page.url
    watched.check()


def test_hostile_names_fetch_nothing_and_run_nothing(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    stores.sweep(tracking_uri, name=stores.HOSTILE, classes=[stores.HOSTILE, "<img src=http://evil.example>"])
    stores.extraction(tracking_uri, hostile=True)
    watched = Watched(browser, address)
    watched.open("quality")
    for path in PAGES:
        page = watched.open(path)
        page.locator("[data-testid=stSidebar] input").click()
        page.wait_for_timeout(300)
        page.keyboard.press("Escape")
    watched.check()


def test_a_live_sweep_redraws_itself_and_keeps_the_controls(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    run_id = stores.sweep(tracking_uri, state="live", trials=6, heartbeat_age_s=-3600)  # 4 trials so far
    watched = Watched(browser, address)
    page = watched.open("curves?metric=validation+loss&group=state")
    main = page.locator("[data-testid=stMain]")
    expect(main.get_by_text("n = 4 in 2 groups")).to_be_visible(timeout=WITHIN_MS)
    folder = stores.folder_of(stores.MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri)
    curves, trials = stores.training(9, 2, 9)
    for name, frame in ((Artifact.CURVES, curves), (Artifact.TRIALS, trials)):
        frame.to_parquet(folder / "new")
        shutil.move(folder / "new", folder / name)
    expect(main.get_by_text("n = 9 in 2 groups")).to_be_visible(timeout=WITHIN_MS)
    assert "group=state" in page.url
    assert "metric=validation+loss" in page.url
    watched.check()
