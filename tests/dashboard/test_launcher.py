"""Commands that pages start outlive them, are stopped as by Ctrl-C, and are known to whoever looks."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dashboard.runs import launcher
from dashboard.runs.launcher import Job
from tests.support.paths import REPO
from trainer.core.errors import InputError

WITHIN_S = 60
PYTHON = sys.executable  # which tests replace
# In place of a sweep: says that it works, and ends by Ctrl-C as a command does.
WORKS = "import sys, time; print('working', file=sys.stderr, flush=True); time.sleep(600)"
STOPPABLE = f"try:\n    {WORKS}\nexcept KeyboardInterrupt:\n    sys.exit(130)"
START = """
import sys
from pathlib import Path
from dashboard.runs import launcher
sys.executable = sys.argv[2]
job = launcher.start(Path(sys.argv[1]), launcher.words_of("python -m trainer.sweep"), study="s", name="s-1")
print(job.pid)
"""


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def now(job: Job) -> Job:
    found = launcher.read(job.folder)
    assert found is not None
    return found


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Let a program stand where the interpreter would be that runs the command."""

    def run_instead(program: str) -> Path:
        path = tmp_path / "python"
        path.write_text(f"#!{PYTHON}\n{program}\n")
        path.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(path))
        return path

    return run_instead


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / launcher.FOLDER


def start(home: Path, words: Sequence[str] = (), *, study: str = "s") -> Job:
    return launcher.start(
        home, ["python", "-m", "trainer.sweep", *words], study=study, name=launcher.ticket(home, study)
    )


def test_a_command_gets_its_words_as_they_are_and_its_end_is_on_record(
    home: Path, python: Callable[[str], Path]
) -> None:
    python("import sys; print(*sys.argv[1:], sep='|', file=sys.stderr); sys.exit(3)")
    job = start(home, ["--data", "a b; $(touch c) 'd'"])
    until(lambda: not now(job).running)
    assert now(job).code == 3
    assert launcher.last_lines(job, 1) == "-m|trainer.sweep|--data|a b; $(touch c) 'd'"
    assert shlex.split(now(job).command)[-1] == "a b; $(touch c) 'd'"


def test_a_job_is_stopped_by_one_sigint_and_a_later_one_hits_nobody(
    home: Path, python: Callable[[str], Path]
) -> None:
    python(STOPPABLE)
    job = start(home)
    until(lambda: launcher.last_lines(job, 1) == "working")
    assert job.running
    assert os.getpgid(job.pid or 0) == job.pid  # a group of its own, which no key of a terminal reaches
    launcher.stop(job)
    until(lambda: not now(job).running)
    assert now(job).stopped
    assert now(job).stopping
    bystander = subprocess.Popen([PYTHON, "-c", WORKS])
    try:  # as if the number of its process were another one's by now
        record = (job.folder / launcher.RECORD).read_text().replace(str(job.pid), str(bystander.pid))
        (job.folder / launcher.RECORD).write_text(record)
        assert now(job).pid == bystander.pid
        launcher.stop(job)
        assert bystander.poll() is None
        assert not now(job).running
    finally:
        bystander.kill()
        assert bystander.wait() == -signal.SIGKILL  # and of nothing before


def test_a_second_click_starts_nothing_and_nothing_starts_beside_a_running_job(
    home: Path, python: Callable[[str], Path]
) -> None:
    python(STOPPABLE)
    name, words = launcher.ticket(home, "s"), ["python", "-m", "trainer.sweep"]
    first = launcher.start(home, words, study="s", name=name)
    assert launcher.start(home, words, study="s", name=name).pid == first.pid
    with pytest.raises(InputError, match="one run at a time"):
        start(home, study="other")
    assert len(launcher.jobs(home)) == 1
    launcher.stop(first)
    until(lambda: not now(first).running)
    assert launcher.start(home, words, study="s", name=name).pid == first.pid  # also when it has ended
    again = start(home)
    assert again.folder != first.folder
    assert [one.folder for one in launcher.jobs(home)] == [again.folder, first.folder]
    os.kill(again.pid or 0, signal.SIGKILL)
    until(lambda: not now(again).running)
    assert now(again).code == 128 + signal.SIGKILL


def test_a_job_outlives_the_server_and_is_stopped_by_the_next_one(
    home: Path, python: Callable[[str], Path]
) -> None:
    """The server that starts it ignores SIGINT, as one does that a script has started in the background."""
    program = python(STOPPABLE)
    server = subprocess.run(
        [PYTHON, "-c", START, str(home), str(program)],
        cwd=REPO,
        capture_output=True,
        check=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    (job,) = launcher.jobs(home)
    assert job.running
    assert job.pid == int(server.stdout)
    until(lambda: launcher.last_lines(job, 1) == "working")
    launcher.stop(job)
    until(lambda: not now(job).running)
    assert now(job).code is None  # the server that started it is gone: nobody heard how it ended


def test_what_cannot_be_started_leaves_no_job(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        start(home)
    assert launcher.jobs(home) == []


@pytest.mark.parametrize(
    "command",
    ["", "rm -rf x", "python -m http.server", "python -m trainer.cache prune", "python -c pass", "python 'x"],
)
def test_a_recorded_command_that_is_none_of_ours_is_refused(command: str) -> None:
    with pytest.raises(InputError, match="no command that can be started here"):
        launcher.words_of(command)
