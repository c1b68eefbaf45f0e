"""Ready features that once asked for more memory than there is: many classes, many numbers per vector."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import REPO

MOST = 4_000_000_000  # bytes
# the command in a child of its own; the last line is its peak memory in bytes
CHILD = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], check=False)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""


def swept(folder: Path, tracking_uri: str, *, space: str) -> tuple[int, list[str], str, int]:
    """Return exit code, what was printed, what was said, and the peak memory of a sweep."""
    (folder / "space.yaml").write_text(space)
    flags = ["--trials", "6", "--seeds", "2", "--device", "cpu", "--tracking-uri", tracking_uri]
    flags += ["--data", str(folder / "f.npz"), "--cache-dir", str(folder / "cache")]
    command = [sys.executable, "-m", "trainer.sweep", *flags, "--space", str(folder / "space.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *command], cwd=REPO, capture_output=True, text=True, check=False
    )
    *printed, peak = done.stdout.splitlines()
    return done.returncode, printed, done.stderr, int(peak)


def write(path: Path, *, train: int, others: int, features: int, classes: int) -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(classes, features)).astype(np.float32)
    arrays = {}
    for split, rows in (("train", train), ("val", others), ("test", others)):
        y = np.arange(rows) % classes
        x = centres[y] + random.standard_normal((rows, features), dtype=np.float32)
        arrays |= {f"{split}_x": x, f"{split}_y": y}
    np.savez(path, **arrays)


@pytest.mark.slow
def test_twenty_thousand_classes_are_refused_before_the_work_with_the_numbers(
    tracking_uri: str, tmp_path: Path
) -> None:
    write(tmp_path / "f.npz", train=40_000, others=5_000, features=64, classes=20_000)
    code, printed, said, peak = swept(tmp_path, tracking_uri, space="epochs: 5\n")
    assert code == 2, said
    assert not printed
    assert "with 20,000 classes and 64 features, to evaluate 50,000 rows needs about" in " ".join(
        said.split()
    )
    assert "Study" not in said
    assert "Traceback" not in said
    assert peak < MOST


@pytest.mark.slow
def test_vectors_of_twelve_thousand_numbers_are_searched_in_little_memory(
    tracking_uri: str, tmp_path: Path
) -> None:
    write(tmp_path / "f.npz", train=300, others=60, features=12_000, classes=4)
    space = "depth: 0\nepochs: 5\nsolver: {choice: [lbfgs, gda, ridge, descent]}\n"
    code, printed, said, peak = swept(tmp_path, tracking_uri, space=space)
    assert code == 0, said
    assert json.loads(printed[-1])["failed"] == 0
    assert peak < MOST
