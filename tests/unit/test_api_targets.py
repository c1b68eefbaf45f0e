"""The Python API with numbers and with several labels per image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score

import trainer as hr
from tests.support.trained_target import QUICK

LABELS = ("a", "b", "rare")
ROWS = 90


@pytest.fixture
def quick(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a quick search."""
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(QUICK))
    return {"trials": 3, "seeds": 1, "fresh_seeds": 0, "folds": 3, "space": tmp_path / "space.yaml"}


def ready(folder: Path, kind: str) -> Path:
    """Ready features of rows with numbers, whole numbers, or labels."""
    random = np.random.default_rng(0)
    x_nd = random.normal(size=(ROWS, 6)).astype(np.float32)
    noisy_nc = x_nd[:, :3] + 0.4 * random.normal(size=(ROWS, 3))
    y = {
        "number": 100 + 20 * noisy_nc[:, 0],
        "whole": np.round(40 + 10 * noisy_nc[:, 0]).astype(int),
        "labels": noisy_nc > np.array([0.0, 0.4, 1.1]),
    }[kind]
    names = {"classes": list(LABELS)} if kind == "labels" else {}
    np.savez(folder / f"{kind}.npz", train_x=x_nd, train_y=y, **names)
    return folder / f"{kind}.npz"


def features_of(folder: Path, kind: str, **arguments: Any) -> hr.FeatureTable:
    data = hr.load_dataset(ready(folder, kind), **arguments)
    return hr.extract_features(data, cache_dir=folder / "cache", device="cpu")


def test_numbers_are_searched_answered_and_compared(tmp_path: Path, quick: dict[str, Any]) -> None:
    features = features_of(tmp_path, "number")
    assert (features.target, features.y.dtype, features.classes) == ("number", np.float64, ())
    result = hr.run_sweep(features, **quick)
    answers = result.answers()
    frame = answers.frame()
    assert answers.scores.r2.value == pytest.approx(r2_score(frame["target"], frame["number"]))
    assert answers.scores.mae.value == pytest.approx(mean_absolute_error(frame["target"], frame["number"]))
    assert [*answers.scores] == [*result.best.scores.values()][1:]
    assert np.allclose(frame["number"] - frame["target"], frame["residual"])
    test = features.split == "test"
    assert np.allclose(result.predict(features.x)[test], frame["number"], rtol=1e-5)
    assert answers.plot().to_dict()["layer"][1]["encoding"]["x"]["field"] == "true"
    with pytest.raises(hr.InputError, match=r"no val_f1_macro\. best\.scores has val_r2, test_r2"):
        _ = result.best.val_f1_macro
    other = hr.run_sweep(features, **{**quick, "trials": 1})
    comparison = hr.compare(result, other)
    assert (comparison.score, comparison.rows) == ("r2", len(frame))
    assert comparison.a - comparison.b == pytest.approx(comparison.difference.value)
    assert list(comparison.frame()["score"]) == ["r2", "mae", "rmse"]


def test_several_labels_are_searched_answered_and_compared(tmp_path: Path, quick: dict[str, Any]) -> None:
    features = features_of(tmp_path, "labels")
    assert (features.target, features.y.shape, features.labels) == ("labels", (ROWS, 3), LABELS)
    result = hr.run_sweep(features, **quick)
    answers = result.answers()
    frame = answers.frame()
    test = features.split == "test"
    for c, name in enumerate(LABELS):
        own = frame[name]
        assert list(own.columns) == ["true", "probability", "predicted"]
        assert np.array_equal(own["true"], features.y[test, c])
        assert np.array_equal(own["predicted"], own["probability"] >= result.summary["thresholds"][c])
    each = [average_precision_score(frame[name]["true"], frame[name]["probability"]) for name in LABELS]
    assert answers.scores.map.value == pytest.approx(np.mean(each))
    assert answers.scores.map == result.best.scores["test_map"]
    assert answers.scores.f1_micro == result.best.scores["test_f1_micro_labels"]
    assert answers.plot().to_dict()["title"]["text"] == [f"n = {test.sum()} test rows"]
    assert np.allclose(result.predict(features.x)[test], answers.probability_nc, atol=1e-6)
    comparison = hr.compare(result, hr.run_sweep(features, **{**quick, "trials": 1}))
    assert comparison.score == "map"
    assert comparison.frame()["a"].tolist() == pytest.approx(each)
    assert list(comparison.frame()["label"]) == list(LABELS)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "target"), [("whole", "number"), ("labels", None)])
def test_a_logged_search_finds_the_same(
    tracking_uri: str, tmp_path: Path, quick: dict[str, Any], kind: str, target: Any
) -> None:
    features = features_of(tmp_path, kind, target=target)
    in_memory = hr.run_sweep(features, **quick)
    logged = hr.run_sweep(features, **quick, tracking_uri=tracking_uri)
    assert in_memory.best == logged.best
    for name in set(in_memory.summary):
        assert in_memory.summary[name] == logged.summary[name], name
    run = hr.open_run(str(logged.run_id), tracking_uri)
    pd.testing.assert_frame_equal(run.answers("val").frame(), in_memory.answers("val").frame())
    metric = run.plot_curves().to_dict()["encoding"]["y"]["title"]
    assert metric == {"whole": "val r2", "labels": "val f1_macro_labels"}[kind]


def test_what_does_not_go_together_is_named(tmp_path: Path, quick: dict[str, Any]) -> None:
    whole = features_of(tmp_path, "whole")  # integers are classes unless they are said to be numbers
    assert whole.target == "class"
    with pytest.raises(hr.InputError, match=r"loaded with classes\. Load them so: .*target='number'"):
        hr.run_sweep(whole, **quick, target="number")
    with pytest.raises(hr.InputError, match="target is 'regression'; it must be one of class"):
        hr.load_dataset(ready(tmp_path, "whole"), target="regression")  # type: ignore[arg-type]
    with pytest.raises(hr.InputError, match="no argument 'labels'; it takes target and label_separator"):
        hr.load_dataset(ready(tmp_path, "whole"), labels=LABELS)
    numbers = hr.run_sweep(features_of(tmp_path, "number"), **quick)
    labels = hr.run_sweep(features_of(tmp_path, "labels"), **quick)
    with pytest.raises(hr.InputError, match="predict different things"):
        hr.compare(numbers, labels)
    with pytest.raises(hr.InputError, match="no row in the split 'all'"):
        numbers.answers("all")
