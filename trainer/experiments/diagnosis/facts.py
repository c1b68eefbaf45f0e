"""What several checks need to know, asked once. Standard library only."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from trainer.experiments.diagnosis.config import DoctorConfig

TORCH_WITHIN_S = 120  # it loads gigabytes, at first from a slow disk
DRIVER_WITHIN_S = 20
SOURCES = Path(__file__).resolve().parents[3]
NO_DEVICE, MISMATCH = 100, 803  # what cuInit returns


class Driver(NamedTuple):
    """NVIDIA's driver: all empty where there is none."""

    gpus: tuple[str, ...] = ()
    version: str = ""
    cuda: tuple[int, int] | None = None  # the newest that it serves
    problem: str = ""


class Facts:
    """The machine, as far as it was asked."""

    def __init__(self, config: DoctorConfig) -> None:
        self.config = config

    @cached_property
    def torch(self) -> dict[str, Any]:
        """Return what `torch_probe` found, or why it could not: the key ``error``."""
        return _ask("torch_probe", TORCH_WITHIN_S)

    @cached_property
    def driver(self) -> Driver:
        """Return what nvidia-smi says and, where that is missing, as in a container, the driver itself."""
        told = _ask("driver_probe", DRIVER_WITHIN_S)
        code, cuda = told.get("error", 0), told.get("cuda") or (0, 0)
        served = (cuda[0], cuda[1] // 10) if cuda[0] else None
        if shutil.which("nvidia-smi"):
            return _by_program(served)
        gpus = tuple(f"GPU {number}" for number in range(told.get("devices", 0)))
        if code == MISMATCH:
            return Driver(gpus, "", served, "Driver/library version mismatch")
        problem = "" if code in (0, NO_DEVICE) else f"the driver does not start (error {code})"
        return Driver(gpus, "", served, problem)


def _by_program(served: tuple[int, int] | None) -> Driver:
    """Return what nvidia-smi says; ``served`` where its heading does not tell the version of CUDA."""
    code, heading = _run(["nvidia-smi"], DRIVER_WITHIN_S)
    if code:
        return Driver(problem=next(iter(heading.strip().splitlines()), f"nvidia-smi: exit code {code}"))
    found = re.search(r"CUDA[^:|]*Version: *(\d+)\.(\d+)", heading)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    rows = list(csv.reader(_run(query, DRIVER_WITHIN_S)[1].splitlines(), skipinitialspace=True))
    gpus = [row for row in rows if len(row) == 3]
    return Driver(
        tuple(f"{name} ({memory})" for name, _, memory in gpus),
        gpus[0][1] if gpus else "",
        (int(found[1]), int(found[2])) if found else served,
    )


def _ask(probe: str, seconds: float) -> dict[str, Any]:
    """Return what a probe prints, or why it could not: the key ``error``, a text."""
    source = f"from trainer.experiments.diagnosis import {probe}; {probe}.main()"
    code, told = _run([sys.executable, "-c", source], seconds)
    lines = told.strip().splitlines() or [""]
    if code == 0:
        found: dict[str, Any] = json.loads(lines[-1])
        return found
    if code < 0:
        return {"error": f"it ends Python with {signal.Signals(-code).name}"}
    return {"error": lines[-1]}


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    """Return a program's exit code and output; where that is not 0, what it says on stderr comes last."""
    path = os.pathsep.join(filter(None, [str(SOURCES), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {seconds:g} s"
    except OSError as error:
        return 1, str(error)
    output = done.stdout + (done.stderr if done.returncode else b"")
    return done.returncode, output.decode("utf-8", "replace")
