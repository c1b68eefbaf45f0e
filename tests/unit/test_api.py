"""The Python API: its examples run, and it finds what the commands find."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trainer as hr
from tests.support.trained_sweep import Answering
from trainer import api

STORE = "sqlite:///mlruns/mlflow.db"
NAMES = {"bright ones": "cat", "dark_ones": "dog", "red": "horse"}


@pytest.fixture
def workplace(
    answering: Answering, migrated_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working directory with class folders in ``images`` and an empty store, as of an installed package."""
    for folder, name in NAMES.items():
        shutil.copytree(answering.images / folder, tmp_path / "images" / name)
    (tmp_path / "mlruns").mkdir()
    shutil.copyfile(migrated_database, tmp_path / "mlruns" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trainer.core.locations._SOURCES", tmp_path / "elsewhere")
    return tmp_path


@pytest.fixture
def features(answering: Answering) -> hr.FeatureTable:
    data = hr.load_dataset(answering.images)
    return hr.extract_features(data, encoder="demo", cache_dir=answering.cache, device="cpu")


@pytest.mark.slow
def test_examples(workplace: Path) -> None:
    found = doctest.DocTestFinder(exclude_empty=True).find(api, globs={"hr": hr})
    examples = {test.name.removeprefix("trainer.api") for test in found if test.examples}
    assert examples == {"", ".compare", ".extract_features", ".load_dataset", ".open_run", ".run_sweep"}
    runner = doctest.DocTestRunner()
    for test in found:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
    assert (workplace / ".cache" / "headroom" / "features").is_dir()


def test_features_are_the_rows_of_the_data(features: hr.FeatureTable, answering: Answering) -> None:
    data = hr.load_dataset(answering.images)
    assert features.x.dtype == np.float32
    assert len(features) == len(data) == len(features.x) == len(features.sample_ids)
    assert list(features.split) == list(data.frame()["split"])
    assert [features.classes[c] for c in features.y] == list(data.frame()["label"])
    assert np.array_equal(features.frame()[["x0", "x255"]].to_numpy(), features.x[:, [0, 255]])


@pytest.mark.slow
def test_a_search_finds_the_same_with_and_without_mlflow(workplace: Path) -> None:
    features = hr.extract_features(hr.load_dataset("images"), encoder="demo", device="cpu")
    in_memory = hr.run_sweep(features, trials=3, seeds=2)
    logged = hr.run_sweep(features, trials=3, seeds=2, tracking_uri=STORE)
    assert in_memory.run_id is None
    assert in_memory.best == logged.best
    for name in set(in_memory.summary):
        assert in_memory.summary[name] == logged.summary[name], name
    assert np.array_equal(in_memory.predict(features.x), logged.predict(features.x))
    recorded = hr.open_run(str(logged.run_id), STORE).frame()
    test = recorded["split"].to_numpy() == "test"  # the others are answered by heads that did not learn them
    probs = np.stack(recorded["probs"].tolist())
    assert np.allclose(probs[test], in_memory.predict(features.x)[test], atol=1e-6)


@pytest.mark.slow
def test_a_search_in_memory_does_not_import_mlflow(answering: Answering, tmp_path: Path) -> None:
    code = f"""
import sys
import trainer as hr
data = hr.load_dataset({str(answering.images)!r})
features = hr.extract_features(data, "demo", cache_dir={str(answering.cache)!r}, device="cpu")
result = hr.run_sweep(features, trials=2, seeds=1, fresh_seeds=0)
result.plot().to_dict(), result.best, result.predict(features.x)
assert "mlflow" not in sys.modules
"""
    root = Path(hr.__path__[0]).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_logged_run_is_read(answering: Answering) -> None:
    run = hr.open_run(answering.run_id, answering.uri)
    frame = run.frame()
    best = answering.probabilities()
    assert {row.sample_id: list(row.probs) for row in frame.itertuples()} == {
        k: list(v) for k, v in best.items()
    }
    counts = run.confusion("val")
    assert list(counts.index) == list(counts.columns) == run.summary["classes"]
    assert counts.to_numpy().sum() == run.summary["counts"]["val"]
    chart = run.plot_curves().to_dict()
    assert chart["mark"]["type"] == "line"
    assert len(run.trials()) == run.summary["trials"]
    with pytest.raises(hr.InputError, match="no row in the split 'tset'"):
        run.confusion("tset")
    with pytest.raises(hr.InputError, match=r"no curves of val auc\. There are: .*val f1_macro"):
        run.plot_curves("auc")


def test_a_run_is_compared_with_a_search(answering: Answering, features: hr.FeatureTable) -> None:
    result = hr.run_sweep(features, trials=2, seeds=1, fresh_seeds=0)
    run = hr.open_run(answering.run_id, answering.uri)
    comparison = hr.compare(result, run)
    assert comparison.rows == run.summary["counts"]["test"]
    assert comparison.f1_macro_a == pytest.approx(result.best.test_f1_macro.value)
    assert comparison.f1_macro_b == pytest.approx(run.summary["test_f1_macro"])
    difference = comparison.f1_macro_a - comparison.f1_macro_b
    assert comparison.difference.value == pytest.approx(difference, abs=1e-6)
    assert comparison.difference.low <= difference <= comparison.difference.high
    assert list(comparison.frame()["label"]) == list(features.classes)
    assert 0 < comparison.p <= 1


def test_runs_on_other_data_are_not_compared(answering: Answering, workplace: Path) -> None:
    features = hr.extract_features(hr.load_dataset("images"), encoder="demo", cache_dir=answering.cache)
    result = hr.run_sweep(features, trials=2, seeds=1, fresh_seeds=0)
    with pytest.raises(hr.InputError, match="share no test row"):
        hr.compare(result, hr.open_run(answering.run_id, answering.uri))


def test_a_predictor_answers_paths_and_bytes(answering: Answering) -> None:
    model = hr.Predictor.from_run(answering.run_id, tracking_uri=answering.uri, device="cpu")
    name, expected = next(iter(answering.probabilities().items()))
    path = answering.images / name
    answers = model.predict([str(path), b"not an image", path.read_bytes()])
    assert np.allclose(answers.probabilities_nc[[0, 2]], expected, atol=1e-5)
    frame = answers.frame()
    assert frame["label"][0] == model.classes[int(np.argmax(expected))]
    assert frame["label"].isna().tolist() == frame["confidence"].isna().tolist() == [False, True, False]
    assert (frame["error"] != "").tolist() == [False, True, False]


def test_input_that_cannot_be_used_is_named(features: hr.FeatureTable, answering: Answering) -> None:
    with pytest.raises(hr.InputError, match="no file or folder 'nowhere'"):
        hr.load_dataset("nowhere")
    with pytest.raises(hr.InputError, match="device is 'tpu'"):
        hr.extract_features(hr.load_dataset(answering.images), "demo", device="tpu")
    with pytest.raises(hr.InputError, match="features is 'cls5'; it must be one of pooled, cls4"):
        hr.extract_features(hr.load_dataset(answering.images), "demo", features="cls5")  # type: ignore[arg-type]
    with pytest.raises(hr.InputError, match="no argument 'drop'; it takes drop_duplicates and max_bad"):
        hr.extract_features(hr.load_dataset(answering.images), "demo", drop=True)
    with pytest.raises(hr.InputError, match="no argument 'trails'; it takes space, timeout"):
        hr.run_sweep(features, trails=3)
    with pytest.raises(hr.InputError, match="--trials is 0"):
        hr.run_sweep(features, trials=0)
    with pytest.raises(hr.InputError, match="There is no run f00"):
        hr.open_run("f00", answering.uri)
    result = hr.run_sweep(features, trials=2, seeds=1, fresh_seeds=0)
    with pytest.raises(hr.InputError, match="expected rows of 256 numbers"):
        result.predict(features.x[:, :5])
