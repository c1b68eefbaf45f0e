"""A sweep is started, stopped, resumed and finished to its exact budget with the mouse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser

from dashboard.runs import launcher
from dashboard.runs.launcher import ALLOWED
from dashboard.runs.store import Store
from tests.support.accessibility import check
from tests.support.browser import serving
from tests.support.browsing import Watched
from trainer.tracking.schema import Artifact, RunState

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TRIALS, ROWS, CLASSES, LENGTH = 48, 240, 4, 24
WORK_MS = 280_000  # what a sweep may take on a busy machine


def features(path: Path) -> Path:
    """Write vectors of overlapping classes, as a file of precomputed features."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, LENGTH))
    arrays = {}
    for split in ("train", "val", "test"):
        label = np.arange(ROWS) % CLASSES
        noise = 2 * generator.normal(size=(ROWS, LENGTH))
        arrays[f"{split}_x"] = (centres[label] + noise).astype(np.float32)
        arrays[f"{split}_y"] = label
    np.savez(path, **arrays)
    return path


def test_a_sweep_is_started_stopped_resumed_and_finished_to_the_exact_budget(
    browser: Browser, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = features(tmp_path / "features.npz")
    home, store = tmp_path / launcher.FOLDER, Store(tracking_uri)
    with serving(tracking_uri) as address:
        watched = Watched(browser, address)
        page = watched.open(f"start?data={data}&trials={TRIALS}&seeds=2")
        page.get_by_role("button", name="Start", exact=True).dblclick()
        page.get_by_text("trials done").wait_for(timeout=WORK_MS)  # the first trials are on record
        assert len(launcher.jobs(home)) == 1
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("Stopped; finished trials are saved").wait_for(timeout=WORK_MS)
        check(page)
        page.set_viewport_size({"width": 1400, "height": 1000})
        (info,) = store.every()
        assert info.state is RunState.INTERRUPTED
        before = store.table(info.run_id, Artifact.TRIALS)
        assert before is not None
        assert 0 < len(before) < TRIALS
        page.get_by_role("button", name="Resume").click()
        page.get_by_text("Running:").wait_for()
        page.get_by_text("Finished:").wait_for(timeout=WORK_MS)
        page.get_by_role("link", name="Open the run").click()
        page.get_by_text(f"{TRIALS} of {TRIALS}").or_(page.get_by_text("Test macro-F1")).first.wait_for()
        watched.check()
        watched.leave()
    (done,) = store.every()
    assert (done.run_id, done.state) == (info.run_id, RunState.DONE)
    trials = store.table(done.run_id, Artifact.TRIALS)
    assert trials is not None
    assert trials["trial"].tolist() == [*range(TRIALS)]
    ended = before[before["state"] != "running"].set_index("trial")
    again = trials.set_index("trial").loc[ended.index]
    pd.testing.assert_series_equal(ended["val_f1_macro"], again["val_f1_macro"])  # kept, not run again
