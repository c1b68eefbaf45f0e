"""One process at a time holds a lock; the others are told for whom they wait, and none waits for the dead."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPO
from trainer.core.process_lock import LockHeld, exclusive, take

HOLDER = """
import sys
from pathlib import Path
from trainer.core.process_lock import take
lock = take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def started(code: str, lock: Path, **streams: int) -> subprocess.Popen[str]:
    """A process that runs this code with the path of a lock."""
    command = [sys.executable, "-c", code, lock]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True, **streams)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it reads a line."""
    process = started(HOLDER, tmp_path / "a" / ".lock", stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_who_holds_a_lock_is_named(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(
        LockHeld, match=rf"^process {holder.pid} \(-c, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\)$"
    ):
        take(tmp_path / "a" / ".lock")


@pytest.mark.parametrize("note", ["", "junk", "[]", '{"pid": "x"}', '{"pid": 1e400}', "[" * 5000])
def test_a_note_that_makes_no_sense_names_nobody(
    holder: subprocess.Popen[str], tmp_path: Path, note: str
) -> None:
    (tmp_path / "a" / ".lock").write_text(note)
    with pytest.raises(LockHeld, match=r"^another process$"):
        take(tmp_path / "a" / ".lock")


def test_the_note_of_a_process_that_is_gone_names_nobody(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    note = f'{{"pid": {dead.pid}, "host": "{platform.node()}", "since": 0, "command": "x"}}'
    (tmp_path / "a" / ".lock").write_text(note)
    with pytest.raises(LockHeld, match=r"^another process$"):
        take(tmp_path / "a" / ".lock")


def test_a_process_on_another_machine_is_named_with_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    note = '{"pid": 7, "host": "elsewhere", "since": 0, "command": "trainer.extract"}'
    (tmp_path / "a" / ".lock").write_text(note)
    with pytest.raises(LockHeld, match=r"^process 7 on elsewhere \(trainer.extract, since "):
        take(tmp_path / "a" / ".lock")


def test_a_killed_holder_blocks_nobody(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with exclusive(tmp_path / "a" / ".lock", "it"):
        pass


def test_a_wait_is_told_and_outlives_the_deletion_of_the_folder(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from trainer.core.process_lock import exclusive
with exclusive(Path(sys.argv[1]), "the toy"):
    print("had", flush=True)
"""
    waiting = started(code, tmp_path / "a" / ".lock", stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    told = waiting.stderr.readline()
    assert f"Waiting for process {holder.pid}" in told
    assert "using the toy" in told
    shutil.rmtree(tmp_path / "a")
    out, err = waiting.communicate(timeout=300)
    assert (out, err) == ("had\n", "")


def test_a_folder_that_is_deleted_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, deletions = Path.mkdir, iter([tmp_path / "a", tmp_path / "a" / "b"])

    def mkdir(self: Path, *arguments: object, **options: object) -> None:
        made(self, *arguments, **options)  # type: ignore[arg-type]
        if self == (gone := next(deletions, None)):
            self.rmdir()
            raise FileNotFoundError(2, "No such file or directory", str(gone))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    take(tmp_path / "a" / "b" / ".lock").release()
