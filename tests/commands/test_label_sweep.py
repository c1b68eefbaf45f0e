"""Sweeps that predict several labels per image: what they record and refuse, and how they are resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.metrics import average_precision_score, f1_score, log_loss

import trainer as hr
from tests.commands.test_sweep import KILLED_AT_THE_END
from tests.support import commands, trained_labels
from tests.support.trained_labels import LABELS
from tests.support.trained_target import QUICK, Swept, config_on_features, folder_of, killed_and_resumed
from trainer.core.errors import InputError
from trainer.experiments.checking.config import CheckConfig
from trainer.experiments.checking.run import run as check
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.extraction.run import run as extract
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.serving.predictor import Predictor
from trainer.tracking.schema import Artifact

ROWS = 120


def data_in(folder: Path) -> Path:
    """Ready features of rows with several of four labels, the last of them rare."""
    random = np.random.default_rng(0)
    x_nd = random.normal(size=(ROWS, 6)).astype(np.float32)
    score_nc = x_nd[:, :4] + 0.5 * random.normal(size=(ROWS, 4))
    has_nc = score_nc > np.array([0.0, 0.3, 0.8, 1.4])
    np.savez(folder / "x.npz", train_x=x_nd, train_y=has_nc, classes=["a", "b", "c", "rare"])
    return folder / "x.npz"


def config_in(folder: Path, uri: str, **flags: Any) -> SweepConfig:
    """A sweep on ready features with several labels per row."""
    return config_on_features(folder, data_in(folder), uri, **{"study": "labels", **flags})


@pytest.fixture(scope="module")
def swept(module_store: str) -> Swept:
    return trained_labels.sweep(module_store)


def answers_of(rows: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """True labels and probabilities [N, C] of recorded predictions."""
    has_nc = np.array([[name in set(known) for name in names] for known in rows["true_labels"]])
    return has_nc, np.stack(list(rows["label_probabilities"]))


def test_several_labels_are_learned_and_described(swept: Swept) -> None:
    figures = swept.figures
    assert "Labels (3): " in swept.said
    assert "per image" in swept.said
    assert "Test: mAP " in swept.said
    assert "Baseline, the same answer to every image: mAP" in swept.said
    assert (figures["target"], figures["objective"]) == ("labels", "map")
    assert figures["labels"] == sorted(LABELS)
    for name in (
        "test_map",
        "test_f1_macro_labels",
        "test_f1_micro_labels",
        "test_baseline_map",
        "expected_map",
    ):
        low, high = figures[f"{name}_ci95"]
        assert 0 <= low <= figures[name] <= high <= 1, name
    assert figures["test_map"] > figures["test_baseline_map"]
    assert not [name for name in figures if "accuracy" in name or name == "test_f1_macro"]
    json.dumps(figures, allow_nan=False)
    command = MlflowClient(swept.config.tracking_uri).get_run(figures["mlflow_run_id"]).data.tags
    assert "--target labels" in command["headroom.command"]


def test_recorded_figures_are_those_of_the_recorded_predictions(swept: Swept) -> None:
    names, limits = swept.figures["labels"], np.array(swept.figures["thresholds"])
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best'")
    assert len(rows) == trained_labels.ROWS
    has_nc, p_nc = answers_of(rows[rows["split"] == "test"], names)
    each = [
        average_precision_score(has_nc[:, c], p_nc[:, c]) for c in range(len(names)) if has_nc[:, c].any()
    ]
    assert swept.figures["test_map"] == pytest.approx(np.mean(each))
    p_nc = p_nc.astype(float)
    losses = [log_loss(has_nc[:, c], p_nc[:, c], labels=[False, True]) for c in range(len(names))]
    assert swept.figures["test_log_loss_labels"] == pytest.approx(np.mean(losses))
    assert swept.figures["test_brier_labels"] == pytest.approx(((p_nc - has_nc) ** 2).mean())
    change, low, high = swept.figures["test_log_loss_labels_change"]
    assert low <= change <= high
    raw = swept.figures["test_log_loss_labels_uncalibrated"]
    assert swept.figures["test_log_loss_labels"] - raw == pytest.approx(change)
    assert (swept.folder / Artifact.PRECISIONS_PNG).read_bytes().startswith(b"\x89PNG")
    for average in ("macro", "micro"):
        expected = f1_score(has_nc, p_nc >= limits, average=average)
        assert swept.figures[f"test_f1_{average}_labels"] == pytest.approx(expected)
    shares = [has_nc[:, c].mean() for c in range(len(names)) if has_nc[:, c].any()]
    assert swept.figures["test_baseline_map"] == pytest.approx(np.mean(shares))
    held_nc, held_p_nc = answers_of(rows[rows["split"] != "test"], names)
    best = [f1_score(held_nc[:, c], held_p_nc[:, c] >= limits[c]) for c in range(len(names))]
    for c, found in enumerate(best):
        others = [f1_score(held_nc[:, c], held_p_nc[:, c] >= t) for t in np.linspace(0.01, 0.99, 99)]
        assert found >= max(others) - 1e-9
    trials = pd.read_parquet(swept.folder / Artifact.TRIALS)
    assert {"val_map", "val_map_low", "val_f1_macro_labels", "val_f1_micro_labels", "val_loss"} <= set(trials)
    assert set(trials["param.target"]) == {"labels"}
    curves = pd.read_parquet(swept.folder / Artifact.CURVES)
    assert set(curves["metric"]) <= {"loss", "f1_macro_labels", "f1_micro_labels", "lr"}
    samples = pd.read_parquet(swept.folder / Artifact.SAMPLES).set_index("sample_id")
    assert samples.loc["0.png", "label"] == ""


def test_the_recorded_head_says_the_recorded_probabilities(swept: Swept) -> None:
    rows = pd.read_parquet(swept.folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'test'")
    predictor = Predictor.from_folder(swept.folder / "head")
    assert list(predictor.labels) == swept.figures["labels"]
    assert predictor.thresholds is not None
    assert predictor.thresholds.tolist() == swept.figures["thresholds"]
    assert predictor.recorded.what == "3 labels"
    home = Path(swept.config.data).parent
    found = predictor.predict([home / name for name in rows["sample_id"]])
    np.testing.assert_allclose(found.probabilities_nc, np.stack(list(rows["label_probabilities"])), atol=1e-4)
    np.testing.assert_array_equal(predictor.answers(found.vectors_nd), found.probabilities_nc)
    novelty = predictor.recorded.novelty
    assert novelty is not None
    alarms = novelty.is_novel(novelty.scores(found.vectors_nd)).mean()
    assert swept.figures["test_ood_false_alarms"] == pytest.approx(alarms)
    unlike = novelty.scores(np.random.default_rng(0).normal(size=found.vectors_nd.shape).astype(np.float32))
    assert novelty.is_novel(unlike).all()
    frame = found.frame()
    assert list(frame.columns) == ["labels", *swept.figures["labels"], "error"]
    said_nc = found.probabilities_nc >= predictor.thresholds
    assert [set(filter(None, one.split("|"))) for one in frame["labels"]] == [
        {name for name, said in zip(predictor.labels, said_c, strict=True) if said} for said_c in said_nc
    ]


@pytest.mark.slow
@pytest.mark.kill
def test_a_sweep_killed_before_its_end_hands_over_the_same_head_bit_for_bit(
    tracking_uri: str, tmp_path: Path
) -> None:
    config = config_in(tmp_path, tracking_uri)
    whole, resumed = killed_and_resumed(config, KILLED_AT_THE_END)
    names = (
        "test_map",
        "test_f1_macro_labels",
        "thresholds",
        "expected_map",
        "best_val_map",
        "labels_left_out",
    )
    assert all(resumed[name] == whole[name] for name in names)


def test_f1_can_be_searched_for_and_a_holdout_can_judge(tracking_uri: str, tmp_path: Path) -> None:
    flags: dict[str, Any] = {"objective": "f1-labels", "validate": "holdout", "refit": False}
    figures = run(config_in(tmp_path, tracking_uri, **flags))
    trials = pd.read_parquet(folder_of(tracking_uri, figures["mlflow_run_id"]) / Artifact.TRIALS)
    complete = trials[trials["state"] == "complete"]
    assert figures["best_val_f1_macro_labels"] == pytest.approx(complete["val_f1_macro_labels"].max())
    assert figures["validation"] == "holdout"


def test_a_label_without_positive_test_rows_is_named_left_out_and_counted(
    tracking_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_in(tmp_path, tracking_uri, trials=3, fresh_seeds=0)
    arrays = dict(np.load(config.data))
    x_nd, has_nc = arrays["train_x"], arrays["train_y"].copy()
    has_nc[80:, 3] = False
    parts = {"train": slice(0, 60), "val": slice(60, 80), "test": slice(80, None)}
    split = {f"{name}_x": x_nd[rows] for name, rows in parts.items()}
    split |= {f"{name}_y": has_nc[rows] for name, rows in parts.items()}
    np.savez(config.data, classes=arrays["classes"], **split)
    figures = run(config)
    said = " ".join(capsys.readouterr().err.split())
    assert figures["labels_left_out"] == ["rare"]
    assert "Left out of mAP: 1 of 4 labels, which no test image has, or every one: rare." in said
    assert "1 label has no test rows: 'rare'." in said
    rows = pd.read_parquet(folder_of(tracking_uri, figures["mlflow_run_id"]) / Artifact.PREDICTIONS)
    has_nc, p_nc = answers_of(rows.query("head == 'best' and split == 'test'"), figures["labels"])
    expected = np.mean([average_precision_score(has_nc[:, c], p_nc[:, c]) for c in range(3)])
    assert figures["test_map"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"objective": "accuracy"}, "--objective accuracy is for classes, and the labels of .* are several"),
        ({"objective": "r2"}, "--objective r2 is for numbers, and the labels of .* are several per image"),
        (
            {"target": "class"},
            "this command takes one label per image, and there are lists of several labels",
        ),
    ],
)
def test_flags_of_another_kind_are_refused(
    tracking_uri: str, tmp_path: Path, flags: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        run(config_in(tmp_path, tracking_uri, **flags))


def test_an_objective_of_labels_is_refused_for_classes(tracking_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, tracking_uri, objective="map")
    arrays = dict(np.load(config.data))
    np.savez(config.data, train_x=arrays["train_x"], train_y=arrays["train_y"][:, 0].astype(int))
    with pytest.raises(InputError, match=r"--objective map is for several per image, .* or --target labels"):
        run(config)


def test_a_space_of_other_heads_is_refused(tracking_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, tracking_uri)
    assert config.space is not None
    for line, told in (
        ("solver: ridge", "solvers descent and lbfgs"),
        ("label_smoothing: 0.1", "'label_smoothing' is no hyper"),
        ("loss: {choice: [bce, hinge]}", "loss is 'hinge'"),
    ):
        config.space.write_text(line)
        with pytest.raises(InputError, match=told):
            run(config)


@pytest.mark.slow
def test_each_loss_can_be_searched_alone(tracking_uri: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, tracking_uri, trials=3, seeds=1, fresh_seeds=0)
    assert config.space is not None
    for loss in ("asymmetric", "focal"):
        config.space.write_text(yaml.safe_dump({**QUICK, "loss": loss, "solver": "descent"}))
        figures = run(dataclasses.replace(config, study=loss))
        trials = pd.read_parquet(folder_of(tracking_uri, figures["mlflow_run_id"]) / Artifact.TRIALS)
        assert set(trials["param.loss"]) == {loss}
        assert ("param.gamma_neg" in trials) == (loss == "asymmetric")
        assert ("param.focal_gamma" in trials) == (loss == "focal")
        assert figures["complete"] > 0


def test_check_counts_the_rows_of_each_label(tmp_path: Path) -> None:
    figures = check(CheckConfig(data=str(data_in(tmp_path)), cache_dir=tmp_path, device="cpu"))
    assert figures["classes"] == {}
    assert list(figures["labels"]) == ["a", "b", "c", "rare"]
    assert min(figures["labels"].values()) > 0


def test_the_python_api_reads_what_was_recorded(swept: Swept) -> None:
    logged = hr.open_run(swept.figures["mlflow_run_id"], swept.config.tracking_uri)
    scores = logged.answers().scores
    assert [scores.map.value, *scores.map[1:]] == [swept.figures["test_map"], *swept.figures["test_map_ci95"]]
    comparison = hr.compare(logged, logged)
    assert (comparison.difference.value, comparison.p, comparison.significant) == (0.0, 1.0, False)
    with pytest.raises(InputError, match="predicts several labels, and has no confusion matrix"):
        logged.confusion()


def test_extract_records_the_labels_as_they_were_read(swept: Swept) -> None:
    figures = extract(
        ExtractConfig(
            data=swept.config.data,
            label_separator="|",
            encoder="demo",
            tracking_uri=swept.config.tracking_uri,
            cache_dir=swept.config.cache_dir,
            device="cpu",
        )
    )
    assert (figures["used"], figures["encoded"]) == (trained_labels.ROWS, 0)
    folder = folder_of(swept.config.tracking_uri, figures["mlflow_run_id"])
    table = pd.read_csv(swept.config.data, keep_default_na=False).set_index("path")["labels"]
    images = pd.read_parquet(folder / Artifact.IMAGES).set_index("sample_id")["label"]
    assert images.to_dict() == table.to_dict()


@pytest.mark.parametrize("module", ["ablate", "zeroshot", "fuse", "finetune", "verify", "encoders"])
def test_other_commands_refuse_them_in_a_sentence(module: str, swept: Swept, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("name,imagenum1,imagenum2,\n")
    encoders = ["--encoders", "demo", "demo+demo"] if module == "encoders" else ["--encoder", "demo"]
    more = [*encoders, *(["--pairs", pairs] if module == "verify" else [])]
    done = commands.run(
        f"trainer.{module}",
        *("--data", swept.config.data, "--label-separator", "|"),
        *("--tracking-uri", swept.config.tracking_uri, "--cache-dir", tmp_path, *more),
    )
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.split())
    assert "this command takes one label per image, and there are --label-separator |." in said
    assert "Traceback" not in said


def test_ablation_refuses_the_head_of_such_a_sweep(swept: Swept, tmp_path: Path) -> None:
    done = commands.run(
        "trainer.ablate",
        *("--data", "demo", "--encoder", "demo", "--head", swept.figures["mlflow_run_id"]),
        *("--tracking-uri", swept.config.tracking_uri, "--cache-dir", tmp_path),
    )
    assert done.returncode == 2, done.stderr
    assert "predicts several labels. Pass a sweep of classes." in " ".join(done.stderr.split())


@pytest.mark.slow
@pytest.mark.kill
def test_the_command_goes_on_after_a_kill_with_the_figures_of_one_that_was_not(
    tracking_uri: str, tmp_path: Path
) -> None:
    table = trained_labels.compose(tmp_path)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(QUICK))
    words = [
        *("--data", table, "--encoder", "demo", "--device", "cpu", "--target", "labels"),
        *("--label-separator", "|", "--trials", "12", "--seeds", "2", "--at-once", "3"),
        *("--fresh-seeds", "0", "--folds", "3", "--space", tmp_path / "space.yaml"),
        *("--tracking-uri", tracking_uri, "--cache-dir", tmp_path / "cache"),
    ]
    whole = commands.run("trainer.sweep", *words, "--study", "whole")
    cut = commands.start("trainer.sweep", *words, "--study", "cut", folder=tmp_path)
    client = MlflowClient(tracking_uri)
    while cut.wait(0.02) is None:
        runs = client.search_runs(["1"], "tags.`headroom.study` = 'cut'")
        if runs and list(_folder(runs[0].info.artifact_uri).glob(Artifact.TRIALS)):
            break
    os.kill(cut.pid, signal.SIGKILL)
    assert cut.wait() == -signal.SIGKILL, cut.said()
    again = commands.run("trainer.sweep", *words, "--study", "cut")
    assert (whole.returncode, again.returncode) == (0, 0), again.stderr
    one, other = (json.loads(done.stdout.splitlines()[-1]) for done in (whole, again))
    for name in (
        "members",
        "test_map",
        "test_map_ci95",
        "test_f1_macro_labels",
        "thresholds",
        "best_val_map",
    ):
        assert one[name] == other[name], name


def _folder(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))
