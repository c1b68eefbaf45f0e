"""Two commands at once: one waits or is refused, and says for whom; nothing is half done afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import REPO, TWO_CORES
from trainer.features import store_admin
from trainer.features.key import EncoderKey, digest_of
from trainer.features.store import FeatureStore
from trainer.features.vector_file import ExportedVectors, write_vectors

KEY = EncoderKey({"pooling": "Toy"}, digest_of({"pooling": "Toy"}))
COUNT = 40
CONTENT = [f"{row:064x}" for row in range(COUNT)]
VECTORS = np.arange(COUNT * 4, dtype=np.float16).reshape(COUNT, 4)

WRITER = """
import sys
from tests.commands.test_two_at_once import CONTENT, KEY, VECTORS, FeatureStore, Path
store = FeatureStore(Path(sys.argv[1]), KEY)
with store.lock():
    store.append(CONTENT[:3], VECTORS[:3].astype("float32"), sample_id=CONTENT[:3])
    print("holds", flush=True)
    sys.stdin.readline()
    store.append(CONTENT[3:6], VECTORS[3:6].astype("float32"), sample_id=CONTENT[3:6])
"""


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return _start("-m", module, *arguments)


def _start(*words: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    environment = os.environ | TWO_CORES
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(
        command, cwd=REPO, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, dict, str]:
    out, err = process.communicate(timeout=600)
    return process.returncode, json.loads(out.strip().splitlines()[-1]) if out.strip() else {}, err


def told(process: subprocess.Popen[str]) -> str:
    """The next line that a command says."""
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a key, has stored three vectors, and stores three more when it reads a line."""
    process = _start("-c", WRITER, tmp_path / "features")
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n", process.communicate()[1]
    yield process
    process.kill()
    process.communicate()


def leave(writer: subprocess.Popen[str]) -> None:
    writer.communicate("\n")
    assert writer.returncode == 0


def test_prune_waits_for_the_command_that_uses_the_key_and_names_it(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    prune = start("trainer.cache", "prune", "--key", KEY.digest[:6], "--cache-dir", tmp_path)
    assert f"Waiting for process {writer.pid} (" in told(prune)
    leave(writer)
    code, figures, err = ended(prune)
    assert (code, figures["removed"]) == (0, 6), err
    assert list((tmp_path / "features").iterdir()) == []


def test_prune_does_not_wait_for_a_command_that_was_killed(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    code, figures, err = ended(
        start("trainer.cache", "prune", "--key", KEY.digest[:6], "--cache-dir", tmp_path)
    )
    assert (code, figures["removed"]) == (0, 3)
    assert "Waiting" not in err


def test_of_two_prunes_one_says_that_the_key_is_gone(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    both = [start("trainer.cache", "prune", "--key", KEY.digest[:6], "--cache-dir", tmp_path) for _ in "ab"]
    for one in both:
        assert "Waiting for process" in told(one)
    leave(writer)
    ends = sorted((ended(one) for one in both), key=lambda end: end[0])
    assert [code for code, _, _ in ends] == [0, 2]
    assert "was removed by another process meanwhile" in ends[1][2]
    assert list((tmp_path / "features").iterdir()) == []


def test_of_two_imports_into_one_key_the_second_finds_all_there(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    file = tmp_path / "out.npz"
    write_vectors(file, ExportedVectors(CONTENT, VECTORS, KEY))
    both = [start("trainer.cache", "import", "--file", file, "--cache-dir", tmp_path) for _ in "ab"]
    for one in both:
        assert "Waiting for process" in told(one)
    leave(writer)
    ends = [ended(one) for one in both]
    assert [code for code, _, _ in ends] == [0, 0]
    assert sorted(figures["imported"] for _, figures, _ in ends) == [0, COUNT - 6]
    (entry,) = store_admin.entries(tmp_path / "features")
    assert (entry.vectors, store_admin.verify(entry)) == (COUNT, [])


def test_a_command_whose_cache_is_deleted_goes_on(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "features")
    leave(writer)
    store = FeatureStore(tmp_path / "features", KEY)
    assert store.contents() == CONTENT[3:6]
    assert store.warnings == []


ANYTHING = """
import shutil, sys
from random import Random
from tests.commands.test_two_at_once import *
from trainer.core.errors import InputError
root, rng = Path(sys.argv[1]), Random(int(sys.argv[2]))
actions = ["encode"] * 3 + ["import", "verify", "list", *sys.argv[3:]]
for _ in range(150):
    what = rng.choice(actions)
    try:
        if what == "encode":
            store = FeatureStore(root, KEY)
            some = rng.sample(range(COUNT), 9)
            names = [CONTENT[row] for row in some]
            with store.lock():
                new = [row for row in some if CONTENT[row] not in store]
                if new:
                    ids = [CONTENT[row] for row in new]
                    store.append(ids, VECTORS[new].astype("float32"), sample_id=ids)
            assert (store.lookup_all(names) == VECTORS[some]).all()
        elif what == "import":
            store_admin.import_vectors(root.parent / "out.npz", root)
        elif what == "delete":
            shutil.rmtree(root, ignore_errors=True)
        for entry in store_admin.entries(root):
            if what == "prune":
                store_admin.prune(entry)
            elif what == "verify":
                damages = store_admin.verify(entry)
                assert "delete" in actions or damages == [], damages
    except InputError as error:
        assert what == "prune" and "removed by another process" in str(error), error
"""


@pytest.mark.slow
@pytest.mark.parametrize("removal", ["prune", "delete"])
def test_anything_at_once_gives_right_vectors_and_leaves_an_intact_store(
    tmp_path: Path, removal: str
) -> None:
    write_vectors(tmp_path / "out.npz", ExportedVectors(CONTENT, VECTORS, KEY))
    root = tmp_path / "features"
    for process in [_start("-c", ANYTHING, root, seed, removal) for seed in range(4)]:
        code, _, err = ended(process)
        assert code == 0, err
    store = FeatureStore(root, KEY)
    assert store.warnings == []
    assert all(store_admin.verify(entry) == [] for entry in store_admin.entries(root))
    assert {path.name for path in root.rglob(".*") if path.is_file()} <= {".lock"}


@pytest.mark.slow
def test_of_two_sweeps_with_one_study_one_is_refused_and_names_the_other(
    tracking_uri: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = rng.normal(size=(200, 8)) + y[:, None]
    np.savez(tmp_path / "data.npz", train_x=x.astype(np.float32), train_y=y)
    (tmp_path / "space.yaml").write_text("width: {choice: [8]}\nepochs: 4\n")
    how = ("--data", tmp_path / "data.npz", "--space", tmp_path / "space.yaml", "--device", "cpu")
    how += ("--trials", 4, "--seeds", 1, "--study", "mine")
    where = ("--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache")
    both = [start("trainer.sweep", *how, *where) for _ in "ab"]
    ends = sorted((ended(one) for one in both), key=lambda end: end[0])
    assert ends[0][0] == 0, ends
    assert ends[1][0] in (0, 2), ends
    if ends[1][0] == 2:  # else the other had ended before, and this one found it on record
        pids = [one.pid for one in both]
        assert any(
            f"mine is being written by another process: process {pid} (trainer.sweep" in ends[1][2]
            for pid in pids
        )
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    ids = [one.experiment_id for one in client.search_experiments()]
    parents = [run for run in client.search_runs(ids) if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
