"""Commands as ``python -m`` runs them, each in a process of its own, without loading the libraries each time.

A server loads the libraries (not our own modules) once and forks for every command. The fork goes on as an
interpreter that was just started: own arguments, environment and output, ``__main__``, exit status. What is
about the start itself, about threads that libraries set up when they are loaded, or about signals, starts
``python -m`` instead.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
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


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What ``python -m module`` prints, and its exit status."""
    words = [str(one) for one in arguments]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        command = {"module": module, "argv": words, "env": dict(os.environ), "files": list(map(str, files))}
        status = _server().ask(command)
        printed = [file.read_text() for file in files]
    return subprocess.CompletedProcess([sys.executable, "-m", module, *words], status, *printed)


def run_afresh(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same of ``python -m`` itself: slower by the seconds that loading the libraries takes."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPO,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,  # all images of the demo, perhaps on one busy core
        check=False,
    )


class _Server:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.commands"],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.stop)

    def ask(self, command: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(command), file=self._process.stdin, flush=True)
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
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, file=answers, flush=True)
    return None


def _become(command: dict[str, Any]) -> None:
    """Take on what a fresh process would have been given."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, path in enumerate(command["files"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(command["env"])
    sys.argv = [command["module"], *command["argv"]]


if __name__ == "__main__":
    import gc
    import importlib
    import runpy
    import threading

    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()  # a fork has none of the others
    gc.collect()
    gc.freeze()  # what is loaded is no garbage in any fork, and need not be copied to find that out
    given = _serve(os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w"))
    if given is not None:
        _become(given)
        runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
