"""A store full of traps: every page shows them as text, fetches nothing, runs nothing, and stands."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser

from tests.support import synthetic_runs
from tests.support.browser import Dashboard
from tests.support.browsing import Watched
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Samples

pytestmark = pytest.mark.browser

MORE = ("curves", "hyperparameters", "embeddings", "ablation", "tryit", "quality")
PAGES = ["", "confusion", *(pytest.param(path, marks=pytest.mark.slow) for path in MORE)]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PICTURE = "![x](http://evil.example/x.png) [y](javascript:alert(3)) <http://evil.example>"
BACKWARDS = "\u202egnp.exe\u2066 \u200f\u0000abc".replace("\u0000", "\u0001")
LONG = "long " * 2048  # 10 kB
JUNK = bytes(range(1, 256)).decode("latin-1")
TRAPS = [SCRIPT, PICTURE, BACKWARDS, LONG, JUNK]


def spring(uri: str) -> None:
    """A sweep and an extraction in which everything that comes from outside is a trap."""
    classes = [SCRIPT, PICTURE, BACKWARDS, LONG[:2000], JUNK, ":red[c]", "$$x$$", "a|b", "`c`", "# d"]
    run_id = synthetic_runs.sweep(uri, name=LONG, study=PICTURE, classes=classes)
    synthetic_runs.sweep(uri, name=PICTURE, classes=classes)
    synthetic_runs.extraction(uri, hostile=True)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    for number, trap in enumerate(TRAPS):
        name = f"{PARAM_PREFIX}{trap[:300]}"
        trials[name] = [TRAPS[(row + number) % len(TRAPS)] for row in range(len(trials))]
    trials.to_parquet(folder / Artifact.TRIALS)
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    samples[Samples.CAPTION] = [TRAPS[row % len(TRAPS)] for row in range(len(samples))]
    samples[Samples.GROUP] = samples[Samples.CAPTION].iloc[::-1].to_numpy()
    samples.to_parquet(folder / Artifact.SAMPLES)


@pytest.fixture(scope="module")
def sprung(module_store: str) -> str:
    """Id of the sweep that is named by a trap."""
    spring(module_store)
    found = MlflowClient(module_store).search_runs(["0", "1"])
    return next(one.info.run_id for one in found if one.info.run_name == PICTURE)


@pytest.fixture
def trapped(dashboard: Dashboard, module_store: str, sprung: str) -> tuple[str, str]:
    return dashboard.shows(module_store), sprung


@pytest.mark.parametrize("path", PAGES)
def test_a_page_full_of_traps_renders_and_springs_none(
    browser: Browser,
    trapped: tuple[str, str],
    path: str,
) -> None:
    address, run_id = trapped
    for query in ("", f"?run={run_id}", f"?run={SCRIPT}&trial={SCRIPT}&label={PICTURE}&colour={SCRIPT}"):
        watched = Watched(browser, address)
        page = watched.open(path + query)
        assert page.locator("[data-testid=stHeading]").count()
        links = page.evaluate("[...document.links].map(link => link.href)")
        assert [link for link in links if not link.startswith(address)] == []
        images = page.evaluate("[...document.images].map(image => image.src)")
        assert [link for link in images if not link.startswith((address, "data:image/"))] == []
        watched.check()
        watched.leave()
