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

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.commands.test_sweep import features_file, first_commit
from tests.support import commands
from tests.support.image_files import class_folders
from tests.support.paths import REPO, TWO_CORES
from trainer.features.key import EncoderKey, digest_of
from trainer.features.store import FeatureStore
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
        **{"stderr": subprocess.PIPE, **options},  # type: ignore[call-overload]
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
    _, said = process.communicate(timeout=600)
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
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGPIPE
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_named(features: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("trainer.check", "--data", features, stdout=full)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "Error: A file or standard output cannot be written: No space left on device" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_messages_that_cannot_be_written_end_no_work(features: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("trainer.check", "--data", features, stdout=subprocess.PIPE, stderr=full)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert json.loads(printed)["rows"] == 120


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("trainer.check", "--help"), ("trainer", "--help")])
def test_a_help_that_cannot_be_written_ends_in_a_sentence(words: tuple[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        process = start(*words, stdout=full)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert said.startswith("Error: A file or standard output cannot be written: No space left on device")
    assert "Traceback" not in said


def test_output_that_nobody_reads_interrupts_the_command(features: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("trainer.check", "--data", features, stdout=write, stderr=write)
    os.close(write)
    assert process.wait(timeout=300) == 128 + signal.SIGPIPE


def test_a_deleted_working_directory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    gone = tmp_path / "gone"
    gone.mkdir()

    def delete() -> None:
        os.chdir(gone)
        gone.rmdir()

    _, said = (process := start("trainer.check", preexec_fn=delete)).communicate(timeout=300)
    assert process.returncode == 2
    assert said.startswith("Error: The working directory cannot be used: No such file or directory.")


def test_too_few_open_files_are_refused_before_the_work() -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    _, said = (process := start("trainer.check", preexec_fn=few)).communicate(timeout=300)
    assert process.returncode == 2
    assert "Error: This process may open 40 files, and needs up to 128. Raise the limit (ulimit -n" in said


@pytest.mark.slow
def test_a_sweep_without_room_ends_in_a_sentence_and_is_resumed(
    features: Path, tracking_uri: str, tmp_path: Path
) -> None:
    where = ["--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache", "--device", "cpu"]
    flags = ["--data", features, "--trials", 4, "--seeds", 1, "--study", "full", *where]

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))

    process = start("trainer.sweep", *flags, stdout=subprocess.PIPE, preexec_fn=no_room)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 2, said
    assert re.search("(cannot|could not) be (written|used)", said), said
    assert "Traceback" not in said
    printed, said = start("trainer.sweep", *flags, stdout=subprocess.PIPE).communicate(timeout=600)
    assert json.loads(printed)["trials"] == 4, said


@pytest.mark.slow
def test_an_error_ends_in_its_sentence_while_a_map_is_drawn_in_the_background(
    tracking_uri: str, tmp_path: Path
) -> None:
    rows, random = 4000, np.random.default_rng(0)
    label_n = np.arange(rows) // 3 % 3
    x_nd = (random.normal(size=(rows, 256)) + label_n[:, None]).astype(np.float32)
    arrays = {f"{split}_x": x_nd[at::3] for at, split in enumerate(("train", "val", "test"))}
    arrays |= {f"{split}_y": label_n[at::3] for at, split in enumerate(("train", "val", "test"))}
    np.savez(tmp_path / "many.npz", **arrays)

    def no_room_for_vectors() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))

    flags = ["--data", tmp_path / "many.npz", "--trials", 2, "--seeds", 1, "--validate", "holdout"]
    flags += ["--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache", "--device", "cpu"]
    for _ in range(2):  # a thread that is ended within a library does not abort the process each time
        process = start("trainer.sweep", *flags, stdout=subprocess.PIPE, preexec_fn=no_room_for_vectors)
        _, said = process.communicate(timeout=800)
        assert process.returncode == 2, said
        assert "vectors.safetensors cannot be written: File too large" in said
        assert said.splitlines()[-1].startswith("Error: ")


@pytest.mark.slow
def test_an_extraction_without_room_ends_in_a_sentence_and_goes_on_with_what_it_had(
    tracking_uri: str, tmp_path: Path
) -> None:
    images = class_folders(tmp_path / "images", {"a": 6, "b": 6})
    flags = ["--data", images, "--encoder", "demo", "--tracking-uri", tracking_uri, "--workers", 0]
    flags += ["--device", "cpu", "--cache-dir"]
    whole = json.loads(commands.run("trainer.extract", *flags, tmp_path / "other").stdout)
    stopped = commands.run("trainer.extract", *flags, tmp_path / "cache", largest_file=4_000)
    assert stopped.returncode == 2, stopped.stderr
    assert re.search("Error: .*cannot be written: File too large", stopped.stderr)
    assert "Traceback" not in stopped.stderr
    resumed = json.loads(commands.run("trainer.extract", *flags, tmp_path / "cache").stdout)
    for name in ("found", "used", "quarantined", "encoder"):
        assert resumed[name] == whole[name]


def test_an_export_without_room_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    key = EncoderKey({"pooling": "toy"}, digest_of({"pooling": "toy"}))
    store = FeatureStore(tmp_path / "cache" / "features", key)
    with store.lock():
        names = [f"{i:064x}" for i in range(20)]
        store.append(names, np.random.default_rng(0).normal(size=(20, 9)), sample_id=names)
    flags = ["export", "--key", key.digest[:8], "--cache-dir", tmp_path / "cache"]
    flags += ["--file", tmp_path / "out" / "vectors.npz"]
    stopped = commands.run("trainer.cache", *flags, largest_file=2_000)
    assert stopped.returncode == 2, stopped.stderr
    assert f"{tmp_path / 'out' / 'vectors.npz'} cannot be written: File too large" in stopped.stderr
    assert re.search(r"The file takes [\d,]+ bytes\. Free some space there", stopped.stderr)
    assert "(--file)" in stopped.stderr
    assert not list((tmp_path / "out").iterdir())
    assert commands.run("trainer.cache", *flags).returncode == 0
