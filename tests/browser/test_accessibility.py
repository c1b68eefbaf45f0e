"""Every page of finished runs for everybody: no serious finding of axe-core, nothing beyond the edge of a
telephone, no error in the console."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from dashboard.ui.pages import HOME, PAGES
from tests.support import synthetic_comparison, synthetic_runs, synthetic_verification, trained_ablation
from tests.support.browser import Dashboard, settle
from tests.support.browsing import MAIN, Watched
from trainer.tracking.schema import Kind

pytestmark = pytest.mark.browser

PATHS = [*("" if page is HOME else page.view for page in PAGES), "tryit?source=test+row"]
OFTEN = ("", "confusion", "embeddings")  # tested by make test, too
SERIOUS = ("serious", "critical")
BRUSH = "_brush"  # the rectangle that Vega draws where people drag: empty, and out of reach of a label


@pytest.fixture(scope="module")
def store(ablated: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a run of every kind."""
    uri = trained_ablation.copied(ablated[0], tmp_path_factory.mktemp("filled") / "copy")
    synthetic_runs.sweep(uri)
    synthetic_runs.extraction(uri)
    synthetic_verification.verification(uri)
    for kind in (Kind.ZERO_SHOT, Kind.FUSION, Kind.ENCODERS):
        synthetic_comparison.run(uri, kind)
    return uri


@pytest.fixture
def filled(dashboard: Dashboard, store: str) -> str:
    return dashboard.shows(store)


@pytest.mark.parametrize(
    "path", [pytest.param(one, marks=() if one in OFTEN else pytest.mark.slow) for one in PATHS]
)
def test_a_page_is_for_everybody_in_light_in_dark_and_on_a_telephone(
    browser: Browser, filled: str, path: str
) -> None:
    watched = Watched(browser, filled)
    page = watched.open(path)
    background = []
    for theme, rules in (("light", None), ("dark", ["color-contrast"])):  # all else is the same in both
        page.emulate_media(color_scheme=theme)
        settle(page)
        background.append(
            page.locator("[data-testid=stApp]").evaluate("node => getComputedStyle(node).backgroundColor")
        )
        assert serious_findings(page, rules) == set(), theme
    assert background[0] != background[1]
    page.set_viewport_size({"width": 390, "height": 800})  # of a telephone
    settle(page)
    wide, seen = (
        page.locator(MAIN).evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth")
    )
    assert wide <= seen + 1
    watched.check()


def serious_findings(page: Page, rules: list[str] | None) -> set[str]:
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    return {
        f"{one['id']}: {node['html'][:200]}"
        for one in Axe().run(page, options=options).response["violations"]
        for node in one["nodes"]
        if one["impact"] in SERIOUS and BRUSH not in node["html"]
    }
