"""Start a command on this machine, follow it and stop it. Each has a folder of its own, beside the store.

A command holds the lock of its log for as long as it lives, and the system takes that back however it ends.
So whoever looks, also after the server was started again, knows whether it lives. Its process id cannot
belong to another process meanwhile: it names the command's process group, too, and is free only after that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.process_lock import LockHeld, take

ALLOWED = "HEADROOM_ALLOW_RUNS"  # variable: whether pages may start anything
FOLDER = "started"  # beside the store
RECORD, PRINTED, LOG, CODE, STOP = "job.json", "stdout", "stderr", "exit-code", "stop"
SOURCES = Path(__file__).resolve().parents[2]
COMMANDS = frozenset(  # those that record runs
    f"trainer.{name}"
    for name in ("sweep", "ablate", "encoders", "zeroshot", "fuse", "verify", "finetune", "extract")
)
STARTED_BY = ["python", "-m"]
WAIT_S = 10.0  # for another page that starts something
INTERRUPTED = 128 + signal.SIGINT
TAIL_BYTES = 8_192  # of a log that are read

_waiting: dict[Path, threading.Thread] = {}  # for the exit code of a command that this process started


class Job(NamedTuple):
    """A command that was started from a page."""

    folder: Path
    command: str  # as a shell would take it
    study: str
    baseline: str  # id of the run that its result is to be compared with; "" for none
    started: float  # UNIX seconds
    pid: int | None  # None: whoever started it was killed at that moment
    running: bool
    code: int | None  # None: it runs, or nobody was there to hear how it ended
    stopping: bool  # somebody has asked it to stop

    @property
    def stopped(self) -> bool:
        """Whether it ended because it was asked to."""
        return self.code == INTERRUPTED


def words_of(command: str) -> list[str]:
    """Return a recorded command as words.

    Raises:
        InputError: it is none of the commands that record runs. A store may have been written by others.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:2] != STARTED_BY or len(words) < 3 or words[2] not in COMMANDS:
        raise InputError(
            f"{command[:200]!r} is no command that can be started here. Expected: python -m "
            f"{', '.join(sorted(COMMANDS))}. Run it in a terminal."
        )
    return words


def ticket(home: Path, study: str) -> str:
    """Return the name of the next job of a study. Whoever starts twice with one ticket has started once."""
    earlier = sum(one.study == study for one in jobs(home))
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", study)[:60]
    return f"{name}-{hashlib.sha256(study.encode()).hexdigest()[:8]}-{earlier + 1}"


def start(home: Path, words: Sequence[str], *, study: str, name: str, baseline: str = "") -> Job:
    """Start a command in a session of its own: it outlives the server, and hears no key of its terminal.

    Args:
        home: folder of all jobs.
        words: of the command, see `words_of`; no shell ever reads them.
        name: its `ticket`.
        baseline: id of the run that its result is to be compared with.

    Returns:
        The job; the one that is there already, if this ticket was used before.

    Raises:
        InputError: another job is running; the command is not one of ours.
        OSError: it cannot be started, or the folder cannot be written to.
    """
    words_of(shlex.join(words))
    home.mkdir(parents=True, exist_ok=True)
    try:
        lock = take(home / ".lock", wait_s=WAIT_S)
    except LockHeld as holder:
        raise InputError(f"Another page is starting a run ({holder}). Try again in a moment.") from holder
    try:
        folder = home / name
        known = read(folder)
        if known is not None:
            return known
        running = next((one for one in jobs(home) if one.running), None)
        if running is not None:
            raise InputError(f"{running.study} is running. Stop it or wait: one run at a time.")
        record = {"command": shlex.join(words), "study": study, "baseline": baseline, "started": time.time()}
        _spawn(folder, [sys.executable, *words[1:]], record)
    finally:
        lock.release()
    job = read(folder)
    assert job is not None
    return job


def stop(job: Job) -> None:
    """Ask a job to save what it has and end, as Ctrl-C does; nothing happens where it has ended."""
    now = read(job.folder)
    if now is None or not now.running or now.pid is None:
        return
    (now.folder / STOP).touch()
    with suppress(ProcessLookupError):
        os.kill(now.pid, signal.SIGINT)


def jobs(home: Path) -> list[Job]:
    """Return all jobs, newest first."""
    try:
        folders = [entry for entry in home.iterdir() if entry.is_dir()]
    except OSError:
        return []
    found = [job for job in map(read, folders) if job is not None]
    return sorted(found, key=lambda one: one.started, reverse=True)


def read(folder: Path) -> Job | None:
    """Return the job in a folder; None where there is none, or what is there cannot be read."""
    record = _record(folder)
    if record is None:
        return None
    running, code = _is_held(folder / LOG), _code(folder)
    if not running and code is None and folder in _waiting:
        _waiting[folder].join(timeout=1.0)  # it has just ended
        code = _code(folder)
    return Job(
        folder=folder,
        command=str(record.get("command", "")),
        study=str(record.get("study", "")),
        baseline=str(record.get("baseline", "")),
        started=float(record.get("started", 0.0)),
        pid=record.get("pid"),
        running=running and code is None,
        code=code,
        stopping=(folder / STOP).exists(),
    )


def last_lines(job: Job, count: int) -> str:
    """Return the last lines that a job wrote to stderr: its progress, and why it ended."""
    try:
        with (job.folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            written = file.read()
    except OSError:
        return ""
    return "\n".join(written.decode(errors="replace").rstrip().splitlines()[-count:])


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _code(folder: Path) -> int | None:
    try:
        return int((folder / CODE).read_text())
    except (OSError, ValueError):
        return None


def _is_held(path: Path) -> bool:
    """Whether a living process has the lock. A shared one is asked for: two who look do not meet."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _spawn(folder: Path, words: list[str], record: dict[str, Any]) -> None:
    """Start the process, with the lock of its log, and wait for its exit code in the background."""
    folder.mkdir()
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
        _write(folder, record)
        pid = os.posix_spawn(
            words[0],
            words,
            {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), *_python_path()])},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / PRINTED), os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            # A server that a script started in the background ignores SIGINT, and so would what it starts.
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
        _write(folder, {**record, "pid": pid})
    except BaseException:
        if "pid" not in (_record(folder) or {}):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(log)
    _waiting[folder] = threading.Thread(target=_wait, args=(folder, pid), daemon=True)
    _waiting[folder].start()


def _python_path() -> list[str]:
    given = os.environ.get("PYTHONPATH")
    return [given] if given else []


def _write(folder: Path, record: dict[str, Any]) -> None:
    atomic.write_bytes(folder / RECORD, json.dumps(record, indent=2).encode())


def _wait(folder: Path, pid: int) -> None:
    """Note how a command ended, by the code that a shell would give it."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):  # the disk is full, or somebody deleted the folder: the code stays unknown
        atomic.write_bytes(folder / CODE, str(code if code >= 0 else 128 - code).encode())
