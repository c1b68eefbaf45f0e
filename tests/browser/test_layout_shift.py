"""Pages hold still while they are drawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.support import synthetic_ablation, synthetic_runs
from tests.support.browser import LAYOUT_SHIFTS, layout_shift
from tests.support.browsing import Watched

pytestmark = pytest.mark.browser

MOST = 0.1  # beyond what Streamlit itself shifts when the sidebar opens


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "curves", "confusion"])
def test_a_page_shifts_its_layout_hardly_while_it_opens(
    browser: Browser, address: str, tracking_uri: str, path: str
) -> None:
    synthetic_runs.sweep(tracking_uri, trials=30)
    synthetic_ablation.ablation(tracking_uri)
    watched = Watched(browser, address, alone=True)
    watched.page.set_viewport_size({"width": 1440, "height": 900})
    watched.page.add_init_script(LAYOUT_SHIFTS)
    # On a busy machine a browser may draw a page in other pieces, once in many times.
    assert any(layout_shift(watched.open(path)) < MOST for _ in range(3))
    watched.check()
