"""Runs are starred, tagged, renamed, put away and brought back with the mouse, and MLflow knows of it."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Page, expect

from tests.support import synthetic_runs
from tests.support.browser import Dashboard, settle
from tests.support.browsing import WITHIN_MS, Watched, tick
from trainer.tracking.schema import Tag

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).last.click()
    settle(page)


def test_a_run_is_starred_tagged_renamed_archived_and_restored(
    browser: Browser, dashboard: Dashboard, tracking_uri: str
) -> None:
    run_id = synthetic_runs.sweep(tracking_uri, study="candidate")
    client = MlflowClient(tracking_uri)
    watched = Watched(browser, dashboard.shows(tracking_uri))
    page = watched.open("runs")
    tick(page, 0)
    press(page, "Star")
    assert Tag.STAR in client.get_run(run_id).data.tags

    press(page, "Tag")
    page.get_by_label("New tag").fill("stage=candidate")
    page.keyboard.press("Enter")
    settle(page)
    press(page, "Add")
    assert client.get_run(run_id).data.tags["stage"] == "candidate"

    page.keyboard.press("Escape")
    press(page, "Rename")
    page.get_by_role("textbox", name="Name", exact=True).fill("the one")
    page.keyboard.press("Enter")
    settle(page)
    press(page, "Save name")
    assert client.get_run(run_id).info.run_name == "the one"

    page.keyboard.press("Escape")
    press(page, "Archive")
    expect(page.get_by_text("No run fits.")).to_be_visible(timeout=WITHIN_MS)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"

    page = watched.open("runs?archived=true")
    tick(page, 0)
    press(page, "Restore")
    expect(page.get_by_text("No archived run.")).to_be_visible(timeout=WITHIN_MS)
    assert client.get_run(run_id).info.lifecycle_stage == "active"
    watched.check()


def test_ticked_runs_lead_to_their_comparison(
    browser: Browser, dashboard: Dashboard, tracking_uri: str
) -> None:
    ids = {synthetic_runs.sweep(tracking_uri, study=study) for study in ("first", "second")}
    watched = Watched(browser, dashboard.shows(tracking_uri))
    page = watched.open("runs")
    tick(page, 0, 1)
    page.get_by_role("link", name="Compare 2 runs").click()
    page.get_by_text("Settings that differ").first.wait_for(timeout=WITHIN_MS)
    assert all(run_id in page.url for run_id in ids)
    watched.check()
