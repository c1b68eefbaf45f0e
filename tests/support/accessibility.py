"""Whether a page is for everybody: axe-core in both themes, and the width of a telephone."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.support.browser import settle
from tests.support.browsing import MAIN

SERIOUS = ("serious", "critical")
BRUSH = "_brush"  # the rectangle that Vega draws where people drag: empty, and out of reach of a label


def check(page: Page) -> None:
    """See that an open page has no serious finding in light and in dark, and that nothing lies beyond the
    edge of a telephone. The page is as wide as a telephone afterwards."""
    background = []
    for theme, rules in (("light", None), ("dark", ["color-contrast"])):  # all else is the same in both
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        settle(page)
        background.append(
            page.locator("[data-testid=stApp]").evaluate("node => getComputedStyle(node).backgroundColor")
        )
        assert serious_findings(page, rules) == set(), theme
    assert background[0] != background[1]
    page.set_viewport_size({"width": 390, "height": 800})
    settle(page)
    wide, seen = (
        page.locator(MAIN).evaluate(f"node => node.{name}") for name in ("scrollWidth", "clientWidth")
    )
    assert wide <= seen + 1


def serious_findings(page: Page, rules: list[str] | None) -> set[str]:
    """The serious findings of axe-core's rules, or of all of them."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    return {
        f"{one['id']}: {node['html'][:200]}"
        for one in Axe().run(page, options=options).response["violations"]
        for node in one["nodes"]
        if one["impact"] in SERIOUS and BRUSH not in node["html"]
    }
