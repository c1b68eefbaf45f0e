"""Zero-shot and fusion runs as the real commands write them, on small images; cut short where a test "
"wants."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from tests.support.image_files import encoded
from trainer.experiments.fusion.config import FuseConfig
from trainer.experiments.fusion.run import run as fuse
from trainer.experiments.zero_shot.config import ZeroShotConfig
from trainer.experiments.zero_shot.run import run as zeroshot
from trainer.tracking.schema import Artifact, Fused, Tag, ZeroShot

CLASSES = {"blue": (90, 60, 150), "green": (60, 140, 80), "red": (150, 60, 90)}


def images(folder: Path, *, each: int = 10, hostile: str = "") -> Path:
    """Three kinds of noise in three splits. Most have a caption; of these two thirds name their class."""
    random, rows = np.random.default_rng(0), []
    for split in ("train", "val", "test"):
        for label, colour in CLASSES.items():
            for number in range(each):
                tint = np.array(colour) + random.normal(0, 35, 3)
                pixels = np.clip(tint + random.normal(0, 40, (48, 48, 3)), 0, 255).astype(np.uint8)
                path = folder / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(pixels))
                caption = ("", f"{label} noise {hostile}", f"a {label} thing, old", "something coloured")[
                    number % 4
                ]
                rows.append((path.relative_to(folder).as_posix(), caption))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "caption"), *rows])
    return folder


def zero_shot_config(uri: str, folder: Path, **flags: object) -> ZeroShotConfig:
    return ZeroShotConfig(**{**_common(uri, folder), "shots": (1, 2), "draws": 3, **flags})  # type: ignore[arg-type]


def fuse_config(uri: str, folder: Path, **flags: object) -> FuseConfig:
    return FuseConfig(**{**_common(uri, folder), "seeds": 2, **flags})  # type: ignore[arg-type]


def _common(uri: str, folder: Path) -> dict[str, object]:
    data = folder / "images"
    return {
        "data": str(data if data.exists() else images(data)),
        "encoder": "demo",
        "tracking_uri": uri,
        "cache_dir": folder / "cache",
        "device": "cpu",
        "dtype": "float32",
        "batch_size": 32,
        "workers": 0,
        "study": "small",
    }


def zero_shot_run(uri: str, folder: Path) -> str:
    """Returns the id of its run."""
    return str(zeroshot(zero_shot_config(uri, folder))[ZeroShot.RUN_ID])


def fusion_run(uri: str, folder: Path) -> str:
    """Returns the id of its run."""
    return str(fuse(fuse_config(uri, folder))[Fused.RUN_ID])


def cut_off(uri: str, run_id: str, *, status: str = "RUNNING") -> None:
    """As the store looks before the test rows are answered."""
    client = MlflowClient(uri)
    folder = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    for name in (
        Artifact.METHODS,
        Artifact.METHOD_PAIRS,
        Artifact.METHOD_CLASSES,
        Artifact.FEW_SHOT,
        Artifact.SUMMARY,
    ):
        (folder / name).unlink(missing_ok=True)
    client.update_run(run_id, status=status)
    client.set_tag(run_id, Tag.HEARTBEAT, str(time.time() + 3600))
