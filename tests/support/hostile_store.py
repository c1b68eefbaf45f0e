"""A store full of traps for the dashboard."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from tests.support import synthetic_runs
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Predictions, Samples, Tag

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PICTURE = "![x](http://evil.example/x.png) [y](javascript:alert(3)) <http://evil.example>"
BACKWARDS = "\u202egnp.exe\u2066 \u200f\u0000abc".replace("\u0000", "\u0001")
LONG = "long " * 2048  # 10 kB
JUNK = bytes(range(1, 256)).decode("latin-1")
TRAPS = [SCRIPT, PICTURE, BACKWARDS, LONG, JUNK]
ROWS = 400  # enough for slices of the test rows


class Sprung(NamedTuple):
    """Ids of two sweeps on the same rows with other answers."""

    named: str  # by `PICTURE`
    other: str  # by `LONG`, on data of another name


def spring(uri: str) -> Sprung:
    """Write two sweeps and an extraction in which everything that comes from outside is a trap."""
    classes = [SCRIPT, PICTURE, BACKWARDS, LONG[:2000], JUNK, ":red[c]", "$$x$$", "a|b", "`c`", "# d"]
    run_id = synthetic_runs.sweep(uri, name=LONG, study=PICTURE, classes=classes, rows=ROWS)
    named = synthetic_runs.sweep(uri, name=PICTURE, classes=classes, rows=ROWS)
    synthetic_runs.extraction(uri, hostile=True)
    client = MlflowClient(uri)
    client.set_tag(run_id, Tag.DATA, SCRIPT)
    for number, one in enumerate((run_id, named)):
        _set_traps(synthetic_runs.folder_of(client.get_run(one).info.artifact_uri), number)
    return Sprung(named, run_id)


def _set_traps(folder: Path, number: int) -> None:
    """Put traps into the tables of a sweep; ``number`` decides which answers are wrong."""
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    for place, trap in enumerate(TRAPS):
        name = f"{PARAM_PREFIX}{trap[:300]}"
        trials[name] = [TRAPS[(row + place) % len(TRAPS)] for row in range(len(trials))]
    trials.to_parquet(folder / Artifact.TRIALS)
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    drawn = np.random.default_rng(0).integers(len(TRAPS), size=len(samples))  # not by split
    samples[Samples.CAPTION] = [TRAPS[trap] for trap in drawn]
    samples[Samples.GROUP] = samples[Samples.CAPTION].iloc[::-1].to_numpy()
    samples.to_parquet(folder / Artifact.SAMPLES)
    answered = pd.read_parquet(folder / Artifact.PREDICTIONS)
    wrong = np.random.default_rng(number).random(len(answered)) < 0.3
    answered[Predictions.PRED] = answered[Predictions.PRED].where(~wrong, SCRIPT)
    answered.to_parquet(folder / Artifact.PREDICTIONS)
