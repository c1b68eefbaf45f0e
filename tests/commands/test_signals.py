"""Every command ends by Ctrl-C, SIGTERM and SIGHUP alike: at any moment, in a sentence, with nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.kill_checks.cases import CASES
from benchmarks.kill_checks.ordeal import Case, living
from benchmarks.kill_checks.scene import Scene, runs_of
from tests.support import commands
from tests.support.paths import REPO
from trainer.core import signals
from trainer.core.signals import Terminated, end_once, held
from trainer.features.image_loader import ImageLoader, ImageRequest
from trainer.tracking.schema import Stopped, Tag

QUICK = ("extract",)
PRESSES = 4
MOMENTS = {  # lines that the command has said → the signal that it gets then
    1: signal.SIGTERM,
    4: signal.SIGINT,
    7: signal.SIGHUP,
    10: signal.SIGINT,
}


def until_said(started: commands.Started, lines: int) -> None:
    """Wait until a command has said so many lines, or has ended."""
    while started.said().count("\n") < lines and started.wait(0.02) is None:
        pass


def interrupt(case: Case, scene: Scene, *, after: int, how: signal.Signals) -> None:
    """Start a command, press a key several times when it has said so many lines, and look at the ruins."""
    case.before(scene)
    started = commands.start(
        *(case.module, *case.words(scene), *case.flags(scene, f"{case.name}-{after}")),
        folder=scene.folder,
        environment={"TMPDIR": str(scene.temporary)},
        constants=case.constants,
        alone=True,
    )
    until_said(started, after)
    for _ in range(PRESSES):
        if started.wait(0.05) is None:
            with suppress(ProcessLookupError):  # it has ended this moment
                os.killpg(started.pid, how)  # as a terminal does, to workers, too
    status, said = started.wait(300), started.said()
    assert status in (*case.right, 128 + how), said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    if status == 128 + how and not started.printed():  # else all was done, and it was only ending
        assert said.count("Interrupted") == 1, said
    assert living(started.pid) == []
    assert not list(scene.temporary.iterdir())
    for run in runs_of(scene) if case.stored else ():
        assert run.info.status in ("FINISHED", "KILLED"), said
        if run.info.status == "KILLED" and Tag.PARENT not in run.data.tags:
            assert run.data.tags[Tag.STOPPED] == Stopped.INTERRUPTED


@pytest.mark.kill
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=[] if c.name in QUICK else pytest.mark.slow) for c in CASES],
)
def test_every_command_ends_in_one_sentence_however_often_it_is_told(case: Case, tmp_path: Path) -> None:
    scene = Scene(tmp_path / case.name)
    scene.make()
    for after, how in MOMENTS.items():
        interrupt(case, scene, after=after, how=how)


def hears(pid: int, how: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    (caught,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line]
    return bool(int(caught.split()[1], 16) & 1 << (how - 1))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_still_loading_ends_in_one_sentence(how: signal.Signals) -> None:
    command = [sys.executable, "-m", "trainer.sweep", "--help"]
    process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not hears(process.pid, signal.SIGTERM):
        time.sleep(0.001)
    for _ in range(3):
        process.send_signal(how)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (128 + how, "Interrupted before any work was begun.\n")


def interrupt_and_press_again() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def as_command() -> Iterator[None]:
    """Signals as a command takes them."""
    before = {one: signal.getsignal(one) for one in signals.ENDING}
    end_once()
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.usefixtures("as_command")
def test_a_signal_that_a_library_swallows_is_raised_again_and_one_that_closes_a_run_is_not() -> None:
    with pytest.raises(Terminated) as first:
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Terminated, match="SIGINT") as second:
        interrupt_and_press_again()
    assert (first.value.exit_code, second.value.exit_code) == (143, 130)


def press(how: signal.Signals, done: list[str]) -> None:
    os.kill(os.getpid(), how)
    done.append(how.name)


@pytest.mark.usefixtures("as_command")
def test_a_signal_waits_until_what_is_being_opened_can_be_closed() -> None:
    done: list[str] = []

    def open_something() -> None:
        with held():
            with held():
                press(signal.SIGHUP, done)
                press(signal.SIGINT, done)
            done.append("opened")

    with pytest.raises(Terminated, match="SIGHUP"):
        open_something()
    assert done == ["SIGHUP", "SIGINT", "opened"]
    with held():
        pass  # nothing waits any more


@pytest.mark.usefixtures("as_command")
def test_a_signal_as_the_decoding_processes_start_leaves_a_pool_that_can_be_shut_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def pressed(thread: threading.Thread) -> None:
        if type(thread).__name__ == "_ExecutorManagerThread":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)  # the thread that started it waits, and is told of the signal meanwhile
        begun(thread)

    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", pressed)
    request = ImageRequest(rows=(), images=(), content="", views=(), measure=False)
    loader = ImageLoader([request], None, processes=1, ahead=8)  # type: ignore[arg-type]
    try:
        with pytest.raises(Terminated, match="SIGTERM"):
            next(iter(loader))
    finally:
        loader.close()


@pytest.mark.usefixtures("as_command")
def test_a_second_signal_ends_what_takes_too_long_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "HELD_S", 0.0)
    done: list[str] = []

    def open_something() -> None:
        with held():
            press(signal.SIGTERM, done)
            press(signal.SIGINT, done)

    with pytest.raises(Terminated, match="SIGINT"):
        open_something()
    assert done == ["SIGTERM"]


LAST_MOMENTS = """
import os, signal, sys
from trainer.core import signals

signals.end_once()

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), how=signal.SIGTERM):
        kill(pid, how)

sys.modules["last"] = Last()
sys.exit(7)
"""


def test_a_signal_that_meets_python_as_it_exits_does_not_change_the_exit_code() -> None:
    ended = subprocess.run([sys.executable, "-c", LAST_MOMENTS], cwd=REPO, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (7, "")
