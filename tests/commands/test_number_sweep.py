"""Sweeps that predict a number: what they record, predict and refuse, and how they are resumed."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.metrics import mean_absolute_error, r2_score

from tests.commands.test_sweep import KILLED_AT_THE_END
from tests.support import trained_numbers
from tests.support.trained_target import Swept, config_on_features, folder_of, killed_and_resumed
from trainer.core.errors import InputError
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.serving import batch_predict
from trainer.serving.config import PredictConfig
from trainer.serving.predictor import Predictor
from trainer.serving.pyfunc import ServedModel
from trainer.tracking.client import default_store
from trainer.tracking.schema import Artifact, Summary


def config_in(folder: Path, uri: str, **flags: Any) -> SweepConfig:
    """A sweep on ready features whose target is a number."""
    random = np.random.default_rng(0)
    x_nd = random.normal(size=(90, 6)).astype(np.float32)
    y_n = 100 + 20 * (x_nd[:, 0] + 0.5 * x_nd[:, 1] ** 2 + 0.3 * random.normal(size=90))
    np.savez(folder / "numbers.npz", train_x=x_nd, train_y=y_n)
    return config_on_features(folder, folder / "numbers.npz", uri, **{"study": "numbers", **flags})


@pytest.fixture(scope="module")
def swept(module_store: str) -> Swept:
    return trained_numbers.sweep(module_store)


def test_a_column_of_numbers_is_predicted_as_one_and_that_is_said(swept: Swept) -> None:
    assert "Target: a number (40 distinct values" in swept.said
    assert "Numbers (40 distinct)" in swept.said
    assert "Baseline, the mean of the rows learned from: MAE" in swept.said
    figures = swept.figures
    assert (figures["target"], figures["objective"]) == ("number", "r2")
    for name in ("test_r2", "test_mae", "test_rmse", "test_spearman", "test_baseline_mae", "expected_r2"):
        low, high = figures[f"{name}_ci95"]
        assert low <= figures[name] <= high
    assert not [name for name in figures if "f1" in name or "accuracy" in name]
    json.dumps(figures, allow_nan=False)
    command = MlflowClient(swept.config.tracking_uri).get_run(figures["mlflow_run_id"]).data.tags
    assert "--target number" in command["headroom.command"]


def test_recorded_figures_are_those_of_the_recorded_predictions(swept: Swept) -> None:
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best'")
    test = rows[rows["split"] == "test"]
    assert swept.figures["test_r2"] == pytest.approx(r2_score(test["target"], test["number"]))
    assert swept.figures["test_mae"] == pytest.approx(mean_absolute_error(test["target"], test["number"]))
    learned = rows[rows["split"] != "test"]["target"]
    mean = mean_absolute_error(test["target"], np.full(len(test), learned.mean()))
    assert swept.figures["test_baseline_mae"] == pytest.approx(mean)
    trials = pd.read_parquet(swept.folder / Artifact.TRIALS)
    assert {"val_r2", "val_r2_low", "val_mae", "val_rmse", "val_loss"} <= set(trials)
    assert set(trials["param.target"]) == {"number"}
    assert (swept.folder / Artifact.NUMBERS_PNG).read_bytes().startswith(b"\x89PNG")
    assert not (swept.folder / Artifact.CONFUSION_PNG).exists()


def test_predict_and_the_served_model_say_the_recorded_numbers(swept: Swept, tmp_path: Path) -> None:
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'test'")
    recorded = dict(zip(rows["sample_id"], rows["number"], strict=True))
    home = Path(swept.config.data).parent
    images = [home / name for name in recorded]
    (tmp_path / "none.png").write_text("no image")
    figures = batch_predict.run(
        PredictConfig(
            images=(*images, tmp_path / "none.png"),
            run=swept.figures["mlflow_run_id"],
            out=tmp_path / "out.csv",
            tracking_uri=swept.config.tracking_uri,
            cache_dir=swept.config.cache_dir,
            device="cpu",
            max_bad=1.0,
        )
    )
    assert (figures["predicted"], figures["bad"], figures["classes"]) == (len(images), 1, [])
    width = swept.figures[Summary.HALF_WIDTH]
    answered = list(csv.DictReader((tmp_path / "out.csv").open()))
    for row, number in zip(answered, recorded.values(), strict=False):
        assert float(row["number"]) == pytest.approx(number, rel=1e-4)
        assert float(row["number_high"]) - float(row["number"]) == pytest.approx(width, rel=1e-4)
    assert answered[-1]["number"] == ""
    assert answered[-1]["error"]
    served = ServedModel(Predictor.from_folder(swept.folder / "head"))
    table = served.predict(pd.DataFrame({"path": [str(images[0]), "nowhere"]}))
    assert table["number"][0] == pytest.approx(recorded[images[0].name], rel=1e-4)
    assert list(table.columns) == ["number", "number_low", "number_high", "error"]
    assert table["number"][1] is None
    assert table["error"][1]


def test_mlflow_loads_the_logged_model_and_it_says_numbers(swept: Swept) -> None:
    import mlflow.pyfunc

    path = Path(swept.config.data).parent / "0.png"
    with default_store(swept.config.tracking_uri):
        model = mlflow.pyfunc.load_model(f"runs:/{swept.figures['mlflow_run_id']}/model")
    assert np.isfinite(model.predict(pd.DataFrame({"path": [str(path)]}))["number"].astype(float)).all()


@pytest.mark.slow
@pytest.mark.kill
def test_a_sweep_killed_before_its_end_hands_over_the_same_numbers_bit_for_bit(
    tracking_uri: str, tmp_path: Path
) -> None:
    config = config_in(tmp_path, tracking_uri)
    killed_and_resumed(config, KILLED_AT_THE_END)


@pytest.mark.slow
def test_an_error_can_be_searched_for_and_a_holdout_can_judge(tracking_uri: str, tmp_path: Path) -> None:
    flags: dict[str, Any] = {"objective": "mae", "validate": "holdout", "refit": False, "target": "number"}
    figures = run(config_in(tmp_path, tracking_uri, **flags))
    trials = pd.read_parquet(folder_of(tracking_uri, figures["mlflow_run_id"]) / Artifact.TRIALS)
    complete = trials[trials["state"] == "complete"]
    assert figures["best_val_mae"] == pytest.approx(complete["val_mae"].min())
    assert figures["validation"] == "holdout"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"objective": "accuracy"}, "--objective accuracy is for classes, and the labels of .* are numbers"),
        ({"target": "class", "objective": "mae"}, "--objective mae is for numbers, and the labels of"),
        ({"target": "class"}, "too few rows|looks like a quantity"),
    ],
)
def test_flags_of_the_other_kind_are_refused(
    tracking_uri: str, tmp_path: Path, flags: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        run(config_in(tmp_path, tracking_uri, **flags))


def test_a_space_of_classes_is_refused(tracking_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, tracking_uri)
    assert config.space is not None
    for line, told in (
        ("solver: gda", "solvers descent and ridge"),
        ("output: cosine", "'output' is no hyper"),
    ):
        config.space.write_text(line)
        with pytest.raises(InputError, match=told):
            run(config)


def test_whole_numbers_are_predicted_where_that_is_asked_for(tracking_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, tracking_uri, trials=2)
    arrays = dict(np.load(config.data))
    np.savez(config.data, train_x=arrays["train_x"], train_y=np.round(arrays["train_y"]).astype(int))
    assert run(dataclasses.replace(config, target="number"))["target"] == "number"
