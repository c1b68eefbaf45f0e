"""A label in doubt is corrected with mouse and keys, trained with, and compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from dashboard.ui.label_corrections import FOLDER
from tests.support import commands
from tests.support.browser import Dashboard, settle
from tests.support.browsing import LIST_MS, Watched
from tests.support.trained_sweep import DemoSweep
from trainer.core import corrections
from trainer.core.corrections import Action

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LIST, TRIES = "#portal input", 5  # of a cell that is edited
LABEL, FIRST_ROW = 0.17, 55  # of the table: where the column of labels is, and its first row in pixels


def given_a_label(page: Page, name: str) -> bool:
    """Give the row whose label is chosen another one, by keys; False where the list did not open in time, as
    on a busy machine."""
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    try:
        page.locator(LIST).wait_for(timeout=LIST_MS)
    except TimeoutError:
        page.keyboard.press("Escape")
        return False
    for key in (*name, "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    settle(page)
    return page.get_by_role("button", name="Save 1 correction").count() > 0


def test_a_label_is_corrected_trained_with_and_compared(
    browser: Browser, dashboard: Dashboard, demo_sweep: DemoSweep, demo_cache: Path, tmp_path: Path
) -> None:
    shutil.copyfile(demo_sweep.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    watched = Watched(browser, dashboard.shows(uri))
    page = watched.open("confusion")
    page.get_by_text("Correct these labels").last.click()
    settle(page)
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    for _ in range(TRIES):
        page.mouse.click(box["x"] + LABEL * box["width"], box["y"] + FIRST_ROW)
        if given_a_label(page, "flag"):
            break
    page.get_by_role("button", name="Save 1 correction").last.click()
    page.get_by_text("On record: 1 relabelled, 0 dropped").last.wait_for()
    watched.check()
    (path,) = (tmp_path / FOLDER).glob("*.csv")
    (written,) = corrections.read(path)
    assert (written.new, written.action) == ("flag", Action.RELABEL)

    flags = ("--trials", 4, "--seeds", 1, "--fresh-seeds", 0, "--device", "cpu", "--study", "corrected")
    swept = commands.run(
        *("trainer.sweep", "--data", "demo", "--encoder", "demo", *flags, "--corrections", path),
        *("--tracking-uri", uri, "--cache-dir", demo_cache),
    )
    assert swept.returncode == 0, swept.stderr
    assert "1 relabelled, 0 dropped" in " ".join(swept.stderr.split())
    page = watched.open("compare")
    page.get_by_text("corrected vs").first.wait_for()
    assert "Settings that differ" in page.inner_text("body")
    watched.check()
