"""The check command: it reads everything, writes nothing, and says what a sweep would refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support import commands
from tests.support.image_files import class_folders


def _check(*arguments: object) -> tuple[int, dict, str]:
    done = commands.run("trainer.check", *arguments)
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return done.returncode, json.loads(line), done.stderr


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", {"cat": 40, "dog": 40})


def test_data_that_can_be_used_are_described_and_nothing_is_written(images: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    where = ["--cache-dir", tmp_path / "cache", "--tracking-uri", f"sqlite:///{tmp_path}/store.db"]
    code, figures, said = _check("--data", images, "--encoder", "demo", *where)
    assert code == 0, said
    assert figures["classes"] == {"cat": 40, "dog": 40}
    assert figures["images"] == figures["not_cached"] == figures["rows"] == 80
    assert figures["cache_bytes"] == 80 * 256 * 2
    assert "Classes (2): cat 40, dog 40 · train/val/test" in said
    assert f"python -m trainer.sweep --tracking-uri sqlite:///{tmp_path}/store.db" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_all_that_looks_wrong_is_told_at_once_and_a_refusal_has_its_exit_code(
    images: Path, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        shutil.copytree(images, tmp_path / "data" / split)  # every image is in both
    shutil.copy(images / "cat" / "0.png", tmp_path / "data" / "train" / "dog" / "a_cat.png")
    (tmp_path / "data" / "train" / "dog" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "data" / "train" / "dog" / "empty.png").touch()
    (tmp_path / "data" / "train" / "dog" / "notes.docx").write_text("x")
    code, figures, said = _check("--data", tmp_path / "data", "--encoder", tmp_path / "no-encoder")
    assert code == 1
    errors = [one["text"] for one in figures["findings"] if one["severity"] == "error"]
    warnings = [one["text"] for one in figures["findings"] if one["severity"] == "warning"]
    assert any("between train and val or test" in text for text in errors)
    assert any("no-encoder" in text for text in errors)
    assert any("with several labels" in text for text in warnings)
    assert any("2 of" in text and "cannot be used" in text for text in warnings)
    assert figures["passed_over"] == {".docx": 1}
    assert {Path(one["path"]).name for one in figures["bad"]} == {"cut.png", "empty.png"}
    assert all(one["text"] in said for one in figures["findings"])


def test_flags_are_judged_as_a_sweep_judges_them_and_joined_encoders_add_up(
    images: Path, tmp_path: Path, saved_clip: Path
) -> None:
    shutil.copy(images / "cat" / "0.png", images / "dog" / "a_cat.png")
    joined = ["--data", images, "--encoder", f"demo+{saved_clip}", "--cache-dir", tmp_path / "cache"]
    code, figures, said = _check(*joined, "--label-conflicts", "refuse")
    assert code == 1
    assert [one["severity"] for one in figures["findings"] if "several labels" in one["text"]] == ["error"]
    assert figures["cache_bytes"] == 80 * (256 + 32) * 2
    assert said.count("with several labels") == 1
    code, figures, _ = _check(*joined, "--label-conflicts", "drop", "--drop-duplicates")
    assert code == 0
    assert not [one for one in figures["findings"] if "several labels" in one["text"]]


def test_ready_features_are_checked_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"{split}_{name}": array
        for split in ("train", "val", "test")
        for name, array in (("x", random.normal(size=(30, 4)) * [1, 1, 1, 0]), ("y", np.arange(30) % 3))
    }
    np.savez(tmp_path / "f.npz", **arrays)
    code, figures, _ = _check("--data", tmp_path / "f.npz")
    assert code == 0
    assert figures["features"] == 4
    assert any("1 of 4 are constant in the training rows" in one["text"] for one in figures["findings"])


def test_data_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    code, _, said = _check("--data", tmp_path / "nothing")
    assert code == 2
    assert "There is no file or folder" in said
