"""What a person does from beginning to end: shows a mistake to a colleague, follows a real sweep."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from playwright.sync_api import Browser, Page, expect

from tests.commands.test_sweep import QUICK, features_file, first_commit
from tests.support import synthetic_answers, synthetic_runs
from tests.support.browser import settle
from tests.support.browsing import CHART, MAIN, WITHIN_MS, Watched, open_row
from tests.support.paths import REPO
from trainer.tracking.schema import HEARTBEAT_LOST_S, Artifact, Kind, Predictions, Tag

pytestmark = pytest.mark.browser


def worst_confusion(uri: str, run_id: str) -> tuple[str, str, int]:
    """Label, answer and count of the most frequent mistake of the best head on the test rows."""
    folder = synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri)
    rows = pd.read_parquet(folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'test'")
    wrong = rows[rows[Predictions.LABEL] != rows[Predictions.PRED]]
    counts = wrong.groupby([Predictions.LABEL, Predictions.PRED]).size().sort_values()
    assert counts.iloc[-1] > counts.iloc[-2]
    return (*counts.index[-1], int(counts.iloc[-1]))


@pytest.mark.slow
def test_the_worst_confusion_of_a_sweep_is_found_from_home_lit_in_the_map_and_the_same_for_a_colleague(
    browser: Browser, address: str, tracking_uri: str
) -> None:
    run_id = synthetic_answers.sweep(tracking_uri, rows=600, seed=5, name="mine", started=time.time() - 5000)
    synthetic_runs.sweep(tracking_uri, name="another", started=time.time() - 1000)
    label, pred, count = worst_confusion(tracking_uri, run_id)
    watched = Watched(browser, address)
    page = watched.open("")
    main = page.locator(MAIN)
    open_row(page, 1)
    expect(page.get_by_role("heading", name="mine", exact=True)).to_be_visible(timeout=WITHIN_MS)
    settle(page)  # the links to the other pages carry the choice once all is drawn

    page.get_by_role("link", name="Confusion matrix", exact=True).click()
    expect(page.get_by_role("heading", name="Confusion matrix", exact=True)).to_be_visible()
    settle(page)
    worst = page.get_by_role("radio", name=re.compile(" → ")).first
    expect(worst).to_have_text(re.compile(f"{label} → {pred}.*{count}"))
    page.locator(f'path[aria-label^="{label} taken for {pred}:"]').first.click(force=True)
    expect(page).to_have_url(re.compile("[?&]label="), timeout=WITHIN_MS)
    expect(main.get_by_text(f"{label} → {pred}", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(main.locator("img")).to_have_count(count, timeout=WITHIN_MS)

    page.get_by_role("link", name="See them on the map").click()
    lit = main.get_by_text("matches, ")
    expect(lit).to_have_text(re.compile(rf"^{count} matches, "), timeout=WITHIN_MS)
    page.locator(CHART).first.wait_for(timeout=WITHIN_MS)
    expect(main.locator("img")).to_have_count(count, timeout=WITHIN_MS)
    settle(page)

    colleague = Watched(browser, address, alone=True)  # without cookies or storage of the first
    theirs = colleague.open(page.url.removeprefix(f"{address}/"))
    expect(theirs.locator(MAIN).get_by_text("matches, ")).to_have_text(lit.inner_text())
    expect(theirs.locator(MAIN).locator("img")).to_have_count(count)
    assert theirs.locator(MAIN).inner_text() == main.inner_text()
    watched.check()
    colleague.check()


@pytest.fixture
def sweeping(tracking_uri: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real sweep that will not end by itself, with a trial on record."""
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(QUICK))
    command = [sys.executable, "-m", "trainer.sweep", "--data", str(features_file(tmp_path / "rows.npz"))]
    command += ["--trials", "100000", "--seeds", "2", "--at-once", "4", "--study", "cats & dogs"]
    command += ["--device", "cpu", "--space", str(space), "--cache-dir", str(tmp_path / "cache")]
    command += ["--tracking-uri", tracking_uri]
    process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL)
    try:
        first_commit(MlflowClient(tracking_uri))
        yield process
    finally:
        process.kill()
        process.wait()


def trials_shown(page: Page) -> int:
    told = page.get_by_text("as they finished, means over")
    found = re.search(r"Dots: ([\d,]+) trial", told.inner_text(timeout=WITHIN_MS))
    assert found is not None
    return int(found[1].replace(",", ""))


@pytest.mark.slow
@pytest.mark.kill
def test_a_sweep_is_seen_to_grow_and_once_it_was_killed_the_page_says_how_to_go_on(
    browser: Browser, address: str, tracking_uri: str, sweeping: subprocess.Popen[bytes]
) -> None:
    watched = Watched(browser, address)
    page = watched.open("")
    main = page.locator(MAIN)
    expect(main.get_by_text("Live, updates")).to_be_visible(timeout=WITHIN_MS)
    before = trials_shown(page)
    expect(page.get_by_text(f"Dots: {before:,} trial")).to_have_count(0, timeout=WITHIN_MS)
    grown = trials_shown(page)
    assert grown > before
    assert sweeping.poll() is None

    sweeping.kill()
    sweeping.wait()
    client = MlflowClient(tracking_uri)
    (run,) = client.search_runs(
        [one.experiment_id for one in client.search_experiments()], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'"
    )
    assert run.info.status == "RUNNING"  # nobody was left to say how it ended
    long_ago = float(run.data.tags[Tag.HEARTBEAT]) - 2 * HEARTBEAT_LOST_S  # as if a person came back later
    client.set_tag(run.info.run_id, Tag.HEARTBEAT, str(long_ago))
    for path in ("", f"curves?run={run.info.run_id}"):
        if path:
            watched.open(path)
        expect(main.get_by_text("Interrupted.")).to_be_visible(timeout=WITHIN_MS)
        expect(main.get_by_text("Its process stopped unexpectedly")).to_be_visible()
        expect(main.locator("[data-testid=stCode]").first).to_have_text(run.data.tags[Tag.COMMAND])
    watched.open("")
    assert trials_shown(page) >= grown
    watched.check()
