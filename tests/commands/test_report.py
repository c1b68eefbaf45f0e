"""The report command: what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support import commands, synthetic_runs
from trainer.core.errors import InputError
from trainer.experiments.run_report.run import printed, printer


def test_the_command_writes_one_file_and_ends_with_one_line_of_json(
    tracking_uri: str, tmp_path: Path
) -> None:
    runs = [synthetic_runs.sweep(tracking_uri, study=name) for name in ("one", "other")]
    out = tmp_path / "report.html"
    done = commands.run("trainer.report", *runs, "--tracking-uri", tracking_uri, "--out", out)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["runs"] == runs
    assert figures["bytes"] == out.stat().st_size < 5_000_000
    assert "Report on one, other:" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["digits", "--out", "report.txt"],
            "--out is report.txt; expected a file that ends in .html or .pdf",
        ),
        (["nobody"], "There is no run and no study 'nobody' in the experiment headroom of this store"),
        (["digits", "--experiment", "another"], "in the experiment another of this store"),
        ([], "0 runs are named; a report is about 1 to 6."),
    ],
)
def test_what_cannot_be_reported_is_refused_and_nothing_is_written(
    tracking_uri: str, tmp_path: Path, words: list[str], said: str
) -> None:
    synthetic_runs.sweep(tracking_uri)
    out = [] if "--out" in words else ["--out", tmp_path / "report.html"]
    done = commands.run("trainer.report", *words, *out, "--tracking-uri", tracking_uri)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("report.*"))


def test_without_a_browser_a_pdf_is_refused_and_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"neither Chromium nor Chrome here.*write report\.html"):
        printer()


def test_a_browser_that_does_not_print_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "browser"
    broken.write_text("#!/bin/sh\necho 'no display' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(InputError, match="could not print the report: no display"):
        printed(b"<html>", str(broken))
