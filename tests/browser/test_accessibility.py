"""Every page of finished runs for everybody: no serious finding of axe-core, nothing beyond the edge of a
telephone, no error in the console."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from dashboard.ui.pages import HOME, PAGES, RUNS
from tests.support import (
    synthetic_answers,
    synthetic_comparison,
    synthetic_numbers,
    synthetic_runs,
    synthetic_verification,
    trained_ablation,
)
from tests.support.accessibility import check
from tests.support.browser import Dashboard
from tests.support.browsing import Watched, tick
from trainer.tracking.schema import Kind

pytestmark = pytest.mark.browser

PATHS = [
    *("" if page is HOME else page.view for page in PAGES),
    "tryit?source=test+row",
    "compare?runs={older},{newer},gone",
    "compare?runs={numbers}",
    "confusion?run={older}",  # with slices
]
OFTEN = ("", "confusion", "embeddings")  # tested by make test, too


class Filled(NamedTuple):
    """A store with a run of every kind, and ids of some, as `PATHS` name them."""

    uri: str  # once it is served, the dashboard's address
    ids: dict[str, str]


@pytest.fixture(scope="module")
def store(ablated: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Filled:
    uri = trained_ablation.copied(ablated[0], tmp_path_factory.mktemp("filled") / "copy")
    older, newer = synthetic_answers.pair(uri)
    numbers = [
        synthetic_numbers.sweep(uri, study=f"error {error}", error=error, started=time.time() - 9000)
        for error in (2, 9)
    ]
    synthetic_runs.sweep(uri)
    synthetic_runs.extraction(uri)
    synthetic_verification.verification(uri)
    for kind in (Kind.ZERO_SHOT, Kind.FUSION, Kind.ENCODERS):
        synthetic_comparison.run(uri, kind)
    return Filled(uri, {"older": older, "newer": newer, "numbers": ",".join(numbers)})


@pytest.fixture
def filled(dashboard: Dashboard, store: Filled) -> Filled:
    return store._replace(uri=dashboard.shows(store.uri))


@pytest.mark.parametrize(
    "path", [pytest.param(one, marks=() if one in OFTEN else pytest.mark.slow) for one in PATHS]
)
def test_a_page_is_for_everybody_in_light_in_dark_and_on_a_telephone(
    browser: Browser, filled: Filled, path: str
) -> None:
    watched = Watched(browser, filled.uri)
    page = watched.open(path.format(**filled.ids))
    if path == RUNS.view:
        tick(page, 0)  # for the buttons that write
    check(page)
    watched.check()
