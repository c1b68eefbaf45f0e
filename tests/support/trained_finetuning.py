"""Fine-tunings as the real command writes them, on small images with a small encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from tests.support import trained_ablation
from tests.support.tiny_clip import save_tiny_clip
from trainer.experiments.finetuning.config import FinetuneConfig
from trainer.experiments.finetuning.run import run
from trainer.tracking.schema import Artifact, Summary


def finetuning(uri: str, folder: Path, *, study: str = "tuned") -> str:
    """Run one; returns the id of its run."""
    data, model = folder / "tinted", folder / "model"
    figures = run(
        FinetuneConfig(
            data=str(data if data.exists() else trained_ablation.images(data)),
            encoder=str(model if model.exists() else save_tiny_clip(model)),
            tracking_uri=uri,
            cache_dir=folder / "cache",
            study=study,
            device="cpu",
            dtype="float32",
            precision="float32",
            workers=0,
            unfreeze_last=1,
            epochs=3,
            views=0,
        )
    )
    return figures[Summary.RUN_ID]


def rewrite(uri: str, run_id: str, **changed: Any) -> None:
    """Give a run's summary other figures."""
    folder = Path(MlflowClient(uri).get_run(run_id).info.artifact_uri.removeprefix("file://"))
    path = folder / Artifact.SUMMARY
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
