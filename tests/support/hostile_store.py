"""A store full of traps for the dashboard."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from tests.support import synthetic_runs
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Samples

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PICTURE = "![x](http://evil.example/x.png) [y](javascript:alert(3)) <http://evil.example>"
BACKWARDS = "\u202egnp.exe\u2066 \u200f\u0000abc".replace("\u0000", "\u0001")
LONG = "long " * 2048  # 10 kB
JUNK = bytes(range(1, 256)).decode("latin-1")
TRAPS = [SCRIPT, PICTURE, BACKWARDS, LONG, JUNK]


def spring(uri: str) -> str:
    """Write a sweep and an extraction in which everything that comes from outside is a trap.

    Returns the id of another sweep, which is named by `PICTURE`.
    """
    classes = [SCRIPT, PICTURE, BACKWARDS, LONG[:2000], JUNK, ":red[c]", "$$x$$", "a|b", "`c`", "# d"]
    run_id = synthetic_runs.sweep(uri, name=LONG, study=PICTURE, classes=classes)
    named = synthetic_runs.sweep(uri, name=PICTURE, classes=classes)
    synthetic_runs.extraction(uri, hostile=True)
    folder = Path(synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri))
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    for number, trap in enumerate(TRAPS):
        name = f"{PARAM_PREFIX}{trap[:300]}"
        trials[name] = [TRAPS[(row + number) % len(TRAPS)] for row in range(len(trials))]
    trials.to_parquet(folder / Artifact.TRIALS)
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    samples[Samples.CAPTION] = [TRAPS[row % len(TRAPS)] for row in range(len(samples))]
    samples[Samples.GROUP] = samples[Samples.CAPTION].iloc[::-1].to_numpy()
    samples.to_parquet(folder / Artifact.SAMPLES)
    return named
