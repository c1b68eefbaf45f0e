"""Find the runs, write the report."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core import atomic
from trainer.core.browsers import find_browser
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.locations import without_password
from trainer.experiments.run_report.config import ReportConfig
from trainer.tracking import database

if TYPE_CHECKING:
    from trainer.experiments.base import Figures

FORMATS = (".html", ".pdf")
PRINTING_S = 180  # after which a browser is given up


def run(config: ReportConfig) -> Figures:
    """Write the report. Returns the ids of the runs, the file and its size.

    Raises:
        InputError: no such run, it has no result that can be read, a file of another kind, no browser for
            a PDF, or the file cannot be written.
    """
    kind = config.out.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"--out is {config.out}; expected a file that ends in {' or '.join(FORMATS)}.")
    browser = printer() if kind == ".pdf" else ""
    database.check(config.tracking_uri)
    from dashboard.reports.report import report, reported
    from dashboard.runs.artifacts import StoreProblem
    from dashboard.runs.store import Store

    store = Store(config.tracking_uri)
    try:
        infos = reported(store, config.runs, experiment=config.experiment)
        page = report(store, infos, now=datetime.now().astimezone()).encode()
    except StoreProblem as problem:
        raise InputError(str(problem)) from problem
    data = printed(page, browser) if browser else page
    atomic.write_output(config.out, data, "--out")
    say(f"Report on {', '.join(info.name for info in infos)}: {config.out} ({len(data) / 1e6:.1f} MB).")
    return {
        "runs": [info.run_id for info in infos],
        "out": str(config.out),
        "bytes": len(data),
        "tracking_uri": without_password(config.tracking_uri),
    }


def printer() -> str:
    """Return the path of a browser that prints.

    Raises:
        InputError: there is none.
    """
    found = find_browser()
    if found is None:
        raise InputError(
            "A PDF is printed by a browser, and there is neither Chromium nor Chrome here. Install one, or "
            "write report.html and print it."
        )
    return found


def printed(page: bytes, browser: str) -> bytes:
    """Return the page as a PDF, with its charts drawn.

    Raises:
        InputError: the browser does not print.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_bytes(page)
        words = [browser, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        if os.name == "posix" and os.geteuid() == 0:
            words.append("--no-sandbox")  # which Chromium refuses to root; the page can ask nobody
        words += [
            "--disable-background-networking",
            "--no-pdf-header-footer",
            "--virtual-time-budget=60000",
            f"--print-to-pdf={target}",
        ]
        try:
            done = subprocess.run(
                [*words, source.as_uri()], capture_output=True, text=True, check=False, timeout=PRINTING_S
            )
            said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        except subprocess.TimeoutExpired:
            said = [f"no PDF within {PRINTING_S} s"]
        if not target.is_file():
            raise InputError(f"{browser} could not print the report: {said[0]}. Write report.html instead.")
        return target.read_bytes()
