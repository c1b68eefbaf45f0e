"""What a sweep has finished survives its process, whenever that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import REPO, TWO_CORES

KILLS = 5


@pytest.mark.kill
@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_loses_and_doubles_nothing() -> None:
    command = [sys.executable, "benchmarks/kills.py", "--only", "sweep", "--kills", str(KILLS)]
    environment = os.environ | TWO_CORES
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["commands"]["sweep"]["kills"] == KILLS, done.stderr
    assert figures["faults"] == 0, done.stderr
