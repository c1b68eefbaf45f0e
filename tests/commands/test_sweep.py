"""The sweep command from end to end: real data, a real encoder, a real store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import tyro
import yaml
from mlflow import MlflowClient
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from tests.support import commands
from tests.support.image_files import encoded
from tests.support.paths import REPO, TWO_CORES
from tests.support.tiny_clip import save_tiny_clip
from tests.support.trained_sweep import DemoSweep
from tests.support.trained_target import folder_of
from trainer.core.errors import InputError, NoResultError
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.run import run
from trainer.heads.slab_autotune import CANDIDATES
from trainer.serving.predictor import read_folder
from trainer.tracking.schema import Artifact, Kind, Stopped, Summary, Tag

QUICK = {"width": {"choice": [8, 16]}, "epochs": 9, "patience": 9}
PROMISED = {
    *("mlflow_run_id", "study", "trials", "complete", "pruned", "failed", "best_val_f1_macro"),
    *("test_f1_macro", "test_f1_macro_ci95", "test_accuracy", "test_accuracy_ci95"),
    *("encoder_calls", "elapsed_s", "trials_per_s"),
}


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path) -> SweepConfig:
    return config_in(tmp_path, tracking_uri)


@pytest.fixture(scope="module")
def swept(module_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, dict[str, Any]]:
    """A sweep, and its figures, for tests that read and change nothing."""
    config = config_in(tmp_path_factory.mktemp("swept"), module_store)
    return config, run(config)


def config_in(folder: Path, tracking_uri: str) -> SweepConfig:
    (folder / "space.yaml").write_text(yaml.safe_dump(QUICK))
    return SweepConfig(
        data=str(features_file(folder / "three.npz", classes=3)),
        tracking_uri=tracking_uri,
        cache_dir=folder / "cache",
        space=folder / "space.yaml",
        trials=6,
        seeds=2,
        at_once=3,
        device="cpu",
        study="study",
    )


def features_file(path: Path, *, classes: int = 2, rows: int = 40, seed: int = 0) -> Path:
    """Ready features of overlapping clouds."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, 6)) * 1.2
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        y = np.arange(rows) % classes
        arrays[f"{split}_x"] = (centres[y] + random.normal(size=(rows, 6))).astype(np.float32)
        arrays[f"{split}_y"] = y
    np.savez(path, **arrays)
    return path


# --- what a sweep leaves ----------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_ends_with_one_line_of_json_that_holds_every_promised_figure(
    demo_sweep: DemoSweep,
) -> None:
    done = demo_sweep.done
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    figures = json.loads(done.stdout)
    assert set(figures) >= PROMISED
    assert figures["trials"] == 4 == figures["complete"] + figures["pruned"] + figures["failed"]
    assert figures["test_accuracy_ci95"][0] <= figures["test_accuracy"] <= figures["test_accuracy_ci95"][1]
    assert figures["encoder_calls"] > 0
    assert re.search(r"found (\d+) = used \1 \+ quarantined 0", done.stderr)
    # photographs of the demo come in series: test rows of one are drawn together
    assert f"95 % over {figures['test_groups']} groups (" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_how_the_data_were_read_is_said_and_on_record(demo_sweep: DemoSweep) -> None:
    run = MlflowClient(demo_sweep.uri).get_run(json.loads(demo_sweep.done.stdout)["mlflow_run_id"])
    understood = run.data.tags[Tag.DATA_SUMMARY]
    assert understood.startswith("Classes (12): ")
    assert understood in demo_sweep.done.stderr


def test_a_sweep_is_a_tree_in_mlflow_with_every_table_beside_it(
    swept: tuple[SweepConfig, dict[str, Any]],
) -> None:
    config, figures = swept
    client = MlflowClient(config.tracking_uri)
    parent = client.get_run(figures["mlflow_run_id"])
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`{Tag.PARENT}` = '{parent.info.run_id}'"
    )
    assert parent.info.status == "FINISHED"
    assert parent.data.tags[Tag.KIND] == Kind.SWEEP
    assert sorted(int(child.data.tags[Tag.TRIAL]) for child in children) == list(range(6))
    best = next(c for c in children if int(c.data.tags[Tag.TRIAL]) == figures["best_trial"])
    assert best.data.metrics["best_val_f1_macro"] == pytest.approx(figures["best_val_f1_macro"])
    history = client.get_metric_history(best.info.run_id, "val_f1_macro")
    assert [point.step for point in history] == list(range(1, len(history) + 1))
    folder = folder_of(config.tracking_uri, parent.info.run_id)
    for name in (
        *(Artifact.TRIALS, Artifact.CURVES, Artifact.PREDICTIONS, Artifact.PROJECTION, Artifact.SAMPLES),
        *(Artifact.CONFIG, Artifact.SUMMARY, Artifact.CONFUSION_PNG),
    ):
        assert (folder / name).stat().st_size > 0, name
    assert len(pd.read_parquet(folder / Artifact.TRIALS)) == 6


def test_the_figures_are_those_of_the_logged_predictions(config: SweepConfig, tmp_path: Path) -> None:
    config = dataclasses.replace(config, data=str(features_file(tmp_path / "two.npz")))
    figures = run(config)
    folder = folder_of(config.tracking_uri, figures["mlflow_run_id"])
    predictions = pd.read_parquet(folder / Artifact.PREDICTIONS)
    test = predictions[(predictions["head"] == "best") & (predictions["split"] == "test")]
    assert figures["test_accuracy"] == pytest.approx(accuracy_score(test["label"], test["pred"]))
    assert figures["test_f1_macro"] == pytest.approx(f1_score(test["label"], test["pred"], average="macro"))
    positive = np.stack(test["probs"].to_numpy())[:, 1]
    assert figures["test_auroc"] == pytest.approx(roc_auc_score(test["label"] == "1", positive), abs=1e-6)
    assert set(predictions["split"]) == {"train", "val", "test"}


def test_the_logged_head_gives_the_logged_probabilities(swept: tuple[SweepConfig, dict[str, Any]]) -> None:
    config, figures = swept
    folder = folder_of(config.tracking_uri, figures["mlflow_run_id"])
    head = read_folder(folder / Artifact.HEAD)
    predictions = pd.read_parquet(folder / Artifact.PREDICTIONS)
    test = predictions[(predictions["head"] == "best") & (predictions["split"] == "test")]
    ours = head.answers(np.load(config.data)["test_x"])
    np.testing.assert_allclose(ours, np.stack(test["probs"].to_numpy()), atol=1e-6)


def test_rows_that_are_not_test_are_answered_by_heads_that_had_not_learned_them(
    swept: tuple[SweepConfig, dict[str, Any]],
) -> None:
    config, figures = swept
    assert figures["validation"] == "5-fold cross-validation"
    assert figures["refit"] is True
    assert sum(figures["members"].values()) == pytest.approx(1)
    folder = folder_of(config.tracking_uri, figures["mlflow_run_id"])
    rows = pd.read_parquet(folder / Artifact.PREDICTIONS).query("head == 'best' and split != 'test'")
    f1 = f1_score(rows["label"], rows["pred"], average="macro")
    assert f1 == pytest.approx(figures["held_out_f1_macro"], abs=1e-9)
    held_out = load_file(folder / Artifact.HELD_OUT)
    assert set(figures["members"]) <= set(held_out)
    assert all(answers.shape == (len(rows), 3) for answers in held_out.values())


def test_held_out_rows_judge_where_that_is_asked_for(config: SweepConfig) -> None:
    config = dataclasses.replace(config, validate="holdout", refit=False, fresh_seeds=0)
    figures = run(config)
    assert (figures["validation"], figures["refit"]) == ("holdout", False)
    folder = folder_of(config.tracking_uri, figures["mlflow_run_id"])
    rows = pd.read_parquet(folder / Artifact.PREDICTIONS).query("head == 'best' and split == 'val'")
    assert f1_score(rows["label"], rows["pred"], average="macro") == pytest.approx(
        figures["held_out_f1_macro"], abs=1e-9
    )


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"validate": "cv", "refit": False}, "--no-refit needs --validate holdout"),
        ({"validate": "cv", "folds": 500}, "--folds is 500"),
        ({"folds": 1}, "--folds is 1; it must be at least 2"),
        ({"repeats": 0}, "--repeats is 0"),
    ],
)
def test_a_validation_that_cannot_be_is_refused(
    config: SweepConfig, flags: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        run(dataclasses.replace(config, **flags))


@pytest.mark.slow
def test_images_are_encoded_once_and_the_second_run_makes_no_encoder_call(
    config: SweepConfig, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    for index in range(40):
        shade = 60 if index % 2 else 190
        image = np.clip(random.normal(shade, 50, size=(32, 32, 3)), 0, 255).astype(np.uint8)
        path = tmp_path / "images" / ("dark" if index % 2 else "light") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    save_tiny_clip(tmp_path / "clip")
    config = dataclasses.replace(
        config, data=str(tmp_path / "images"), encoder=str(tmp_path / "clip"), study=None
    )
    first, second = run(config), run(config)
    assert first["encoder_calls"] > 0
    assert second["encoder_calls"] == 0
    assert second["test_accuracy"] == first["test_accuracy"]
    assert second["mlflow_run_id"] != first["mlflow_run_id"]
    folder = folder_of(config.tracking_uri, second["mlflow_run_id"])
    samples = pd.read_parquet(folder / Artifact.SAMPLES)
    assert samples["thumbnail"].notna().all()
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "images").rglob("*.png")}
    assert set(samples["content_hash"]) == hashes


def test_one_seed_has_an_interval_over_rows_and_the_figures_stay_json(config: SweepConfig) -> None:
    figures = run(dataclasses.replace(config, seeds=1, trials=3))
    low, high = figures["best_val_f1_macro_ci95"]
    assert low < figures["best_val_f1_macro"] <= high
    json.dumps(figures, allow_nan=False)


# --- ending early, looking again --------------------------------------------------------------


def test_a_sweep_ends_at_its_target(config: SweepConfig) -> None:
    figures = run(dataclasses.replace(config, trials=500, target=0.5))
    assert figures["trials"] < 500
    assert figures["best_val_f1_macro"] >= 0.5
    trials = pd.read_parquet(folder_of(config.tracking_uri, figures["mlflow_run_id"]) / Artifact.TRIALS)
    assert "running" not in set(trials["state"])


def test_a_sweep_ends_when_its_time_is_over_and_says_so_of_what_it_gave_up(
    config: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.experiments.sweep.run.LIVE_EVERY_S", 0.0)
    figures = run(dataclasses.replace(config, trials=100_000, timeout=0.5))
    assert 0 < figures["trials"] < 100_000
    trials = pd.read_parquet(folder_of(config.tracking_uri, figures["mlflow_run_id"]) / Artifact.TRIALS)
    assert set(trials["state"]) <= {"complete", "pruned", "failed"}
    assert trials[trials["state"] == "pruned"]["message"].str.contains("rung|--timeout").all()


@pytest.mark.slow
def test_a_trial_trained_again_alone_gives_the_curve_on_record(config: SweepConfig) -> None:
    config = dataclasses.replace(config, trials=24, at_once=6)
    figures = run(config)
    again = run(dataclasses.replace(config, rerun=figures["mlflow_run_id"]))
    assert again["trial"] == figures["best_trial"]
    client = MlflowClient(config.tracking_uri)
    parent = client.get_run(figures["mlflow_run_id"])
    for child in client.search_runs([parent.info.experiment_id], f"tags.`{Tag.KIND}` = '{Kind.TRIAL}'"):
        again = run(dataclasses.replace(config, rerun=child.info.run_id))
        assert again["trial"] == int(child.data.tags[Tag.TRIAL])
        assert max(again["apart"].values()) < 1e-6


def test_a_trial_whose_record_was_changed_is_found_to_differ(config: SweepConfig) -> None:
    figures = run(config)
    path = folder_of(config.tracking_uri, figures["mlflow_run_id"]) / Artifact.CURVES
    curves = pd.read_parquet(path)
    curves.loc[curves["split"] == "val", "value"] += 1e-5
    curves.to_parquet(path)
    with pytest.raises(NoResultError, match="differs from its record"):
        run(dataclasses.replace(config, rerun=figures["mlflow_run_id"]))


def test_a_rerun_of_what_is_no_sweep_or_of_changed_data_is_refused(
    config: SweepConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no run"):
        run(dataclasses.replace(config, rerun="0" * 32))
    figures = run(config)
    features_file(Path(config.data), classes=3, seed=1)
    with pytest.raises(InputError, match="digest"):
        run(dataclasses.replace(config, rerun=figures["mlflow_run_id"]))


@pytest.mark.slow
def test_the_profile_adds_up_and_the_export_holds_every_trial_of_a_resumed_study_too(
    config: SweepConfig, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    figures = run(dataclasses.replace(config, profile=True, export_optuna=url))
    spent = figures["profile"]["seconds"]
    assert figures["profile"]["search_s"] <= figures["elapsed_s"] + 0.5
    assert {"proposing", "training", "judging", "tables", "MLflow (beside)"} <= set(spent)
    assert len(optuna.load_study(study_name="study", storage=url).trials) == 6
    run(dataclasses.replace(config, export_optuna=url, trials=8))  # resumed: those that are new are added
    assert len(optuna.load_study(study_name="study", storage=url).trials) == 8


@pytest.mark.slow
def test_how_much_to_train_side_by_side_is_measured_once_and_remembered(
    config: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config)
    (known,) = json.loads((config.cache_dir / "slabs.json").read_text()).values()
    assert known in CANDIDATES
    monkeypatch.setattr("trainer.heads.slab_autotune.fastest_slab", None)  # would fail if it were called
    run(dataclasses.replace(config, study="another"))


@pytest.mark.slow
def test_where_size_counts_the_front_is_reported_the_smallest_head_first(config: SweepConfig) -> None:
    front = run(dataclasses.replace(config, objective="f1+size", trials=12))["front"]
    sizes = [member["parameters"] for member in front]
    scores = [member["val_f1_macro"] for member in front]
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)


@pytest.mark.slow
def test_the_best_configuration_is_trained_anew_with_seeds_that_did_not_choose_it(
    config: SweepConfig,
) -> None:
    config.space.write_text(yaml.safe_dump({**QUICK, "depth": 1}))
    figures = run(dataclasses.replace(config, fresh_seeds=4))
    low, high = figures["fresh_val_f1_macro_ci95"]
    assert low <= figures["fresh_val_f1_macro"] <= high
    assert figures["fresh_seeds"] == 4
    assert "fresh_val_f1_macro" not in run(dataclasses.replace(config, fresh_seeds=0, study="none"))


# --- resuming ---------------------------------------------------------------------------------


def test_a_finished_study_run_again_does_nothing_and_says_the_same(config: SweepConfig) -> None:
    first, again = run(config), run(config)
    changing = (Summary.ELAPSED_S,)
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }


@pytest.mark.slow
def test_a_finished_study_goes_on_when_more_trials_are_asked_for(config: SweepConfig) -> None:
    config = dataclasses.replace(config, pruner="none")
    first = run(config)
    more = run(dataclasses.replace(config, trials=7))
    assert more["mlflow_run_id"] == first["mlflow_run_id"]
    assert more["trials"] == 7
    whole = run(dataclasses.replace(config, trials=7, study="in one go"))
    folders = [folder_of(config.tracking_uri, figures["mlflow_run_id"]) for figures in (more, whole)]
    a, b = (pd.read_parquet(folder / Artifact.TRIALS).sort_values("trial") for folder in folders)
    columns = ["trial", "state", "param.lr", "param.l2", "val_f1_macro"]
    pd.testing.assert_frame_equal(a[columns].reset_index(drop=True), b[columns].reset_index(drop=True))


@pytest.mark.slow
def test_the_figures_of_a_study_that_was_stopped_while_it_grew_speak_of_all_its_trials(
    config: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config)
    with monkeypatch.context() as patched:
        patched.setattr("trainer.experiments.sweep.run.conclude", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(dataclasses.replace(config, trials=9))
    again = run(config)
    assert again["trials"] == 9 == again["complete"] + again["pruned"] + again["failed"]


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_trials_that_were_killed_before_mlflow_showed_them_are_shown_by_the_resumed_study(
    config: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("trainer.experiments.child_runs.Mirror._work", lambda self: None)  # never writes
        patched.setattr("trainer.experiments.child_runs.INTERRUPTED_S", 0.0)
        patched.setattr("trainer.experiments.sweep.run.conclude", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    client = MlflowClient(config.tracking_uri)
    parent = client.search_runs(["1"], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'")[0]
    assert parent.info.status == "KILLED"
    assert _shown(client, parent.info.run_id) == []
    assert run(config)["mlflow_run_id"] == parent.info.run_id
    assert _shown(client, parent.info.run_id) == list(range(6))
    child = client.search_runs(["1"], f"tags.`{Tag.PARENT}` = '{parent.info.run_id}'")[0]
    client.delete_run(child.info.run_id)
    run(config)  # there is nothing left to search
    assert _shown(client, parent.info.run_id) == list(range(6))


KILLED_AT_THE_END = """
import os, pickle, signal, sys
from trainer.experiments.sweep import run
run.conclude = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
run.run(pickle.load(sys.stdin.buffer))
"""


@pytest.mark.slow
@pytest.mark.kill
def test_a_sweep_killed_before_its_end_hands_over_the_same_head_bit_for_bit(
    config: SweepConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(dataclasses.replace(config, study="whole", trials=12))
    cut = dataclasses.replace(config, study="cut", trials=12)
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_END], input=pickle.dumps(cut), cwd=REPO, check=False
    )
    assert done.returncode == -signal.SIGKILL
    monkeypatch.setattr("trainer.search.refit.answers_again", _interrupted)  # they are on record
    resumed = run(cut)
    assert resumed["members"] == whole["members"]
    folders = [folder_of(config.tracking_uri, one["mlflow_run_id"]) for one in (whole, resumed)]
    for name in (Artifact.HEAD_CARD, Artifact.HEAD_WEIGHTS):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name


def _shown(client: MlflowClient, run_id: str) -> list[int]:
    """Trials that have a child run, as often as they have one."""
    found = client.search_runs(["1"], f"tags.`{Tag.PARENT}` = '{run_id}'")
    assert all(child.info.status != "RUNNING" for child in found)
    return sorted(int(child.data.tags[Tag.TRIAL]) for child in found)


@pytest.mark.slow
def test_a_study_with_a_long_space_goes_on(config: SweepConfig, tmp_path: Path) -> None:
    rates = [round(1e-4 + 1e-7 * step, 8) for step in range(5_000)]
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**QUICK, "lr": {"choice": rates}}))
    first = run(dataclasses.replace(config, trials=2))
    more = run(dataclasses.replace(config, trials=3))
    assert (first["mlflow_run_id"], more["trials"]) == (more["mlflow_run_id"], 3)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**QUICK, "lr": {"choice": rates[1:]}}))
    with pytest.raises(InputError, match="cannot be resumed like this") as refusal:
        run(dataclasses.replace(config, trials=4))
    assert len(str(refusal.value)) < 1_000


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seeds": 3, "objective": "nll"}, "objective was 'f1' and is 'nll'\n.*seeds was 2 and is 3"),
        ({"space": None}, "space: width"),
    ],
)
def test_a_study_refuses_to_go_on_with_something_changed(
    config: SweepConfig, change: dict[str, Any], named: str
) -> None:
    first = run(config)
    with pytest.raises(InputError, match=named):
        run(dataclasses.replace(config, trials=9, **change))
    assert MlflowClient(config.tracking_uri).get_run(first["mlflow_run_id"]).info.status == "FINISHED"


@pytest.mark.kill
@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_an_interrupted_sweep_is_labelled_and_resumes_to_the_exact_budget(
    config: SweepConfig, how: signal.Signals
) -> None:
    many = 2000  # it must not be done before it is interrupted, however slow the machine
    arguments = [
        *("--data", config.data, "--trials", str(many), "--seeds", "2", "--at-once", "4", "--study", "study"),
        *("--device", "cpu"),
        *("--tracking-uri", config.tracking_uri, "--space", str(config.space)),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.sweep", *arguments],
        cwd=REPO,
        env=os.environ | TWO_CORES,
        stderr=subprocess.DEVNULL,
    )
    client = MlflowClient(config.tracking_uri)
    experiment = first_commit(client)
    process.send_signal(how)
    assert process.wait(timeout=600) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    parent = client.search_runs([experiment], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'")[0]
    if how == signal.SIGINT:
        assert parent.info.status == "KILLED"
        assert parent.data.tags[Tag.STOPPED] == Stopped.INTERRUPTED
    resuming = tyro.cli(SweepConfig, args=shlex.split(parent.data.tags[Tag.COMMAND])[3:])
    asked = dataclasses.replace(
        config, trials=many, at_once=4, study="study", cache_dir=SweepConfig().cache_dir
    )
    assert resuming == asked
    folder = folder_of(config.tracking_uri, parent.info.run_id)
    done = pd.read_parquet(folder / Artifact.TRIALS).query("state != 'running'")
    assert 0 < len(done) < many

    budget = len(done) + 3
    figures = run(dataclasses.replace(config, trials=budget, at_once=4))
    assert figures["mlflow_run_id"] == parent.info.run_id
    trials = pd.read_parquet(folder / Artifact.TRIALS)
    assert sorted(trials["trial"]) == list(range(budget))
    kept = trials[trials["trial"].isin(done["trial"])]
    pd.testing.assert_series_equal(kept["val_f1_macro"], done["val_f1_macro"], check_index=False)
    children = client.search_runs([experiment], f"tags.`{Tag.PARENT}` = '{parent.info.run_id}'")
    finished = [c for c in children if c.data.tags.get(Tag.STOPPED) != Stopped.LOST]
    assert sorted(int(child.data.tags[Tag.TRIAL]) for child in finished) == list(range(budget))


@pytest.mark.slow
@pytest.mark.kill
def test_a_large_study_killed_between_two_rewritings_of_its_tables_goes_on_with_every_trial(
    config: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"trainer.experiments.study_tables.SMALL": 4, "trainer.experiments.study_tables.GROWTH": 1}
    flags = ["--data", config.data, "--trials", "2000", "--seeds", "2", "--at-once", "4", "--study", "study"]
    flags += ["--device", "cpu", "--tracking-uri", config.tracking_uri, "--space", str(config.space)]
    started = commands.start("trainer.sweep", *flags, folder=tmp_path, constants=large)
    client = MlflowClient(config.tracking_uri)
    experiment = first_commit(client)
    parent = client.search_runs([experiment], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'")[0]
    folder = folder_of(config.tracking_uri, parent.info.run_id)
    while len(parts := sorted(folder.glob(f"{Artifact.LOG}/*/{Artifact.TRIALS}"))) < 3:
        assert started.wait(0.05) is None, started.said()
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    written = [
        pd.read_parquet(path).query("state != 'running'") for path in (folder / Artifact.TRIALS, *parts)
    ]
    done = pd.concat(written).drop_duplicates("trial").set_index("trial")["val_f1_macro"]
    for name, value in large.items():
        monkeypatch.setattr(name, value)
    budget = len(done) + 9  # a whole crew may have been written since
    run(dataclasses.replace(config, trials=budget, at_once=4))
    trials = pd.read_parquet(folder / Artifact.TRIALS).set_index("trial")["val_f1_macro"]
    assert sorted(trials.index) == list(range(budget))
    pd.testing.assert_series_equal(trials[done.index], done)


def first_commit(client: MlflowClient) -> str:
    """Wait until a trial is on record; returns the experiment's id."""
    for _ in range(2400):
        experiment = client.get_experiment_by_name("headroom")
        if experiment is not None:
            found = client.search_runs([experiment.experiment_id], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'")
            if found:
                path = Path(found[0].info.artifact_uri.removeprefix("file://")) / Artifact.TRIALS
                if path.exists() and (pd.read_parquet(path)["state"] != "running").any():
                    return experiment.experiment_id
        time.sleep(0.1)
    raise AssertionError("no trial was committed within four minutes")


# --- bad input --------------------------------------------------------------------------------


def _images(folder: Path, **classes: int) -> Path:
    random = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in classes.items():
        (folder / name).mkdir()
        for index in range(count):
            image = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            (folder / name / f"{index}.png").write_bytes(encoded(image))
    return folder


def _npz(path: Path, **changes: Any) -> Path:
    arrays = dict(np.load(features_file(path)))
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


BAD = {
    "no such path": (lambda t: ["--data", str(t / "nowhere")], "nowhere"),
    "an empty folder": (lambda t: ["--data", str(_images(t / "empty"))], "empty"),
    "one class only": (lambda t: ["--data", str(_images(t / "one", cat=9))], "cat"),
    "a class with fewer rows than splits": (
        lambda t: ["--data", str(_images(t / "few", cat=9, dog=2))],
        "dog",
    ),
    "an npz without train_y": (lambda t: ["--data", str(_npz(t / "a.npz", train_y=None))], "train_y"),
    "an npz with NaN": (
        lambda t: ["--data", str(_npz(t / "a.npz", val_x=np.full((40, 6), np.nan)))],
        "val_x",
    ),
    "an npz of mismatched lengths": (
        lambda t: ["--data", str(_npz(t / "a.npz", train_y=np.zeros(39, int)))],
        "39",
    ),
    "an encoder that cannot be had": (
        lambda t: ["--data", str(_images(t / "ok", cat=9, dog=9)), "--encoder", "nobody/no-such-model"],
        "nobody/no-such-model",
    ),
    "a target above one": (lambda t: ["--target", "2"], "--target"),
    "a timeout of no time": (lambda t: ["--timeout", "0"], "--timeout"),
    "trials below one": (lambda t: ["--trials", "0"], "--trials"),
    "a share above one": (lambda t: ["--max-bad", "3"], "--max-bad"),
    "an unknown pruner": (lambda t: ["--pruner", "axe"], "pruner"),
    "an unknown flag": (lambda t: ["--trails", "3"], "--trails"),
    "a space that is not there": (lambda t: ["--space", str(t / "no.yaml")], "no.yaml"),
    "a server that does not answer": (
        lambda t: ["--tracking-uri", "http://127.0.0.1:9"],
        "http://127.0.0.1:9",
    ),
    "a file store": (lambda t: ["--tracking-uri", str(t / "mlruns")], "mlruns"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
def test_bad_input_is_refused_in_a_paragraph_that_names_it(case: str, tmp_path: Path) -> None:
    arguments, named = BAD[case]
    uri = f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
    flags = ["--tracking-uri", uri, "--cache-dir", str(tmp_path / "cache"), *arguments(tmp_path)]
    done = commands.run("trainer.sweep", *flags)
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "store").exists()


def test_a_sweep_of_which_no_trial_completes_fails_and_says_what_to_do(
    config: SweepConfig, tmp_path: Path
) -> None:
    wild = tmp_path / "wild.yaml"
    wild.write_text(
        yaml.safe_dump(QUICK | {"lr": 1e30, "optimizer": "sgd", "scheduler": "none", "solver": "descent"})
    )
    with pytest.raises(NoResultError, match="learning rate"):
        run(dataclasses.replace(config, space=wild, trials=2))
    client = MlflowClient(config.tracking_uri)
    parents = client.search_runs(
        [client.get_experiment_by_name("headroom").experiment_id], f"tags.`{Tag.KIND}` = '{Kind.SWEEP}'"
    )
    assert [parent.info.status for parent in parents] == ["FAILED"]
    assert "learning rate" in parents[0].data.tags[Tag.ERROR]
