"""Commands as ``python -m`` runs them, each in a process of its own, without loading the libraries each time.

A server loads the libraries (not our own modules) once and forks for every command. The fork goes on as an
interpreter that was just started: own arguments, environment and output, ``__main__``, exit status. What is
about the start itself, about threads that libraries set up when they are loaded, or about signals, starts
``python -m`` instead.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

REPO = Path(__file__).resolve().parents[2]
LIBRARIES = (
    *("torch", "numpy", "scipy.stats", "pandas", "pyarrow.parquet", "sklearn.metrics", "yaml", "tyro", "PIL"),
    *("safetensors.numpy", "safetensors.torch", "mlflow", "mlflow.tracking", "mlflow.store.tracking"),
    *("mlflow.store.tracking.sqlalchemy_store", "transformers", "filelock", "optuna"),
    *("transformers.models.clip.modeling_clip", "sqlalchemy", "alembic.command"),
)
LARGEST_FILE = "TEST_LARGEST_FILE"  # bytes beyond which no file of a command's process may grow


def run(
    module: str,
    *arguments: object,
    environment: dict[str, str] | None = None,
    largest_file: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """What ``python -m module`` prints, and its exit status.

    Args:
        environment: beside the caller's.
        largest_file: bytes beyond which no file may grow.
    """
    words = [str(one) for one in arguments]
    with tempfile.TemporaryDirectory() as folder:
        limits = {} if largest_file is None else {LARGEST_FILE: str(largest_file)}
        started = start(module, *words, folder=Path(folder), environment={**(environment or {}), **limits})
        status = started.wait()
        assert status is not None
        return subprocess.CompletedProcess(
            [sys.executable, "-m", module, *words], status, started.printed(), started.said()
        )


def start(
    module: str,
    *arguments: object,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    constants: Mapping[str, object] | None = None,
    alone: bool = False,
) -> Started:
    """Start ``python -m module``; one at a time.

    Args:
        folder: where its output goes, as files.
        environment: beside this process's own.
        constants: ``package.module.NAME`` → what it is for this command, such as a smaller size of a shard.
        alone: in a session of its own, so that the processes that it started can be found.
    """
    return _server().start(
        {
            "module": module,
            "argv": [str(one) for one in arguments],
            "env": {**os.environ, **(environment or {})},
            "files": [str(folder / name) for name in ("stdout", "stderr")],
            "constants": dict(constants or {}),
            "alone": alone,
        }
    )


def run_afresh(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same of ``python -m`` itself: slower by the seconds that loading the libraries takes."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPO,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,  # all images of the demo, perhaps on one busy core
        check=False,
    )


class Started:
    """A command that runs.

    Attributes:
        pid: its process.
    """

    def __init__(self, pid: int, server: _Server, files: list[str]) -> None:
        self.pid = pid
        self._status: int | None = None
        self._server = server
        self._files = [Path(file) for file in files]

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit status, negative for a signal; None: it still runs then."""
        if self._status is None:
            self._status = self._server.answer(timeout_s)
        return self._status

    def printed(self) -> str:
        return self._files[0].read_text()

    def said(self) -> str:
        return self._files[1].read_text()


class _Server:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.commands"],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # lines wait in the pipe, where select sees them
        )
        atexit.register(self.stop)

    def start(self, command: dict[str, Any]) -> Started:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        for file in command["files"]:
            Path(file).write_bytes(b"")
        child = self.answer(None)
        assert child is not None
        return Started(child, self, command["files"])

    def answer(self, timeout_s: float | None) -> int | None:
        assert self._process.stdout is not None
        try:
            waiting = select.poll()  # select cannot wait for files of number 1,024 and above
            waiting.register(self._process.stdout, select.POLLIN | select.POLLHUP)
            if not waiting.poll(None if timeout_s is None else 1000 * timeout_s):
                return None
            answer = self._process.stdout.readline()
        except BaseException:  # a test that took too long: the answer must not reach the next one
            self._process.kill()
            _server.cache_clear()
            raise
        assert answer, "the server of commands has ended; its messages are above"
        return int(answer)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # it ends when there is no more to read
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


# --- in the server ----------------------------------------------------------------------------


def _serve(requests: IO[str], answers: IO[str]) -> dict[str, Any] | None:
    """Fork for each request. Returns in each fork, with its command; None in the server, at the end."""
    for line in iter(requests.readline, ""):
        child = os.fork()
        if child == 0:
            return json.loads(line)
        print(child, file=answers, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, file=answers, flush=True)
    return None


def _become(command: dict[str, Any]) -> None:
    """Take on what a fresh process would have been given."""
    if command["alone"]:
        os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, path in enumerate(command["files"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(command["env"])
    if largest := os.environ.pop(LARGEST_FILE, None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), resource.RLIM_INFINITY))
    tempfile.tempdir = None  # of the new environment
    sys.argv = [command["module"], *command["argv"]]
    for name, value in command["constants"].items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)


if __name__ == "__main__":
    import gc
    import runpy
    import threading

    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()  # a fork has none of the others
    gc.collect()
    from mlflow.utils import requirements_utils

    requirements_utils._init_modules_to_packages_map()  # which package has which module: 0.7 s for each model
    gc.freeze()  # what is loaded is no garbage in any fork, and need not be copied to find that out
    given = _serve(os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w"))
    if given is not None:
        _become(given)
        runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
