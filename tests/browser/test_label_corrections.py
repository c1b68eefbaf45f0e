"""A label in doubt is corrected with mouse and keys, trained with, and compared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from dashboard.runs import launcher
from dashboard.runs.launcher import ALLOWED
from dashboard.ui.label_corrections import BY_KEY, FOLDER, TITLE
from tests.support.browser import serving, settle
from tests.support.browsing import LIST_MS, Watched
from tests.support.trained_sweep import DemoSweep
from trainer.core import corrections
from trainer.core.corrections import Action

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TRAIN_MS = 200_000  # what a sweep of four trials may take on a busy machine
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
    browser: Browser, demo_sweep: DemoSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "1")
    shutil.copyfile(demo_sweep.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with serving(uri) as address:
        watched = Watched(browser, address)
        page = watched.open("confusion")
        for gallery in (page.get_by_text(TITLE).first, page.get_by_text(TITLE).last):
            gallery.click()
            settle(page)
            assert page.get_by_role("button", name=BY_KEY).count() == 1  # one gallery is open at a time
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
        page.get_by_role("button", name="Train with them").last.click()
        page.get_by_role("link", name="Running:").last.click()
        page.get_by_text("Finished:").wait_for(timeout=TRAIN_MS)
        (job,) = launcher.jobs(tmp_path / launcher.FOLDER)
        assert "1 relabelled, 0 dropped" in (job.folder / launcher.LOG).read_text()
        page.get_by_role("link", name="Did the corrections help?").click()
        page.get_by_text(re.compile(r"demo-.* vs .*demo-")).first.wait_for()  # long names are cut
        page.get_by_text("Settings that differ").wait_for()
        assert f"base={job.baseline}" in page.url
        assert "unpaired" not in page.inner_text("body")  # the same test rows
        watched.check()
        watched.leave()
