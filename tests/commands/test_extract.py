"""The extract command: everything found is accounted for, and a second run encodes nothing."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support import commands
from tests.support.image_files import class_folders, encoded, noise
from tests.support.paths import REPO
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.tracking.schema import Artifact, Duplicates, Extracted, Images, Kind, Tag

BAD_IMAGES = REPO.parent / "shared" / "data" / "bad_images"
TOLD = {
    *("found", "used", "quarantined", "dropped_duplicates", "duplicates", "reused", "encoded"),
    *("encoder_calls", "images_per_s"),
}


@pytest.fixture(autouse=True)
def _own_store(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes to MLflow."""
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)


def _extract(*arguments: object, run: Callable = commands.run) -> tuple[int, dict, str]:
    done = run("trainer.extract", "--encoder", "demo", *arguments)
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return done.returncode, json.loads(line), done.stderr


def _adds_up(figures: dict) -> bool:
    return figures["found"] == figures["used"] + figures["quarantined"] + figures["dropped_duplicates"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve images in two folders; two are copies of others; one is no image."""
    for i in range(12):
        folder = tmp_path / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(encoded(noise(min(i, 9))))
    (tmp_path / "images" / "a" / "zero.png").touch()
    (tmp_path / "images" / "README.md").touch()
    return tmp_path / "images"


def test_everything_found_is_accounted_for_and_a_second_run_encodes_nothing(
    images: Path, tmp_path: Path
) -> None:
    options = ("--data", images, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5)
    code, first, said = _extract(*options, run=commands.run_afresh)
    assert code == 0, said
    assert set(first) >= TOLD
    assert _adds_up(first)
    assert [first[name] for name in ("found", "used", "quarantined", "duplicates")] == [13, 12, 1, 2]
    assert (first["encoded"], first["reused"]) == (10, 2)
    assert first["quarantine"] == [{"path": "a/zero.png", "reason": "empty file"}]
    assert "a/zero.png: empty file" in said
    assert "Classes (2): a 6, b 6 · train/val/test 8/2/2 (drawn) · captions – · groups –" in said
    assert "Warning: 1 image occurs with several labels: a/10.png (a) and b/11.png (b)" in said
    assert (first["dropped_conflicts"], first["passed_over"]) == (0, {".md": 1})
    again = _extract(*options)[1]
    assert (again["encoded"], again["reused"], again["encoder_calls"]) == (0, 12, 0)


def test_duplicates_go_only_when_asked(images: Path, tmp_path: Path) -> None:
    options = ("--data", images, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5)
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


def _logged(tracking_uri: str, figures: dict) -> tuple[Run, Path]:
    run = MlflowClient(tracking_uri).get_run(figures["mlflow_run_id"])
    return run, Path(run.info.artifact_uri.removeprefix("file://"))


def test_an_extraction_is_a_run_with_its_tables(images: Path, tmp_path: Path, tracking_uri: str) -> None:
    options = ("--data", images, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5)
    figures = _extract(*options)[1]
    run, folder = _logged(tracking_uri, figures)
    assert run.data.tags[Tag.KIND] == Kind.EXTRACTION
    assert run.data.tags[Tag.DATA] == str(images)
    assert "trainer.extract" in run.data.tags[Tag.COMMAND]
    assert run.info.status == "FINISHED"
    assert {name: run.data.metrics[name] for name in Extracted.METRICS} == {
        name: pytest.approx(figures[name]) for name in Extracted.METRICS
    }
    summary = json.loads((folder / Artifact.SUMMARY).read_text())
    assert summary == {name: value for name, value in figures.items() if name != Extracted.QUARANTINE}
    quarantine = pd.read_parquet(folder / Artifact.QUARANTINE)
    assert quarantine.to_dict("records") == figures["quarantine"]
    shown = pd.read_parquet(folder / Artifact.IMAGES)
    assert len(shown) == 12
    assert (shown[[Images.WIDTH, Images.HEIGHT]] == [16, 12]).all(axis=None)
    assert shown[list(Images.MEASURES)].notna().all(axis=None)
    assert shown[Images.THUMBNAIL].notna().all()  # so few that all lie at an end
    pairs = pd.read_parquet(folder / Artifact.DUPLICATES)
    assert pairs[Duplicates.KIND].tolist() == [Duplicates.SAME] * 2
    assert figures["near_leaks"] == figures["not_compared"] == 0
    assert sum(figures["same_bytes"].values()) == 2


@pytest.mark.slow
def test_a_near_leak_is_a_warning_and_counted(tmp_path: Path, tracking_uri: str) -> None:
    """Drawings of the demo's pack, one stored again as JPEG in test."""
    manifest = load("demo", seed=0)
    assert manifest.images is not None
    for i in range(40):
        split = ("train", "val", "test")[i % 3]
        folder = tmp_path / "data" / split / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(manifest.images[5 * i])
    again = encoded(decode(manifest.images[0]), kind="JPEG", quality=70)
    (tmp_path / "data" / "test" / "a" / "again.jpg").write_bytes(again)
    options = ("--data", tmp_path / "data", "--cache-dir", tmp_path / "cache")
    code, figures, said = _extract(*options)
    assert code == 0, said
    assert figures["near_leaks"] >= 1
    assert figures["near_duplicates"]["test/train"] >= 1
    assert "test images have near-duplicates in train" in said
    assert "test/a/again.jpg and train/a/0.png" in said
    code, figures, said = _extract(*options, "--no-measure")
    assert (figures["near_duplicates"], figures["not_compared"]) == ({}, 41)
    assert "not compared" in said


def test_when_nothing_can_be_used_the_quarantine_is_logged_all_the_same(
    tmp_path: Path, tracking_uri: str
) -> None:
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "x.png").write_bytes(f"no image {name}".encode())
    code, figures, said = _extract(
        "--data", tmp_path / "data", "--cache-dir", tmp_path / "cache", "--max-bad", 1
    )
    assert code == 0, said
    assert (figures["used"], figures["quarantined"], figures["near_duplicates"]) == (0, 2, {})
    folder = _logged(tracking_uri, figures)[1]
    assert len(pd.read_parquet(folder / Artifact.QUARANTINE)) == 2
    assert pd.read_parquet(folder / Artifact.IMAGES).empty


def test_ready_features_are_compared_by_their_vectors_alone(tmp_path: Path, tracking_uri: str) -> None:
    x = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    x[25] = x[0] * 1.01
    np.savez(
        tmp_path / "ready.npz",
        train_x=x[:20],
        train_y=np.arange(20) % 2,
        test_x=x[20:],
        test_y=np.arange(10) % 2,
    )
    code, figures, said = _extract("--data", tmp_path / "ready.npz", "--cache-dir", tmp_path / "cache")
    assert code == 0, said
    assert figures["near_leaks"] == 1
    shown = pd.read_parquet(_logged(tracking_uri, figures)[1] / Artifact.IMAGES)
    assert shown[Images.BRIGHTNESS].isna().all()


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


@pytest.mark.slow
def test_captions_and_views_are_encoded_when_asked_for(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", {"a": 8, "b": 8})
    lines = [
        json.dumps({"file_name": f"a/{i}.png", "caption": "a red bird " * (40 if i == 0 else 1) + str(i)})
        for i in range(6)
    ]
    (data / "metadata.jsonl").write_text("\n".join(lines))
    options = ("--data", data, "--cache-dir", tmp_path / "cache", "--space", "shared", "--captions")
    code, figures, said = _extract(*options, "--views", 2, "--augment.flip", 0.3)
    assert code == 0, said
    assert (figures["captions"], figures["captions_encoded"], figures["captions_cut"]) == (6, 6, 1)
    again = _extract(*options, "--views", 2, "--augment.flip", 0.3)[1]
    assert (again["encoded"], again["captions_encoded"], again["encoder_calls"]) == (0, 0, 0)
    stronger = _extract(*options, "--views", 2, "--augment.flip", 0.9)[1]
    assert 0 < stronger["encoded"] < 16  # views of training images alone
    code, _, said = _extract(*options, "--encoder", "demo+other")
    assert code == 2
    assert "names 2 encoders. Images and texts share a space of one." in said
    code, _, said = _extract(*options, "--augment.hue", 0.9)
    assert code == 2
    assert "--augment.hue is 0.9" in said


def test_memory_for_images_can_be_bounded_and_its_peak_is_told(images: Path, tmp_path: Path) -> None:
    code, figures, said = _extract(
        *("--data", images, "--cache-dir", tmp_path / "cache", "--max-bad", 0.5, "--max-memory", "1K")
    )
    assert code == 0, said
    assert figures["encoded"] == 10
    assert figures["peak_memory_bytes"] > 50 << 20
    assert f"Peak memory: {figures['peak_memory_bytes'] / 2**30:.1f} GiB." in said
