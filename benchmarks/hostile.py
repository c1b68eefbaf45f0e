"""The dashboard on a store full of traps, with clients that never finish: ``python benchmarks/hostile.py``.

Builds a store in which every name, caption and value is a trap, and opens its pages in Chromium: first alone,
then for ``--seconds`` while ``--sockets`` requests send a byte every two seconds, as many websockets ask for
a page and never read it, and a page of another site tries to connect. Prints one JSON line:

- page_before_s, page_meanwhile_s, and the same with worst: until a page is drawn, the median and the longest;
- session_before_s, session_meanwhile_s, and the same with worst: until the server has sent all of a page to a
  session of its own without a browser;
- pages, sessions: how many were opened meanwhile; errors: of pages and sessions, at any time;
- held, ended: slow connections begun, and ended by the server; refused: tries of the other site's page;
- external_requests: of pages and of the server; dialogs: on pages. Each must be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from playwright.sync_api import sync_playwright  # noqa: E402

from tests.support import hostile_store, network  # noqa: E402
from tests.support.browser import find_browser, serving  # noqa: E402
from tests.support.browsing import Watched  # noqa: E402
from tests.support.slow_sockets import run_of_a_page, slow_sockets  # noqa: E402
from trainer.tracking import database  # noqa: E402

PATHS = ("", "confusion", "curves", "hyperparameters", "quality")


class Sessions:
    """Other people, one after the other, each in a session without a browser."""

    def __init__(self, address: str) -> None:
        self.waits: list[float] = []
        self.errors: list[str] = []
        self._address = address
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()

    def _come(self) -> None:
        while not self._done.is_set():
            try:
                self.waits.append(run_of_a_page(self._address, PATHS[len(self.waits) % len(PATHS)]))
            except Exception as error:  # counted, whatever it is
                self.errors.append(repr(error))
            self._done.wait(1)

    def end(self) -> None:
        self._done.set()
        self._thread.join()


def opened(watched: Watched, until: float) -> list[float]:
    """Open every page, and all again until a moment; returns the seconds that each took."""
    waits = []
    while len(waits) < len(PATHS) or time.monotonic() < until:
        began = time.perf_counter()
        watched.open(PATHS[len(waits) % len(PATHS)])
        waits.append(time.perf_counter() - began)
    return waits


def measure(address: str, watched: Watched, seconds: float, sockets: int) -> dict[str, float]:
    """Open pages and sessions without slow clients, and then with them."""
    opened(watched, 0)  # what the first reader of a day waits for
    figures: dict[str, float] = {}
    errors = 0
    for when, count, lasting in (("before", 0, 10.0), ("meanwhile", sockets, seconds)):
        with slow_sockets(address, requests=count, websockets=count) as held:
            time.sleep(2)
            others = Sessions(address)
            pages = opened(watched, time.monotonic() + lasting)
            others.end()
        errors += len(others.errors)
        for name, waits in (("page", pages), ("session", others.waits)):
            figures[f"{name}_{when}_s"] = round(median(waits), 3)
            figures[f"{name}_{when}_worst_s"] = round(max(waits), 3)
    figures |= {"pages": len(pages), "sessions": len(others.waits)}
    figures |= {"held": held.opened, "ended": held.closed, "refused": held.refused}
    return figures | {"errors": errors + len(watched.errors) + len(watched.nothings)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sockets", type=int, default=50)
    given = parser.parse_args()
    executable = find_browser()
    if executable is None:
        sys.exit("There is no Chromium here: make chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        uri, record = f"sqlite:///{folder}/mlflow.db", Path(folder) / "record"
        database.prepare(uri)
        hostile_store.spring(uri)
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        browser.new_context()
        with serving(uri, record=record) as address:
            watched = Watched(browser, address)
            figures = measure(address, watched, given.seconds, given.sockets)
        browser.close()
        strangers = [*watched.strangers, *network.strangers(record)]
        figures |= {"external_requests": len(strangers), "dialogs": len(watched.dialogs)}
        for line in (*watched.errors, *watched.nothings, *strangers):
            print(line, file=sys.stderr)
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
