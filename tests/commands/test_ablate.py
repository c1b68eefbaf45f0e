"""The ablation command from end to end: real data, a real encoder, a real store."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support import commands
from tests.support.image_files import encoded
from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.experiments.ablation.config import AblateConfig
from trainer.experiments.ablation.run import run
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run as sweep
from trainer.tracking.schema import Ablated, Ablation, Artifact, Curves, Kind, Scores, Summary, Tag, Verdict

FILTERS = ("agreement>=top80%", "agreement>=top60%")


def features_file(path: Path, *, rows: int = 90, wrong: float = 0.0, dimensions: int = 8) -> Path:
    """Ready features of overlapping clouds; a share of the training labels is wrong."""
    classes, random = 3, np.random.default_rng(0)
    centres = random.normal(size=(classes, dimensions)) * 4 / dimensions**0.5
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        y = np.arange(rows) % classes
        arrays[f"{split}_x"] = (centres[y] + random.normal(size=(rows, dimensions))).astype(np.float32)
        arrays[f"{split}_y"] = np.where(
            random.random(rows) < wrong * (split == "train"), (y + 1) % classes, y
        )
    np.savez(path, **arrays)
    return path


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path) -> AblateConfig:
    return AblateConfig(
        data=str(features_file(tmp_path / "clouds.npz")),
        tracking_uri=tracking_uri,
        cache_dir=tmp_path / "cache",
        device="cpu",
        study="study",
        seeds=6,
        filters=FILTERS,
    )


def table_of(tracking_uri: str, run_id: str, artifact: str = Artifact.ABLATION) -> pd.DataFrame:
    return pd.read_parquet(MlflowClient(tracking_uri).download_artifacts(run_id, artifact))


def runs_of(tracking_uri: str) -> list[Any]:
    client = MlflowClient(tracking_uri)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def test_an_ablation_is_a_parent_run_with_its_tables_and_a_child_per_cell(config: AblateConfig) -> None:
    figures = run(config)
    assert figures[Ablated.CELLS] == 3
    assert figures[Ablated.TRAINED] == 6 * (3 + 2)
    assert figures[Ablated.COUNTS] == {"train": 90, "val": 90, "test": 90}
    json.dumps(figures, allow_nan=False)

    table = table_of(config.tracking_uri, figures[Ablated.RUN_ID])
    assert table[Ablation.FILTER].tolist() == ["none", *FILTERS]
    assert table[Ablation.KEPT].tolist() == [90, 72, 54]
    assert (table[Ablation.STEPS] == 40).all()
    scores = table_of(config.tracking_uri, figures[Ablated.RUN_ID], Artifact.SCORES)
    assert scores[f"{Scores.KEEP_PREFIX}2"].sum() == 54
    assert scores[f"{Scores.SCORE_PREFIX}agreement"].between(0, 1).all()
    curves = table_of(config.tracking_uri, figures[Ablated.RUN_ID], Artifact.CURVES)
    assert set(curves[Curves.TRIAL]) == {0, 1, 2}
    assert set(curves[Curves.SEED]) == set(range(6))

    parents, cells = (
        [one for one in runs_of(config.tracking_uri) if one.data.tags[Tag.KIND] == kind]
        for kind in (Kind.ABLATION, Kind.CELL)
    )
    assert [one.info.status for one in parents] == ["FINISHED"]
    assert {one.info.run_name for one in cells} == {"none", *FILTERS}
    assert all(one.data.tags[Tag.PARENT] == parents[0].info.run_id for one in cells)
    by_name = {one.info.run_name: one.data.metrics for one in cells}
    assert by_name[FILTERS[0]]["effect"] == pytest.approx(table[Ablation.EFFECT].iloc[1])
    assert by_name["none"]["kept"] == 90


def test_wrong_labels_are_found_by_label_agreement(config: AblateConfig, tmp_path: Path) -> None:
    data = str(features_file(tmp_path / "wrong.npz", rows=400, wrong=0.3, dimensions=64))
    figures = run(dataclasses.replace(config, data=data, filters=("agreement>=top60%",)))
    assert [cell[Ablation.FILTER] for cell in figures[Ablated.HELPFUL]] == ["agreement>=top60%"]
    assert figures[Ablated.ADVICE].startswith("Use agreement>=top60%: macro-F1 +")


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_ablation_goes_on_where_it_stopped_and_ends_as_if_nothing_had_happened(
    config: AblateConfig, tmp_path: Path
) -> None:
    whole = table_of(config.tracking_uri, run(dataclasses.replace(config, study="whole"))[Ablated.RUN_ID])
    flags = {
        "--data": config.data,
        "--tracking-uri": config.tracking_uri,
        "--cache-dir": str(config.cache_dir),
        "--study": "cut",
        "--seeds": "6",
    }
    words = [*(word for flag in flags.items() for word in flag), "--filters", *FILTERS, "--device", "cpu"]
    killed = commands.start("trainer.ablate", *words, folder=tmp_path)
    limit = time.monotonic() + 120
    answers: list[Path] = []
    while not answers and killed.wait(0.02) is None and time.monotonic() < limit:
        known = [one.info.run_id for one in runs_of(config.tracking_uri) if one.info.run_name == "cut"]
        answers = [p for run_id in known for p in tmp_path.rglob(f"{run_id}/artifacts/{Artifact.ANSWERS}")]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert answers, "the ablation ended before it had written anything"
    figures = run(dataclasses.replace(config, study="cut"))
    pd.testing.assert_frame_equal(table_of(config.tracking_uri, figures[Ablated.RUN_ID]), whole)


@pytest.mark.slow
def test_an_ablation_that_is_done_is_not_trained_again_and_more_seeds_are_added(
    config: AblateConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(config)
    assert run(config)[Ablated.ADVICE] == first[Ablated.ADVICE]
    assert "all of its 6 seeds are on record" in capsys.readouterr().err
    more = run(dataclasses.replace(config, seeds=8))
    assert more[Ablated.RUN_ID] == first[Ablated.RUN_ID]
    assert more[Ablated.TRAINED] == 8 * 5
    assert "6 of 8 rounds are on record" in capsys.readouterr().err


def test_an_ablation_does_not_go_on_with_other_filters(config: AblateConfig) -> None:
    run(config)
    with pytest.raises(InputError, match="cannot be resumed like this"):
        run(dataclasses.replace(config, filters=("agreement>=top70%",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 5}, "--seeds is 5; it must be at least 6"),
        ({"filters": ("clip>=0.2",)}, "'clip'.*no training row has a caption"),
        ({"filters": ("quality>=0",)}, "no images to measure"),
        ({"filters": ("aesthetic>=5",)}, "pass --aesthetic"),
        ({"filters": ("agreement>=0.9999",)}, "none of the class"),
        ({"views": 2}, "holds precomputed features"),
        ({"bad_source": 0.2}, "has precomputed features. Pass --mismatch"),
        ({"mismatch": 1.5}, "--mismatch is 1.5"),
        ({"head": "0" * 32}, "0000"),
        ({"aesthetic": "no/such/file.pth"}, "no/such/file.pth"),
        ({"groups": "("}, "not a regular expression"),
        ({"wording": dataclasses.replace(AblateConfig().wording, deletion=2.0)}, "wording.deletion"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_before_anything_is_written(
    config: AblateConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(config, **change))
    assert runs_of(config.tracking_uri) == []


@pytest.mark.slow
def test_heads_can_be_tuned_in_every_cell_or_taken_from_a_sweep(config: AblateConfig, tmp_path: Path) -> None:
    figures = run(dataclasses.replace(config, retune=4, study="tuned"))
    heads = table_of(config.tracking_uri, figures[Ablated.RUN_ID])[Ablation.HEAD].map(json.loads)
    assert {head["epochs"] for head in heads} == {40}
    found = sweep(
        SweepConfig(
            data=config.data,
            tracking_uri=config.tracking_uri,
            cache_dir=config.cache_dir,
            trials=3,
            seeds=1,
            fresh_seeds=0,
            device="cpu",
        )
    )
    taken = dataclasses.replace(config, head=found[Summary.RUN_ID], study="taken", class_weight="balanced")
    head = json.loads(table_of(config.tracking_uri, run(taken)[Ablated.RUN_ID])[Ablation.HEAD].iloc[0])
    assert head["solver"] == "gda"  # what a sweep tries first
    assert head["class_weight"] == "balanced"


def test_the_report_lies_beside_its_images(config: AblateConfig, tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.md"
    figures = run(dataclasses.replace(config, report=path))
    text = path.read_text()
    assert all(name in text for name in FILTERS)
    images = re.findall(r"\]\((\S+\.png)\)", text)
    assert images
    for name in images:
        assert (path.parent / name).read_bytes().startswith(b"\x89PNG")
    assert figures[Ablated.STUDY] in text


def test_a_report_for_a_pipe_is_the_text_alone(config: AblateConfig, tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.md"
    path.parent.mkdir()
    os.mkfifo(path)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(path.read_text()), daemon=True)
    reader.start()
    run(dataclasses.replace(config, report=path))
    reader.join(timeout=300)
    assert all(name in heard[0] for name in FILTERS)
    assert [one.name for one in path.parent.iterdir()] == ["report.md"]


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_recorded(config: AblateConfig) -> None:
    for report in (Path(config.data), Path(config.data) / "report.md"):
        with pytest.raises(InputError, match=r"--report .* (is read by this command|cannot be written)"):
            run(dataclasses.replace(config, report=report))
    assert runs_of(config.tracking_uri) == []


# --- images ---------------------------------------------------------------------------------


def image_folder(folder: Path, *, each: int = 12) -> Path:
    """Two kinds of images that any encoder tells apart, in three splits."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for label, colour in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
            for number in range(each):
                pixels = np.clip(np.array(colour) + random.normal(0, 40, (64, 64, 3)), 0, 255).astype(
                    np.uint8
                )
                path = folder / split / label / f"{'person' + str(number // 2)}_{split}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(pixels))
    return folder


@pytest.fixture
def images(config: AblateConfig, tmp_path: Path) -> AblateConfig:
    folder = image_folder(tmp_path / "images")
    return dataclasses.replace(
        config, data=str(folder), encoder="demo", filters=("quality>=top80%",), batch_size=16, workers=0
    )


def test_twenty_test_images_planted_into_train_are_caught_before_any_training(
    images: AblateConfig,
) -> None:
    folder = Path(images.data)
    for path in sorted((folder / "test").rglob("*.png"))[:20]:
        shutil.copy(path, folder / "train" / path.parent.name / f"stolen_{path.name}")
    with pytest.raises(InputError, match="20 duplicates between train and val or test"):
        run(images)
    assert runs_of(images.tracking_uri) == []


@pytest.mark.slow
def test_a_person_who_stands_in_two_splits_is_refused_and_can_be_left_out_of_train(
    images: AblateConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    grouped = dataclasses.replace(images, groups=r"(person\d+)_")
    with pytest.raises(InputError, match="6 groups in more than one split"):
        run(grouped)
    by_split = dataclasses.replace(images, groups=r"(person\d+_[a-z]+)_", drop_shared_groups=True)
    run(by_split)
    assert "Left out" not in capsys.readouterr().err


@pytest.mark.slow
def test_images_have_cells_with_augmentation_and_a_bad_source_is_found_by_quality(
    images: AblateConfig,
) -> None:
    figures = run(dataclasses.replace(images, bad_source=0.25))
    table = table_of(images.tracking_uri, figures[Ablated.RUN_ID])
    assert table[Ablation.AUGMENT].tolist() == [False, True] * 2
    assert table[Ablation.CORRUPTED].tolist() == [6] * 4
    assert table[Ablation.PRECISION].iloc[2] == 1.0
    area, low, _ = figures[Ablated.SEPARATION]["quality"]["mismatched"]
    assert area == 1.0
    assert 0.7 < low < 1
    assert table[Ablation.VERDICT].iloc[0] == Verdict.BASELINE


@pytest.mark.slow
def test_the_same_cells_can_be_trained_on_several_encoders(images: AblateConfig, saved_clip: Path) -> None:
    figures = run(dataclasses.replace(images, encoders=(str(saved_clip),), views=0))
    table = table_of(images.tracking_uri, figures[Ablated.RUN_ID])
    assert table[Ablation.ENCODER].nunique() == 2
    assert table[Ablation.CELL].tolist() == [0, 1, 0, 1]
    curves = table_of(images.tracking_uri, figures[Ablated.RUN_ID], Artifact.CURVES)
    assert set(curves[Curves.TRIAL]) == {0, 1, 2, 3}


@pytest.mark.slow
def test_a_dry_run_scores_captions_without_any_labels_and_writes_nothing(
    config: AblateConfig, tmp_path: Path
) -> None:
    """On the demo's own drawings, whose captions the demo encoder has not seen in this order."""
    demo = AblateConfig(
        tracking_uri=config.tracking_uri,
        dry_run=True,
        shuffle_captions=0.33,
        device="cpu",
        filters=("clip>=top70%",),
        cache_dir=REPO / ".cache" / "headroom",
    )
    figures = run(demo)
    area, low, high = figures[Ablated.SEPARATION]["clip"]["caption_swapped"]
    assert 0.65 < low < area < high
    found = figures[Ablated.FILTERS]["clip>=top70%"]
    assert found["precision"] > 0.5
    assert figures[Ablated.WORDING]["rows"] == 1036
    json.dumps(figures, allow_nan=False)
    assert runs_of(config.tracking_uri) == []


@pytest.mark.slow
def test_random_filters_are_not_called_helpful_and_a_planted_effect_is_found() -> None:
    """The small version of what ``benchmarks/ablation.py`` measures in 100 repeats."""
    repeats = 4
    command = [sys.executable, "benchmarks/ablation.py", "--repeats", str(repeats)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["clouds"]
    assert figures["false_alarms"] == 0
    assert figures["found"] == repeats
