"""A served dashboard, and a browser that looks at it: for tests, benchmarks and images of the pages."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.support import network
from tests.support.paths import REPO
from trainer.core.browsers import BROWSERS as BROWSERS
from trainer.core.browsers import find_browser as find_browser

START_WITHIN_S = 60
FINISHED = "[data-testid=stApp][data-test-script-state=notRunning]"
# True once the script is done, all that it sent is drawn, and nothing has moved or changed while the page had
# nothing to do ten times.
SETTLED = """
([finished, call]) => {
  const all = selector => [...document.querySelectorAll(selector)];
  const seen = selector => all(selector).filter(node => node.checkVisibility());  // not below a closed tab
  const drawn = () => document.querySelector(finished)
    && seen('[data-testid=stVegaLiteChart]').every(node => node.querySelector('canvas, svg.marks'))
    && seen('[data-testid=stDataFrame]').every(node => node.querySelector('canvas'))
    && all('[data-testid=stSkeleton], [data-testid=stSpinner], [data-stale=true]').length === 0
    && [...document.images].every(image => image.complete)
    && document.fonts.status === 'loaded';
  const places = () => all('[data-testid=stMain] :is(canvas, svg.marks, img, [data-testid])').map(node => {
    const box = node.getBoundingClientRect();
    return [box.x, box.y, box.width, box.height];
  });
  if (window.headroomSettling?.call !== call) {
    const mine = window.headroomSettling = {call, times: 0};
    const look = () => {
      const now = drawn() ? JSON.stringify([document.body.innerHTML.length, places()]) : null;
      mine.times = now && now === mine.seen ? mine.times + 1 : 0;
      mine.seen = now;
      if (window.headroomSettling === mine && mine.times < 10) requestIdleCallback(look);
    };
    requestIdleCallback(look);
  }
  return window.headroomSettling.times >= 10;
}
"""
# Collects how far what is on the page moves as it opens, without what a person has caused.
LAYOUT_SHIFTS = """
window.headroomShifts = [];
const named = node => (node?.closest ? node : node?.parentElement)?.closest('[data-testid]')?.dataset.testid;
new PerformanceObserver(list => window.headroomShifts.push(...list.getEntries()
  .filter(one => !one.hadRecentInput)
  .map(({value, sources}) => ({value, moved: sources.map(({node}) => named(node))}))
)).observe({type: 'layout-shift', buffered: true});
"""
FRAME = ("stAppViewContainer", "stMainBlockContainer")  # move when Streamlit opens the sidebar
calls = itertools.count()  # of `settle`: each begins to count anew


@contextmanager
def serving(
    tracking_uri: str, *, script: str = "dashboard/Home.py", record: Path | None = None
) -> Iterator[str]:
    """The dashboard on a free port, looking at a store; yields its address, without a slash at the end.

    Args:
        script: another one to serve in its place, relative to the repository.
        record: file in which the server writes down with whom it speaks; see `network`.
    """
    environment = network.recorded_in(record) if record else {**os.environ, "PYTHONPATH": str(REPO)}
    environment["HEADROOM_TRACKING_URI"] = tracking_uri
    command = [sys.executable, "-m", "streamlit", "run", script]
    port = free_port()
    server = subprocess.Popen(
        [*command, *_options(port)], cwd=REPO, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield wait_for(port, server)
    finally:
        server.terminate()
        server.wait()


class Dashboard:
    """A dashboard that is served once and looks at one store after another."""

    def __init__(self) -> None:
        port = free_port()
        command = [sys.executable, "-m", "tests.support.dashboard_server", *_options(port)]
        self._server = subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._address = wait_for(port, self._server)

    def shows(self, tracking_uri: str) -> str:
        """Look at a store from now on; returns the address, without a slash at the end."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{tracking_uri}\n".encode())
        self._server.stdin.flush()
        for line in self._server.stdout:  # Streamlit has words of its own
            if line.decode().strip() == tracking_uri:
                return self._address
        raise RuntimeError("The dashboard has ended; its messages are above.")

    def stop(self) -> None:
        self._server.terminate()
        self._server.communicate()


def _options(port: int) -> list[str]:
    return [
        *("--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"),
        *("--browser.gatherUsageStats", "false"),
        *("--server.fileWatcherType", "none"),  # sources that change below it break its pickles
    ]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> str:
    """The address of a server, once it answers."""
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return address
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The dashboard did not start within {START_WITHIN_S} s; its messages are above.")


def settle(page: Page) -> None:
    """Wait until the script has run and what it sent is drawn."""
    page.wait_for_selector("[data-testid=stHeading]", timeout=60_000)
    page.wait_for_function(SETTLED, arg=[FINISHED, next(calls)], timeout=60_000)


def layout_shift(page: Page) -> float:
    """Return the cumulative layout shift of a page that was opened with `LAYOUT_SHIFTS`, without that of an
    empty page of Streamlit, whose frame moves aside for the sidebar."""
    found = page.evaluate("window.headroomShifts")
    return float(sum(one["value"] for one in found if not {*FRAME} & {*one["moved"]}))
