"""How long the dashboard lets people wait, in a real browser: ``python benchmarks/dashboard.py``.

Builds a store with a sweep of ``--trials`` × 3 seeds × 50 epochs, a map of ``--points`` points with images,
and 100 child runs with 50-step metrics for MLflow's own pages; then opens it in Chromium. Prints one JSON
line, seconds, medians of ``--rounds``:

- start: from starting the server until Home shows its heading and first chart, in a browser that is open;
- empty: until an empty Streamlit app shows its title; first_page: until Home shows its heading and first
  chart, and first_page_whole: until its tables and figures are there, too;
- switch: from the click on another page's name until its heading and first chart are there;
- curves: until the curves of all trials are drawn; mlflow_compare: until MLflow's page that compares 100 runs
  draws its charts, in the same run;
- confusion: from choosing another confusion to its images; map: until the map is drawn; select: from the
  end of a drag across it to the images of the points in the box;
- layout_shift: by page, the cumulative layout shift as it opens, and that of an empty page of Streamlit with
  a navigation (no unit; Google calls up to 0.1 good);
- parallel_hold: the browser's longest task while 300 lines of parallel coordinates are drawn;
- together: after one reader has been on every page, 20 sessions at once, each going from page to page and
  looking at it for 8 to 16 s: 95th percentile of the time until the server has sent all of it, and errors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import websockets  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric as MlflowMetric  # noqa: E402
from playwright.sync_api import Browser, Locator, Page, sync_playwright  # noqa: E402
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: E402
from streamlit.proto.ClientState_pb2 import ClientState  # noqa: E402
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402

from tests.support import synthetic_runs  # noqa: E402
from tests.support.browser import LAYOUT_SHIFTS, find_browser, serving, settle  # noqa: E402
from trainer.tracking import database  # noqa: E402
from trainer.tracking.schema import Artifact, Predictions, Projection, Samples, Tag  # noqa: E402

MAIN = "[data-testid=stMain]"
CHART = f"{MAIN} [data-testid=stVegaLiteChart] :is(canvas, svg.marks)"
IMAGE = f"{MAIN} [data-testid=stImage] img"
TEXT = f"{MAIN} [data-testid=stText]"
# What must be there: [selector, words in it], visible. The page itself looks at every frame: Playwright's own
# waiting for an element asks after 0.02, 0.07, 0.17, 0.27, 0.77 s and so on, which would round the figures.
SHOWN = """wanted => wanted.every(([selector, words]) =>
    [...document.querySelectorAll(selector)].some(node =>
        node.getClientRects().length > 0 && node.textContent.includes(words)))"""
CHANGED = """([before, texts, image]) => {
    const now = [...document.querySelectorAll(texts)].map(node => node.innerText);
    return JSON.stringify(now) !== JSON.stringify(before) && document.querySelector(image) !== null;
}"""  # another confusion's name stands there, and images
FIRST_PAGE = [[f"{MAIN} h2", ""], [CHART, ""]]
LONG_TASKS = """window.longTasks = [];
    new PerformanceObserver(list => list.getEntries().forEach(task => longTasks.push(task.duration)))
        .observe({type: 'longtask', buffered: true});"""
WHOLE_FIRST_PAGE = [[f"{MAIN} [data-testid=stDataFrame] canvas", ""], [f"{MAIN} [data-testid=stMetric]", ""]]
PAGES = ["Loss curves", "Hyperparameters", "Confusion matrix", "Embeddings"]
PATHS = ["curves", "hyperparameters", "confusion", "embeddings"]
EMPTY = """import streamlit as st
st.set_page_config(layout="wide")
pages = [st.Page(lambda: st.header("empty"), title=name, url_path=name) for name in ("one", "two")]
page = st.navigation(pages)
page.run()
"""
LIMIT_MS = 120_000
LOOKED_MS = 2000  # people look at a page before they go on; by then it has drawn its last chart
SESSIONS, STOPS, LOOK_S = 20, 6, (8, 16)


def build(uri: str, *, trials: int, points: int) -> str:
    """The store; returns the sweep's run id."""
    run_id = synthetic_runs.sweep(uri, name="large", trials=trials, seeds=3, epochs=50, rows=1500)
    client = MlflowClient(uri)
    run = client.get_run(run_id)
    folder = Path(synthetic_runs.folder_of(run.info.artifact_uri))
    enlarge(folder, points)
    random = np.random.default_rng(0)
    for number in range(100):
        child = client.create_run(
            run.info.experiment_id, run_name=f"run {number}", tags={Tag.PARENT: run_id, Tag.KIND: "trial"}
        )
        steps = random.normal(size=50).cumsum() / 50
        points_of = [MlflowMetric("val_loss", float(v), 1000 * step, step) for step, v in enumerate(steps)]
        client.log_batch(child.info.run_id, metrics=points_of)
        client.set_terminated(child.info.run_id)
    return run_id


def enlarge(folder: Path, points: int) -> None:
    """Repeat map, samples and answers under new names, each point a little aside, until there are enough."""
    random = np.random.default_rng(0)
    tables = {name: pd.read_parquet(folder / name) for name in (Artifact.PROJECTION, Artifact.SAMPLES)}
    answers = pd.read_parquet(folder / Artifact.PREDICTIONS)
    copies = -(-points // len(tables[Artifact.PROJECTION]))

    def repeated(frame: pd.DataFrame, column: str) -> pd.DataFrame:
        return pd.concat(
            [frame.assign(**{column: frame[column] + f"~{copy}"}) for copy in range(copies)],
            ignore_index=True,
        )

    projection = repeated(tables[Artifact.PROJECTION], Projection.SAMPLE_ID)
    for axis in (Projection.X, Projection.Y):
        projection[axis] += random.normal(0, projection[axis].std() / 20, len(projection)).astype(np.float32)
    projection.to_parquet(folder / Artifact.PROJECTION)
    repeated(tables[Artifact.SAMPLES], Samples.SAMPLE_ID).to_parquet(folder / Artifact.SAMPLES)
    repeated(answers, Predictions.SAMPLE_ID).to_parquet(folder / Artifact.PREDICTIONS)


@contextmanager
def started(command: list[str], port: int, path: str = "") -> Iterator[str]:
    """A server of another kind, until it answers."""
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{address}{path}", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(page: Page, *wanted: list[str]) -> None:
    """Until all of it is there, to the frame."""
    page.wait_for_function(SHOWN, arg=list(wanted), timeout=LIMIT_MS)


def opened(page: Page, address: str, *wanted: list[str]) -> float:
    """Seconds from asking for an address until something is there."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    wait(page, *wanted)
    return time.perf_counter() - began


def start(browser: Browser, uri: str, *, rounds: int) -> float:
    """Seconds from starting the server until its first page is there; the browser has its code already."""
    spent = []
    for _ in range(rounds + 1):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        began = time.perf_counter()
        with serving(uri) as address:
            opened(page, address, *FIRST_PAGE)
            spent.append(time.perf_counter() - began)
            page.close()
    return median(spent[1:])


def shift(browser: Browser, address: str) -> float:
    """The cumulative layout shift of a page as it opens, the frame of Streamlit included."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(LAYOUT_SHIFTS)
    page.goto(address)
    settle(page)
    found = page.evaluate("window.headroomShifts.reduce((sum, one) => sum + one.value, 0)")
    page.close()
    return round(float(found), 3)


def pressed(page: Page, target: Locator) -> float:
    """Press the mouse button on something, without Playwright's checks before; the time at which."""
    place = target.bounding_box()
    assert place is not None
    began = time.perf_counter()
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    return began


def switch(page: Page, name: str) -> float:
    """Seconds until the other page's heading and first chart are there."""
    page.wait_for_timeout(LOOKED_MS)
    began = pressed(page, page.get_by_role("link", name=name, exact=True))
    wait(page, [f"{MAIN} h2", name], [CHART, ""])
    return time.perf_counter() - began


def confuse(page: Page, number: int) -> float:
    """Seconds from choosing another confusion to its images."""
    page.wait_for_timeout(LOOKED_MS)
    before = page.locator(TEXT).all_inner_texts()
    began = pressed(page, page.locator(f"{MAIN} button").filter(has_text="→").nth(1 + number % 3))
    page.wait_for_function(CHANGED, arg=[before, TEXT, IMAGE], timeout=LIMIT_MS)
    return time.perf_counter() - began


def select(page: Page) -> float:
    """Seconds from letting go of a box on the map to the images in it."""
    page.wait_for_timeout(LOOKED_MS)
    place = page.locator(CHART).first.bounding_box()
    assert place is not None
    left, top = place["x"] + 0.3 * place["width"], place["y"] + 0.3 * place["height"]
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 0.1 * place["width"], top + 0.1 * place["height"], steps=8)
    page.mouse.move(left + 0.2 * place["width"], top + 0.3 * place["height"], steps=8)
    began = time.perf_counter()
    page.mouse.up()
    wait(page, [MAIN, " selected, "], [IMAGE, ""])
    return time.perf_counter() - began


def parallel_hold(page: Page, address: str, run_id: str) -> float:
    """Seconds of the browser's longest task while 300 lines of parallel coordinates are drawn, with all that
    the page has besides, and once more without one axis."""
    page.add_init_script(LONG_TASKS)
    opened(page, f"{address}/hyperparameters?run={run_id}", [f"{MAIN} h2", ""], [CHART, ""])
    page.wait_for_timeout(LOOKED_MS)
    pressed(page, page.locator(f"{MAIN} [data-testid=stButtonGroup] button").first)
    page.wait_for_timeout(LOOKED_MS)
    return float(page.evaluate("Math.max(0, ...longTasks)")) / 1000


def in_the_browser(browser: Browser, address: str, run_id: str, *, rounds: int) -> dict[str, float]:
    """What one person waits for."""
    spent: dict[str, list[float]] = {}
    for number in range(rounds + 1):  # the first fills the caches, as the first reader of a day does
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        found = {"first_page": opened(page, f"{address}/?run={run_id}", *FIRST_PAGE)}
        began = time.perf_counter()
        wait(page, *WHOLE_FIRST_PAGE)
        found["first_page_whole"] = found["first_page"] + time.perf_counter() - began
        for name in PAGES:
            found[name] = switch(page, name)
            if name == "Confusion matrix":
                found["confusion"] = confuse(page, number)
            if name == "Embeddings":
                found["select"] = select(page)
        page.close()
        if number:
            for name, seconds in found.items():
                spent.setdefault(name, []).append(seconds)
    medians = {name: median(values) for name, values in spent.items()}
    switches = [value for name in PAGES for value in spent[name]]
    return {
        "first_page": medians["first_page"],
        "first_page_whole": medians["first_page_whole"],
        "switch": median(switches),
        "curves": medians["Loss curves"],
        "map": medians["Embeddings"],
        "select": medians["select"],
        "confusion": medians["confusion"],
        **{f"switch to {name}": medians[name] for name in PAGES},
    }


async def sessions(address: str, run_id: str) -> dict[str, Any]:
    """Many people at once, each going from page to page: what the server makes them wait. Their browsers
    would draw on machines of their own."""
    waits: list[float] = []
    errors: list[str] = []

    async def opened(socket: Any, page: str) -> float:
        """Ask for a page as a browser does; seconds until all of it has come."""
        state = ClientState(query_string=f"run={run_id}", page_name=page)
        began = time.perf_counter()
        await socket.send(BackMsg(rerun_script=state).SerializeToString())
        while True:
            message = ForwardMsg.FromString(await asyncio.wait_for(socket.recv(), LIMIT_MS / 1000))
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                errors.append(message.delta.new_element.exception.message)
            if kind == "script_finished":
                return time.perf_counter() - began

    async def person(number: int) -> None:
        async with websockets.connect(
            stream, subprotocols=["streamlit"], max_size=None, origin=address
        ) as socket:  # type: ignore[arg-type,list-item]
            await opened(socket, "")
            for stop in range(STOPS):
                await asyncio.sleep(random.uniform(*LOOK_S))  # people look before they go on
                waits.append(await opened(socket, PATHS[(number + stop) % len(PATHS)]))

    random = Random(0)
    stream = address.replace("http", "ws") + "/_stcore/stream"
    async with websockets.connect(stream, subprotocols=["streamlit"], max_size=None, origin=address) as first:  # type: ignore[arg-type,list-item]
        for path in (
            "",
            *PATHS,
        ):  # as the first reader of a day does; in_the_browser leaves that one out, too
            await opened(first, path)
    await asyncio.gather(*(person(number) for number in range(SESSIONS)))
    return {
        "sessions": SESSIONS,
        "switches": len(waits),
        "p50": round(median(waits), 3),
        "p95": round(float(np.quantile(waits, 0.95)), 3),
        "errors": len(errors),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    executable = find_browser()
    if executable is None:
        sys.exit("No Chromium here; install it with your package manager.")
    folder = Path(tempfile.mkdtemp(prefix="headroom-dashboard-"))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    database.prepare(uri)
    run_id = build(uri, trials=given.trials, points=given.points)
    figures: dict[str, Any] = {"trials": given.trials, "points": given.points, "rounds": given.rounds}
    empty = folder / "empty.py"
    empty.write_text(EMPTY)
    port, other = free_port(), free_port()
    streamlit = [sys.executable, "-m", "streamlit", "run", str(empty), "--server.port", str(port)]
    streamlit += ["--server.headless", "true", "--server.address", "127.0.0.1"]
    mlflow = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(other)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        with started(streamlit, port, "/_stcore/health") as address:
            waits = []
            for _ in range(given.rounds + 1):
                page = browser.new_page()
                waits.append(opened(page, address, ["h2", "empty"]))
                page.close()
            figures["empty"] = median(waits[1:])
            shifts = {"empty": shift(browser, address)}
        figures["start"] = start(browser, uri, rounds=given.rounds)
        with serving(uri) as address:
            figures |= in_the_browser(browser, address, run_id, rounds=given.rounds)
            for path in ("", *PATHS):
                shifts[path or "home"] = shift(browser, f"{address}/{path}?run={run_id}")
            figures["layout_shift"] = shifts
            held = [parallel_hold(browser.new_page(), address, run_id) for _ in range(given.rounds)]
            figures["parallel_hold"] = median(held)
        with started(mlflow, other, "/health") as address:
            experiment = MlflowClient(uri).get_run(run_id).info.experiment_id
            view = f"{address}/#/experiments/{experiment}/runs?compareRunsMode=CHART"
            waits = []
            for _ in range(given.rounds + 1):
                page = browser.new_page(viewport={"width": 1400, "height": 1000})
                try:
                    waits.append(opened(page, view, [".js-plotly-plot .scatterlayer path", ""]))
                except Exception as error:  # another version may draw otherwise
                    figures["mlflow_compare_error"] = str(error).splitlines()[0][:200]
                    break
                page.close()
            figures["mlflow_compare"] = median(waits[1:]) if len(waits) > 1 else None
        browser.close()
    with serving(uri) as address:
        figures["together"] = asyncio.run(sessions(address, run_id))
    shutil.rmtree(folder)
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))


if __name__ == "__main__":
    main()
