"""The recipes of docs/scale: files that a launcher reads, and commands that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

from tests.support.paths import REPO
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.extraction.part import parse_part

SCALE = REPO / "docs" / "scale"
PYTHON = '#!/bin/bash\nprintf "%s\\n" "$@" > "$TOLD"\n'


def flags_of(words: list[str]) -> ExtractConfig:
    assert words[:2] == ["-m", "trainer.extract"]
    return tyro.cli(ExtractConfig, args=words[2:])


def test_the_slurm_script_runs_a_worker_with_the_variables_of_its_array(tmp_path: Path) -> None:
    script = SCALE / "extract.sbatch"
    fake, told = tmp_path / "python", tmp_path / "told"
    fake.write_text(PYTHON)
    fake.chmod(0o755)
    given = {"DATA": "/d a/images", "ENCODER": "/clip", "CACHE": "s3://bucket/x", "SLURM_CPUS_PER_TASK": "4"}
    variables = os.environ | given | {"PYTHON": str(fake), "TOLD": str(told)}
    subprocess.run(["bash", str(script)], env=variables, check=True)
    config = flags_of(told.read_text().splitlines())
    assert (config.data, config.part, config.batch_size) == ("/d a/images", "auto", 64)
    unset = {name: value for name, value in variables.items() if name != "CACHE"}
    ended = subprocess.run(
        ["bash", str(script)], env=unset, check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert "CACHE: is not set" in ended.stderr
    directives = re.findall(r"^#SBATCH (--[\w-]+)", script.read_text(), re.MULTILINE)
    assert {"--array", "--requeue"} <= set(directives)


def test_the_line_that_submits_the_slurm_script_names_what_it_needs() -> None:
    line = next(
        one for one in (SCALE / "extract.sbatch").read_text().splitlines() if "sbatch --export" in one
    )
    words = shlex.split(line.lstrip("# "))
    assert Path(words[-1]) == Path("docs/scale/extract.sbatch")
    assert {one.partition("=")[0] for one in words[1].split(",")[1:]} == {"DATA", "ENCODER", "CACHE"}


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((SCALE / "extract-job.yaml").read_text())


def test_every_pod_of_the_job_knows_its_part(job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    (container,) = spec["template"]["spec"]["containers"]
    config = flags_of([*container["command"][1:], *container["args"]])
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert all(isinstance(value, str) for value in environment.values())  # else Kubernetes refuses it
    for index in range(spec["completions"]):
        part = parse_part(str(config.part), environment | {"JOB_COMPLETION_INDEX": str(index)})
        assert part == (index + 1, spec["completions"])


def test_what_the_pods_mount_is_there(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    mounted = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert mounted.keys() == {one["name"] for one in pod["volumes"]}
    environment = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    assert environment["HEADROOM_COPY_DIR"] == mounted["copies"]
