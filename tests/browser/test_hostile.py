"""A store full of traps: every page shows them as text, fetches nothing, runs nothing, and stands."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support import hostile_store
from tests.support.browser import Dashboard
from tests.support.browsing import Watched
from tests.support.hostile_store import PICTURE, SCRIPT, Sprung

pytestmark = pytest.mark.browser

MORE = (
    *("curves", "hyperparameters", "embeddings", "ablation", "tryit", "quality", "search"),
    *("compare", "runs", "start"),
)
ASKED = ("run", "trial", "runs", "base", "pair", "said", "only", "slice", "find", "data")  # of many pages
PAGES = ["", "confusion", *(pytest.param(path, marks=pytest.mark.slow) for path in MORE)]


@pytest.fixture(scope="module")
def sprung(module_store: str) -> Sprung:
    return hostile_store.spring(module_store)


@pytest.fixture
def trapped(dashboard: Dashboard, module_store: str, sprung: Sprung) -> tuple[str, Sprung]:
    return dashboard.shows(module_store), sprung


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_a_page_full_of_traps_renders_and_springs_none(
    browser: Browser,
    trapped: tuple[str, Sprung],
    path: str,
) -> None:
    address, (named, other) = trapped
    wild = "&".join(f"{name}={SCRIPT}" for name in ASKED)
    for query in ("", f"?run={named}&runs={other},{named}", f"?{wild}&label={PICTURE}&colour={SCRIPT}"):
        watched = Watched(browser, address)
        page = watched.open(path + query)
        assert page.locator("[data-testid=stHeading]").count()
        links = page.evaluate("[...document.links].map(link => link.href)")
        assert [link for link in links if not link.startswith(address)] == []
        images = page.evaluate("[...document.images].map(image => image.src)")
        assert [link for link in images if not link.startswith((address, "data:image/"))] == []
        watched.check()
        watched.leave()
