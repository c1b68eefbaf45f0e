"""A small sweep on real image files: what those of numbers and of several labels have in common."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml
from mlflow import MlflowClient

from tests.support.paths import REPO
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.tracking.schema import Artifact

QUICK = {"width": {"choice": [8]}, "epochs": 6, "patience": 6}
HOSTILE = "<b>**[x](javascript:alert(1))**</b>"  # study, captions and, where there are some, a label


class Swept(NamedTuple):
    """A sweep, and what it said and wrote."""

    config: SweepConfig
    figures: dict[str, Any]
    said: str  # words, one space between
    folder: Path  # of its artifacts


def folder_of(tracking_uri: str, run_id: str) -> Path:
    """The artifacts of a run."""
    uri = MlflowClient(tracking_uri).get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://"))


def sweep(uri: str, compose: Callable[[Path], Path], **flags: Any) -> Swept:
    """Sweep on data that ``compose`` writes into a folder beside the database of the store."""
    folder = Path(uri.removeprefix("sqlite:///")).parent / "data"
    folder.mkdir()
    (folder / "space.yaml").write_text(yaml.safe_dump(QUICK))
    config = SweepConfig(
        data=str(compose(folder)),
        encoder="demo",
        tracking_uri=uri,
        cache_dir=folder / "cache",
        space=folder / "space.yaml",
        device="cpu",
        study=HOSTILE,
        seeds=1,
        fresh_seeds=0,
        folds=3,
        **flags,
    )
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        figures = run(config)
    return Swept(config, figures, " ".join(said.getvalue().split()), folder_of(uri, figures["mlflow_run_id"]))


def config_on_features(folder: Path, data: Path, uri: str, **flags: Any) -> SweepConfig:
    """Flags of a quick sweep of eight trials on ready features; ``flags`` add to them, or replace them."""
    (folder / "space.yaml").write_text(yaml.safe_dump(QUICK))
    return SweepConfig(
        data=str(data),
        tracking_uri=uri,
        cache_dir=folder / "cache",
        space=folder / "space.yaml",
        device="cpu",
        folds=3,
        **{"trials": 8, "seeds": 2, "at_once": 4, "fresh_seeds": 2, **flags},
    )


def killed_and_resumed(config: SweepConfig, script: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """See that a sweep that ``script`` kills hands over the same head, bit for bit, as one that is not, and
    can be trained again. Returns the figures of the whole one and of the resumed one."""
    whole = run(dataclasses.replace(config, study="whole"))
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(config), cwd=REPO, check=False)
    assert done.returncode == -signal.SIGKILL
    resumed = run(config)
    assert resumed["members"] == whole["members"]
    folders = [folder_of(config.tracking_uri, one["mlflow_run_id"]) for one in (whole, resumed)]
    for name in (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    first, again = (pd.read_parquet(folder / Artifact.PREDICTIONS) for folder in folders)
    pd.testing.assert_frame_equal(first, again)
    alone = run(dataclasses.replace(config, rerun=resumed["mlflow_run_id"]))
    assert max(alone["apart"].values()) < 1e-6
    return whole, resumed
