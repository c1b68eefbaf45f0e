"""Ready features of odd numbers: refused by name before any work, or trained on with finite results."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from safetensors.numpy import load_file

from trainer.core.errors import InputError
from trainer.experiments.ablation.config import AblateConfig
from trainer.experiments.ablation.run import run as ablate
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run as sweep
from trainer.experiments.verification.config import VerifyConfig
from trainer.experiments.verification.run import run as verify
from trainer.tracking.schema import Artifact

Change = Callable[[np.ndarray, np.ndarray, str], np.ndarray]
SMALL = {"width": 8, "epochs": 4, "patience": 4, "solver": {"choice": ["descent", "lbfgs", "gda", "ridge"]}}


def features_file(path: Path, change: Change, dtype: Any = np.float32) -> str:
    arrays = {}
    for number, split in enumerate(("train", "val", "test")):
        y = np.arange(36) % 3
        x = 1.5 * np.eye(6)[y] + np.random.default_rng(number).normal(size=(36, 6))
        with np.errstate(over="ignore"):
            arrays |= {f"{split}_x": change(x, y, split).astype(dtype), f"{split}_y": y}
    np.savez(path, **arrays)
    return str(path)


def only(split: str, row: int, value: float) -> Change:
    def change(x: np.ndarray, y: np.ndarray, of: str) -> np.ndarray:
        if of == split:
            x[row, 2] = value
        return x

    return change


def column(value: float) -> Change:
    def change(x: np.ndarray, y: np.ndarray, of: str) -> np.ndarray:
        x[:, 2] = value
        return x

    return change


def times(factor: float) -> Change:
    return lambda x, y, of: x * factor


REFUSED: dict[str, tuple[Change, Any, str]] = {
    "zeros": (times(0.0), np.float32, r"all \d+ training rows, from train/000000 on, are the same"),
    "all alike": (lambda x, y, of: np.full_like(x, 0.1), np.float32, r"all \d+ training rows"),
    "one ulp": (lambda x, y, of: 1 + 1e-7 * (x > 2), np.float32, "the same to the precision of float32"),
    "a huge mean": (lambda x, y, of: x + 1e9, np.float64, "subtract their mean"),
    "subnormal": (times(1e-42), np.float32, "train/000000 on, spread by .e-42.*multiply all arrays"),
    "1e30": (times(1e30), np.float32, r"train_x has values beyond ±1e\+15.* in 36 of 36 rows.*divide all"),
    "beyond float32": (times(1e300), np.float64, r"train_x has values beyond ±1e\+15"),
    "float16 overflow": (times(1e5), np.float16, "train_x has NaN or infinite values"),
    "3e38 in one test row": (
        only("test", 4, 3e38),
        np.float32,
        "test_x .* in 1 of 36 rows, the first is row 4",
    ),
    "1e12 in one val row": (only("val", 5, 1e12), np.float32, "the vector of val/000005 is .* times as far"),
    "NaN in val": (only("val", 3, math.nan), np.float32, "val_x has NaN.* the first is row 3"),
    "-inf in test": (only("test", 7, -math.inf), np.float32, "test_x has NaN.* the first is row 7"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_cannot_be_trained_on_are_refused_before_any_work(
    name: str, tracking_uri: str, tmp_path: Path
) -> None:
    change, dtype, message = REFUSED[name]
    where: dict[str, Any] = {
        "data": features_file(tmp_path / "ugly.npz", change, dtype),
        "tracking_uri": tracking_uri,
        "cache_dir": tmp_path / "cache",
        "device": "cpu",
    }
    for command, config in ((sweep, SweepConfig), (ablate, AblateConfig), (verify, VerifyConfig)):
        if config is VerifyConfig and name == "1e12 in one val row":
            continue  # faces know no splits: it is one of the rows that are learned from
        with pytest.raises(InputError, match=message):
            command(config(**where))  # type: ignore[operator]
    client = MlflowClient(tracking_uri)
    assert not client.search_runs([one.experiment_id for one in client.search_experiments()])


def rows_of_zeros(x: np.ndarray, y: np.ndarray, of: str) -> np.ndarray:
    x[::4] = 0
    return x


TAKEN: dict[str, Change] = {
    "a constant feature": column(0.1),
    "a subnormal feature": lambda x, y, of: x * [1, 1, 1e-42, 1, 1, 1],
    "one vector per class": lambda x, y, of: np.eye(6)[y],
    "rank one": lambda x, y, of: np.outer(x[:, 0], np.ones(6)),
    "rows of zeros": rows_of_zeros,
    "large": times(1e14),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_ends_with_finite_tables_maps_and_vectors(
    name: str, tracking_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SMALL))
    figures = sweep(
        SweepConfig(
            data=features_file(tmp_path / "ugly.npz", TAKEN[name]),
            tracking_uri=tracking_uri,
            cache_dir=tmp_path / "cache",
            space=tmp_path / "space.yaml",
            trials=8,
            seeds=1,
            device="cpu",
        )
    )
    assert figures["failed"] == 0
    assert all(math.isfinite(value) for value in figures.values() if isinstance(value, float))
    uri = MlflowClient(tracking_uri).get_run(figures["mlflow_run_id"]).info.artifact_uri
    folder = Path(uri.removeprefix("file://"))
    projection = pd.read_parquet(folder / Artifact.PROJECTION).select_dtypes("number")
    assert np.isfinite(projection.to_numpy()).all()
    predictions = pd.read_parquet(folder / Artifact.PREDICTIONS)
    assert np.isfinite(predictions["confidence"]).all()
    for file in (folder / Artifact.VECTORS, folder / Artifact.HEAD / "head.safetensors"):
        assert all(
            np.isfinite(values).all() for values in load_file(file).values() if values.dtype.kind == "f"
        )
