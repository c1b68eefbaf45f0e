"""A report in a browser that has no network: all of it is there, for everybody, whatever the names are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Route

from dashboard.reports.report import report, reported
from dashboard.runs.store import Store
from tests.support import commands, hostile_store, synthetic_comparison, synthetic_runs
from tests.support.accessibility import serious_findings
from trainer.tracking.schema import Kind

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DRAWN = "figure .drawn :is(svg.marks, canvas.marks)"
SPECIFIED = "script.chart"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Opened(NamedTuple):
    page: Page
    asked: list[str]  # of other places than the file itself
    errors: list[str]


@pytest.fixture
def offline(browser: Browser) -> Iterator[Opened]:
    """A page that remembers what it asks for, and gets nothing."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    opened = Opened(page, [], [])

    def answer(route: Route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
            return
        opened.asked.append(route.request.url)
        route.abort()

    page.route("**/*", answer)
    page.on("console", lambda said: opened.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on("dialog", lambda dialog: opened.errors.append(dialog.message))
    yield opened
    page.context.close()


def written(uri: str, folder: Path, *run_ids: str) -> Path:
    store = Store(uri)
    file = folder / "report.html"
    file.write_text(report(store, reported(store, run_ids, experiment="headroom"), now=NOW), encoding="utf-8")
    return file


def check(opened: Opened, file: Path) -> None:
    """All charts are drawn, nothing is asked for, nothing is wrong for anybody, in no theme or width."""
    page = opened.page
    page.goto(file.as_uri())
    charts = page.locator(SPECIFIED).count()
    assert charts
    page.wait_for_function(f"document.querySelectorAll('{DRAWN}').length === {charts}")
    assert serious_findings(page, None) == set()
    page.emulate_media(color_scheme="dark")
    assert serious_findings(page, ["color-contrast"]) == set()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert (opened.asked, opened.errors) == ([], [])


@pytest.mark.parametrize("kind", [Kind.SWEEP, Kind.FUSION])
def test_a_report_is_whole_without_a_network(
    offline: Opened, tracking_uri: str, tmp_path: Path, kind: Kind
) -> None:
    if kind == Kind.SWEEP:
        run_id = synthetic_runs.sweep(tracking_uri, classes=["ant", "bee", "cat"])
    else:
        run_id = synthetic_comparison.run(tracking_uri, kind)
    check(offline, written(tracking_uri, tmp_path, run_id))


def test_a_report_full_of_traps_springs_none(offline: Opened, tracking_uri: str, tmp_path: Path) -> None:
    run_id = hostile_store.spring(tracking_uri).named
    methods = synthetic_comparison.run(tracking_uri, Kind.ENCODERS, hostile=synthetic_runs.HOSTILE)
    for one in (run_id, methods):
        check(offline, written(tracking_uri, tmp_path, one))


def test_the_pdf_is_printed_with_its_charts(browser: Browser, tracking_uri: str, tmp_path: Path) -> None:
    synthetic_runs.sweep(tracking_uri)
    for name in ("report.html", "report.pdf"):
        done = commands.run(
            "trainer.report", "digits", "--tracking-uri", tracking_uri, "--out", tmp_path / name
        )
        assert done.returncode == 0, done.stderr
    html, pdf = (tmp_path / name for name in ("report.html", "report.pdf"))
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size > 50_000  # text alone takes less
    assert html.stat().st_size < 5_000_000
