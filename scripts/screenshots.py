"""Images of the dashboard for the documentation: every page, light, dark, and as a telephone shows it.

    python scripts/screenshots.py [--tracking-uri sqlite:///mlruns/mlflow.db] [--run RUN_ID] [--out docs/img]
    python scripts/screenshots.py --run RUN_ID --only labels   # of a sweep of several labels, or numbers

The page of two classes shows the newest sweep of two classes, if there is one.
Needs Chromium (or Chrome) on the PATH and Playwright's Python package.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import find_browser, serving, settle  # noqa: E402
from trainer.tracking.schema import Metric  # noqa: E402

WIDTH, HEIGHT, TALLEST = 1400, 900, 2000  # pixels
NARROW = 390  # of a telephone
COLOURS = 256  # of the PNG's palette: a third of the size, and no difference to be seen
TWO_CLASSES = "twoclass"
SHOTS = {  # file name → page and controls
    "home": "",
    "runs": "runs",
    "start": "start",
    "curves": "curves",
    "hyperparameters": "hyperparameters",
    "confusion": "confusion",
    "embeddings": "embeddings",
    TWO_CLASSES: "twoclass",
    "ablation": "ablation",  # needs an ablation in the store
    "tryit": "tryit?source=test+row",
    "search": "search",
    "compare": "compare",
    "verification": "verification",  # needs a verification in the store
    "zeroshot": "zeroshot",  # needs a zero-shot run in the store
    "fusion": "fusion",  # needs a fusion run in the store
    "encoders": "encoders",  # needs a comparison of encoders in the store
    "quality": "quality",  # needs an extraction in the store
}
OF_OTHER_TARGETS = {"labels": "confusion", "numbers": "confusion"}  # the same page of another sweep: --only


def take(page: Page, address: str, target: Path, *, width: int = WIDTH) -> None:
    """One page, whole up to `TALLEST`, as a PNG of few colours."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.goto(address)
    settle(page)
    height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').offsetHeight")
    page.set_viewport_size({"width": width, "height": min(max(height, HEIGHT), TALLEST)})
    settle(page)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    target.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
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
    every = {**SHOTS, **OF_OTHER_TARGETS}
    parser.add_argument("--only", nargs="+", choices=every, default=list(SHOTS), metavar="NAME")
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
            for name in arguments.only:
                query = every[name]
                chosen = (pair if name == TWO_CLASSES else None) or arguments.run
                run = f"{'&' if '?' in query else '?'}run={chosen}" if chosen else ""
                take(page, f"{address}/{query}{run}", arguments.out / f"{name}-{kind}.png", width=width)
        browser.close()


if __name__ == "__main__":
    main()
