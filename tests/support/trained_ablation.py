"""Ablations as the real command writes them, on small images; cut short where a test wants that."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from tests.support.image_files import encoded
from trainer.experiments.ablation.config import AblateConfig
from trainer.experiments.ablation.run import run
from trainer.tracking.schema import Ablated, Artifact, Tag

GRID = ("quality>=top90%,quality>=top70%", "sharpness>=top90%,sharpness>=top80%")


def images(folder: Path, *, each: int = 16) -> Path:
    """Blue and red noise, three splits of two classes."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for label, colour in (("blue", (90, 60, 150)), ("red", (150, 60, 90))):
            for number in range(each):
                pixels = np.clip(np.array(colour) + random.normal(0, 60, (48, 48, 3)), 0, 255).astype(
                    np.uint8
                )
                path = folder / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(pixels))
    return folder


def ablation(uri: str, folder: Path, *, bad_source: float = 0.3, study: str = "small") -> str:
    """Run one; returns the id of its run."""
    data = folder / "images"
    figures = run(
        AblateConfig(
            data=str(data if data.exists() else images(data)),
            encoder="demo",
            tracking_uri=uri,
            cache_dir=folder / "cache",
            device="cpu",
            study=study,
            seeds=6,
            grid=GRID,
            filters=("agreement>=top80%",),
            bad_source=bad_source,
            batch_size=32,
            workers=0,
        )
    )
    return str(figures[Ablated.RUN_ID])


def copied(uri: str, folder: Path) -> str:
    """A copy of a store whose files lie beside its database; the new store's address."""
    database = Path(uri.removeprefix("sqlite:///"))
    shutil.copytree(database.parent, folder)
    for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
        with closing(sqlite3.connect(folder / database.name)) as connection, connection:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                [str(database.parent), str(folder)],
            )
    return f"sqlite:///{folder / database.name}"


def cut_off(uri: str, run_id: str) -> None:
    """As the store looks while the cells are still being trained: scores are there, the rest is not."""
    client = MlflowClient(uri)
    folder = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    for name in (Artifact.ABLATION, Artifact.ABLATION_CLASSES, Artifact.SUMMARY, Artifact.REPORT):
        (folder / name).unlink(missing_ok=True)
    client.update_run(run_id, status="RUNNING")
    client.set_tag(run_id, Tag.HEARTBEAT, str(time.time() + 3600))
