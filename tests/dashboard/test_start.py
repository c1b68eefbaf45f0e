"""The page "Start a run": who may start, what is refused, what one click, two and a resume start."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.runs import launcher, sweep_command
from dashboard.runs.launcher import ALLOWED, Job
from dashboard.runs.sweep_command import SweepForm
from dashboard.ui import run_controls, run_permission
from dashboard.ui.run_permission import PageRequest, not_local
from tests.support import synthetic_runs
from tests.support.pages import LOCAL, open_page, restart, words
from trainer import __main__ as headroom

START, HOME, RUNS = "views/start.py", "views/home.py", "views/runs.py"
WITHIN_S = 60


def jobs() -> list[Job]:
    return launcher.jobs(run_controls.home())


def working() -> Job:
    """The job that runs, once it can be stopped."""
    deadline = time.monotonic() + WITHIN_S
    while launcher.last_lines(jobs()[0], 1) != "working":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return jobs()[0]


def ended() -> None:
    deadline = time.monotonic() + WITHIN_S
    while jobs()[0].running:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def button(app: AppTest, label: str) -> object:
    (found,) = (one for one in app.button if one.label == label)
    return found


def labels(app: AppTest) -> list[str]:
    return [one.label for one in app.button]


def test_without_permission_the_page_prints_the_command_and_says_how_to_switch_it_on(uri: str) -> None:
    app = open_page(START, trials="8", seeds="2")
    (command,) = (one.value for one in app.code)
    assert command.startswith("python -m trainer.sweep --data demo --trials 8 --seeds 2 --study demo-")
    assert command.endswith(f"--tracking-uri {uri}")
    assert run_permission.COMMAND in words(app)
    assert labels(app) == []


@pytest.mark.usefixtures("runs_allowed")
def test_a_read_only_dashboard_prints_the_command_alone(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic_runs.sweep(uri, state="interrupted")
    monkeypatch.setenv("HEADROOM_READ_ONLY", "1")
    app = open_page(START)
    assert "read-only" in words(app)
    assert labels(app) == []
    assert "Resume" not in labels(open_page(HOME))


@pytest.mark.usefixtures("runs_allowed")
def test_what_the_form_cannot_take_is_said_beside_the_field_and_nothing_can_be_started(uri: str) -> None:
    app = open_page(START, data="/no/such/folder", encoder="no such model", trials="0")
    said = [one.value.replace("\\", "") for one in app.error]
    assert [any(word in one for one in said) for word in ("/no/such", "no such model", "Trials")] == [
        True
    ] * 3
    assert labels(app) == []
    assert not app.code


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (SweepForm(data="  "), "data"),
        (SweepForm(data="--help"), "data"),
        (SweepForm(data="a\0b"), "data"),
        (SweepForm(encoder="demo+"), "encoder"),
        (SweepForm(encoder="--device"), "encoder"),
        (SweepForm(trials=0), "trials"),
        (SweepForm(trials=None), "trials"),
        (SweepForm(seeds=10**9), "seeds"),
    ],
)
def test_a_bad_field_is_refused(form: SweepForm, field: str) -> None:
    assert list(sweep_command.refused(form)) == [field]


def test_a_good_form_becomes_words_that_no_shell_reads(tmp_path: Path, uri: str) -> None:
    folder = tmp_path / "a b; $(x)"
    folder.mkdir()
    form = SweepForm(str(folder), "openai/clip-vit-base-patch32+demo", 8, 1, "nll", "cv")
    assert sweep_command.refused(form) == {}
    found = sweep_command.words(form, "s")
    assert found[:5] == ["python", "-m", "trainer.sweep", "--data", str(folder)]
    assert found[5:] == [
        *("--encoder", form.encoder, "--trials", "8", "--seeds", "1", "--objective", "nll"),
        *("--validate", "cv", "--study", "s", "--tracking-uri", uri),
    ]


@pytest.mark.usefixtures("runs_allowed")
def test_one_click_or_two_start_one_run_that_another_page_sees_and_stops(uri: str) -> None:
    app = open_page(START, trials="5")
    command = app.code[0].value
    click = button(app, "Start").click()  # type: ignore[attr-defined]
    click.run()
    (job,) = jobs()
    assert job.command == command
    assert job.running
    run_controls._start(shlex.split(command), job.study, job.folder.name, "")  # the second click of two
    assert len(jobs()) == 1
    other = open_page(START)
    assert "Running:" in words(other)
    assert button(other, "Start").disabled  # type: ignore[attr-defined]
    working()
    button(other, "Stop").click().run()  # type: ignore[attr-defined]
    ended()
    app = open_page(START)
    assert "Stopped; finished trials are saved" in words(app)
    assert app.code[-1].value != command  # the next one is another study


@pytest.mark.usefixtures("runs_allowed")
def test_an_interrupted_run_is_resumed_by_its_recorded_command(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri, study="mine", state="interrupted")
    assert "Resume" in labels(open_page(START))
    app = open_page(HOME, run=run_id)
    button(app, "Resume").click().run()  # type: ignore[attr-defined]
    assert not app.exception
    (job,) = jobs()
    assert job.command == f"python -m trainer.sweep --study mine --tracking-uri {uri}"
    assert "Resume" not in labels(app)
    working()
    button(app, "Stop").click().run()  # type: ignore[attr-defined]
    ended()
    restart()
    assert "Resume" in labels(open_page(HOME, run=run_id))


@pytest.mark.usefixtures("runs_allowed")
def test_a_click_that_is_no_longer_allowed_starts_nothing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(START)
    click = button(app, "Start").click()  # type: ignore[attr-defined]
    monkeypatch.delenv(ALLOWED)
    click.run()
    assert jobs() == []


@pytest.mark.usefixtures("runs_allowed")
def test_an_address_alone_starts_nothing(uri: str) -> None:
    synthetic_runs.sweep(uri, study="mine", state="interrupted")
    for page in (START, HOME, RUNS):
        open_page(page, data="demo", start="1", resume="mine", study="mine")
    assert jobs() == []


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (LOCAL, ""),
        (LOCAL._replace(address="::1", host="[::1]:8501", origin="http://[::1]:8501"), ""),
        (LOCAL._replace(address=None), "all addresses"),
        (LOCAL._replace(address="0.0.0.0"), "0.0.0.0"),
        (LOCAL._replace(address="192.168.1.2"), "192.168.1.2"),
        (LOCAL._replace(protected=False), "enableCORS"),
        (LOCAL._replace(forwarded=True), "proxy"),
        (LOCAL._replace(host="evil.example:8501"), "evil.example"),
        (LOCAL._replace(host="127.0.0.1.evil.example"), "127.0.0.1.evil.example"),
        (LOCAL._replace(host=""), "unknown name"),
        (LOCAL._replace(origin="https://evil.example"), "evil.example"),
        (LOCAL._replace(origin=""), "unknown name"),  # no browser
        (LOCAL._replace(origin="http://[::1"), "unknown name"),
    ],
)
def test_only_this_machine_may_start_runs_on_this_machine(asked: PageRequest, why: str) -> None:
    said = not_local(asked).replace("\\", "")
    assert bool(said) == bool(why)
    assert why in said


def test_the_flag_makes_the_server_listen_here_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(ALLOWED, raising=False)
    assert headroom._allowing_runs(["--server.port", "1"]) == ["--server.port", "1"]
    assert ALLOWED not in os.environ
    with pytest.raises(SystemExit):
        headroom._allowing_runs(["--allow-runs", "--server.address=0.0.0.0"])
    assert "leave out --server.address" in capsys.readouterr().err
    assert ALLOWED not in os.environ
    monkeypatch.setenv(ALLOWED, "0")  # so that it is put back
    assert headroom._allowing_runs(["--allow-runs"]) == ["--server.address", "127.0.0.1"]
    assert os.environ[ALLOWED] == "1"
