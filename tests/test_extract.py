"""The extract command: everything found is accounted for, and a second run encodes nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO
from picture_files import encoded, noise

BAD_IMAGES = REPO.parent / "shared" / "data" / "bad_images"
TOLD = {
    *("found", "used", "quarantined", "dropped_duplicates", "duplicates", "reused", "encoded"),
    *("encoder_calls", "images_per_s"),
}


def _extract(*arguments: object) -> tuple[int, dict, str]:
    done = subprocess.run(
        [sys.executable, "-m", "trainer.extract", "--encoder", "demo", *map(str, arguments)],
        cwd=REPO, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def _adds_up(figures: dict) -> bool:
    return figures["found"] == figures["used"] + figures["quarantined"] + figures["dropped_duplicates"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures in two folders; two are copies of others; one is no picture."""
    for i in range(12):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(encoded(noise(min(i, 9))))
    (tmp_path / "pictures" / "a" / "zero.png").touch()
    return tmp_path / "pictures"


def test_everything_found_is_accounted_for_and_a_second_run_encodes_nothing(
    pictures: Path, tmp_path: Path
) -> None:
    options = ("--data", pictures, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5)
    code, first, said = _extract(*options)
    assert code == 0, said
    assert set(first) >= TOLD
    assert _adds_up(first)
    assert [first[name] for name in ("found", "used", "quarantined", "duplicates")] == [13, 12, 1, 2]
    assert (first["encoded"], first["reused"]) == (10, 2)
    assert first["quarantine"] == [{"path": "a/zero.png", "reason": "empty file"}]
    assert "a/zero.png: empty file" in said
    again = _extract(*options)[1]
    assert (again["encoded"], again["reused"], again["encoder_calls"]) == (0, 12, 0)


def test_duplicates_go_only_when_asked(pictures: Path, tmp_path: Path) -> None:
    options = ("--data", pictures, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5)
    figures = _extract(*options, "--drop-duplicates")[1]
    assert _adds_up(figures)
    assert (figures["used"], figures["dropped_duplicates"], figures["duplicates"]) == (10, 2, 2)


def test_a_leak_is_an_error_until_it_is_allowed(tmp_path: Path) -> None:
    for split, numbers in {"train": range(6), "val": range(6, 9), "test": [9, 10, 3]}.items():
        for number in numbers:
            folder = tmp_path / "data" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.png").write_bytes(encoded(noise(number)))
    options = ("--data", tmp_path / "data", "--cache-dir", tmp_path / "cache")
    code, _, said = _extract(*options)
    assert code == 2
    assert "train/b/3.png and test/b/3.png" in said
    assert _extract(*options, "--allow-leaks")[1]["used"] == 12
    dropped = _extract(*options, "--drop-duplicates")[1]
    assert (dropped["used"], dropped["dropped_duplicates"]) == (11, 1)


@pytest.mark.skipif(not BAD_IMAGES.is_dir(), reason="the shared folder of bad images is not here")
def test_bad_images_come_out_row_by_row_as_expected(tmp_path: Path) -> None:
    with (BAD_IMAGES / "EXPECTED.tsv").open(encoding="utf-8") as file:
        expected = {row["path"]: row["verdict"] for row in csv.DictReader(file, delimiter="\t")}
    copy = shutil.copytree(BAD_IMAGES, tmp_path / "bad")
    code, figures, said = _extract("--data", copy, "--cache-dir", tmp_path / "cache", "--max-bad", 1)
    assert code == 0, said
    verdicts = np.array(list(expected.values()))
    quarantined = {entry["path"] for entry in figures["quarantine"]}
    assert quarantined == {path for path, verdict in expected.items() if verdict == "quarantine"}
    assert figures["used"] == (verdicts == "keep").sum()
    assert figures["found"] == (verdicts != "ignore").sum()
    assert _adds_up(figures)
