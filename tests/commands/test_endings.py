"""A command that is stopped, or has nowhere to write, ends in a sentence and can be resumed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.commands.test_sweep import features_file, first_commit
from tests.support.paths import REPO, TWO_CORES
from trainer.tracking.schema import Kind, Stopped, Tag


@pytest.fixture
def features(tmp_path: Path) -> Path:
    return features_file(tmp_path / "three.npz", classes=3)


def start(module: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=REPO,
        env=os.environ | TWO_CORES,
        text=True,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.kill
@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_signal_ends_a_sweep_once_however_often_it_is_sent(
    features: Path, tracking_uri: str, tmp_path: Path, how: signal.Signals
) -> None:
    where = ["--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache", "--device", "cpu"]
    process = start("trainer.sweep", "--data", features, "--trials", 2000, "--at-once", 4, *where)
    client = MlflowClient(tracking_uri)
    experiment = first_commit(client)
    for _ in range(3):
        process.send_signal(how)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 128 + how
    assert said.count("Interrupted.") == 1
    assert "Traceback" not in said
    (parent,) = client.search_runs([experiment], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'")
    assert (parent.info.status, parent.data.tags[Tag.STOPPED]) == ("KILLED", Stopped.INTERRUPTED)


def test_a_result_that_nobody_reads_ends_quietly(features: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("trainer.check", "--data", features, stdout=write)
    os.close(write)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGPIPE
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_named(features: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("trainer.check", "--data", features, stdout=full)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "Error: A file or standard output cannot be written: No space left on device" in said
    assert "Traceback" not in said


def test_a_sweep_without_room_ends_in_a_sentence_and_is_resumed(
    features: Path, tracking_uri: str, tmp_path: Path
) -> None:
    where = ["--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache", "--device", "cpu"]
    flags = ["--data", features, "--trials", 4, "--seeds", 1, "--study", "full", *where]

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))

    process = start("trainer.sweep", *flags, stdout=subprocess.PIPE, preexec_fn=no_room)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2, said
    assert re.search("(cannot|could not) be (written|used)", said), said
    assert "Traceback" not in said
    printed, said = start("trainer.sweep", *flags, stdout=subprocess.PIPE).communicate(timeout=200)
    assert json.loads(printed)["trials"] == 4, said
