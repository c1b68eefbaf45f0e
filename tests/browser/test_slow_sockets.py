"""Clients that never finish what they ask: other people's pages open meanwhile, and nobody else is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import hostile_store, network
from tests.support.browser import serving
from tests.support.browsing import Watched
from tests.support.slow_sockets import STEP_S, run_of_a_page, slow_sockets

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_pages_full_of_traps_open_for_others_while_slow_clients_hold_on(
    browser: Browser, tracking_uri: str, tmp_path: Path
) -> None:
    hostile_store.spring(tracking_uri)
    record = tmp_path / "record"
    with serving(tracking_uri, record=record) as address:
        watched = Watched(browser, address, alone=True)
        watched.open("")
        with slow_sockets(address, requests=20, websockets=20) as held:
            watched.page.wait_for_timeout(
                2 * STEP_S * 1000
            )  # each has asked, and the other site's page has tried
            for path in ("confusion", "curves"):
                run_of_a_page(address, path)
                watched.open(path)
                watched.check()
        assert held.opened - held.closed == 40
        assert held.refused
    assert network.strangers(record) == []
