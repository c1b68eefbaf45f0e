"""Pictures of the dashboard for the documentation: every page, light, dark, and as a telephone shows it.

    python scripts/screenshots.py [--tracking-uri sqlite:///mlruns/mlflow.db] [--run RUN_ID] [--out docs/img]

The page of two classes shows the newest sweep of two classes, if there is one.
Needs Chromium (or Chrome) on the PATH and Playwright's Python package.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from trainer.tracking.schema import Metric  # noqa: E402

WIDTH, HEIGHT, TALLEST = 1400, 900, 2000  # pixels
NARROW = 390  # of a telephone
COLOURS = 256  # of the PNG's palette: a third of the size, and no difference to be seen
TWO_CLASSES = "twoclass"
SHOTS = {  # file name → page and controls
    "home": "",
    "curves": "curves?group=lr&metric=validation+loss",
    "hyperparameters": "hyperparameters",
    "confusion": "confusion",
    "embeddings": "embeddings",
    TWO_CLASSES: "twoclass",
    "ablation": "ablation",  # needs an ablation in the store
    "tryit": "tryit",
    "verification": "verification",  # needs a verification in the store
    "zeroshot": "zeroshot",  # needs a zero-shot run in the store
    "fusion": "fusion",  # needs a fusion run in the store
    "encoders": "encoders",  # needs a comparison of encoders in the store
    "quality": "quality",  # needs an extraction in the store
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
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
calls = itertools.count()  # of `settle`: each begins to count anew


def find_browser() -> str | None:
    """Path of a Chromium or Chrome; ``None`` where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def serving(tracking_uri: str) -> Iterator[str]:
    """The dashboard on a free port, looking at a store; yields its address, without a slash at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/Home.py", "--server.port", str(port)]
    options = ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    options += ["--server.fileWatcherType", "none"]  # sources that change below it break its pickles
    environment = {**os.environ, "HEADROOM_TRACKING_URI": tracking_uri}
    server = subprocess.Popen(
        [*command, *options, "--server.address", "127.0.0.1"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server)
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The dashboard did not start within {START_WITHIN_S} s; its messages are above.")


def settle(page: Page) -> None:
    """Wait until the script has run and what it sent is drawn."""
    page.wait_for_selector("[data-testid=stHeading]", timeout=60_000)
    page.wait_for_function(SETTLED, arg=[FINISHED, next(calls)], timeout=60_000)


def take(page: Page, address: str, target: Path, *, width: int = WIDTH) -> None:
    """One page, whole up to `TALLEST`, as a PNG of few colours."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.goto(address)
    settle(page)
    height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').offsetHeight")
    page.set_viewport_size({"width": width, "height": min(max(height, HEIGHT), TALLEST)})
    settle(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target} ({target.stat().st_size // 1024} KiB)")


def newest_of_two_classes(tracking_uri: str) -> str | None:
    """Id of the newest run with an AUROC."""
    client = MlflowClient(tracking_uri)
    everywhere = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(everywhere, f"metrics.{Metric.TEST_AUROC} >= 0", max_results=1)
    return found[0].info.run_id if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracking-uri", default=f"sqlite:///{ROOT / 'mlruns' / 'mlflow.db'}")
    parser.add_argument("--run", default="", help="id of the run to show; default: the newest sweep")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img")
    arguments = parser.parse_args()
    browser_path = find_browser()
    if browser_path is None:
        sys.exit("No Chromium here; install it with your package manager.")
    pair = newest_of_two_classes(arguments.tracking_uri)
    with serving(arguments.tracking_uri) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for kind, theme, width in (
            ("light", "light", WIDTH),
            ("dark", "dark", WIDTH),
            ("narrow", "light", NARROW),
        ):
            page = browser.new_page(color_scheme=theme)  # type: ignore[arg-type]
            for name, query in SHOTS.items():
                chosen = (pair if name == TWO_CLASSES else None) or arguments.run
                run = f"{'&' if '?' in query else '?'}run={chosen}" if chosen else ""
                take(page, f"{address}/{query}{run}", arguments.out / f"{name}-{kind}.png", width=width)
        browser.close()


if __name__ == "__main__":
    main()
