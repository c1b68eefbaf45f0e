"""A small sweep on real image files, whose head can answer others."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from mlflow import MlflowClient

from tests.support import commands
from tests.support.image_files import encoded, noise
from trainer.data.load import load
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
from trainer.tracking.schema import Artifact

CLASSES = {"bright ones": 0.55, "dark_ones": 0.0, "red": 0.3}  # class → the least brightness of its images
PER_CLASS = 12


class Answering(NamedTuple):
    """Where a sweep is, and what it was made of."""

    uri: str
    run_id: str
    model_uri: str
    images: Path  # class folders
    cache: Path  # with the vectors of the images in it
    folder: Path  # the run's artifacts

    def probabilities(self) -> dict[str, np.ndarray]:
        """Name → what the sweep's best head said of each image."""
        table = pd.read_parquet(self.folder / Artifact.PREDICTIONS)
        best = table[table["head"] == "best"]
        return dict(zip(best["sample_id"], best["probs"], strict=True))


class DemoSweep(NamedTuple):
    """How the sweep command ended on the demo data, its store, and its cache."""

    done: CompletedProcess[str]
    uri: str
    cache: Path


def image(seed: int, least: float, *, red: bool = False) -> bytes:
    """A PNG of noise above a brightness."""
    pixels = (255 * least + (1 - least) * 0.6 * noise(seed, height=40, width=48)).astype(np.uint8)
    if red:
        pixels[..., 1:] //= 4
    return encoded(pixels)


def sweep(folder: Path, *, encoder: str, dtype: str, **flags: Any) -> Answering:
    """Run it, in ``folder``, which has an ``mlflow.db``."""
    images = folder / "images"
    for c, (name, least) in enumerate(CLASSES.items()):
        (images / name).mkdir(parents=True)
        for i in range(PER_CLASS):
            (images / name / f"{i}.png").write_bytes(image(100 * c + i, least, red=name == "red"))
    (folder / "space.yaml").write_text(yaml.safe_dump({"width": {"choice": [8]}, "epochs": 4}))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    figures = run(
        SweepConfig(
            data=str(images),
            encoder=encoder,
            dtype=dtype,  # type: ignore[arg-type]
            tracking_uri=uri,
            cache_dir=folder / "cache",
            space=folder / "space.yaml",
            study="answering: a/b",
            trials=3,
            seeds=1,
            fresh_seeds=0,
            refit=False,  # so that what is recorded of every row is what the final head says
            device="cpu",
            **flags,
        )
    )
    where = MlflowClient(uri).get_run(figures["mlflow_run_id"]).info.artifact_uri.removeprefix("file://")
    return Answering(
        uri, figures["mlflow_run_id"], figures["model_uri"], images, folder / "cache", Path(where)
    )


def encode_for_words(made: Answering) -> None:
    """Encode the images of a sweep in the space that images and texts share."""
    settings = EncoderSettings(encoder="demo", cache_dir=made.cache, device="cpu", space="shared")
    extract(load(str(made.images), seed=0), settings)


def demo_sweep(folder: Path) -> DemoSweep:
    """Run the command, in ``folder``, which has an ``mlflow.db``. Nothing is encoded yet."""
    space, uri = folder / "space.yaml", f"sqlite:///{folder / 'mlflow.db'}"
    space.write_text(yaml.safe_dump({"width": {"choice": [8, 16]}, "epochs": 9, "patience": 9}))
    done = commands.run_afresh(
        *("trainer.sweep", "--data", "demo", "--trials", "4", "--seeds", "2", "--device", "cpu"),
        *("--tracking-uri", uri, "--space", space, "--cache-dir", folder / "cache"),
    )
    return DemoSweep(done, uri, folder / "cache")
