"""The writer: what a sweep leaves in MLflow, however it ends."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tests.support.paths import REPO
from tests.support.synthetic_runs import training
from trainer.core.errors import InputError
from trainer.core.storage_errors import storage_problem
from trainer.experiments import child_runs
from trainer.experiments.child_runs import Mirror
from trainer.search.trial_log import TrialLog
from trainer.tracking import claims, client, schema
from trainer.tracking.children import ChildRun
from trainer.tracking.dataset_input import log_dataset
from trainer.tracking.schema import Artifact, Kind, RunState, Stopped, Tag, TrialState
from trainer.tracking.studies import close_lost_runs, find_study
from trainer.tracking.writer import RunWriter

EXPERIMENT = "tests"
FRAME = pd.DataFrame({"trial": [0, 1], "val_f1_macro": [0.5, np.nan], "state": ["complete", "failed"]})

SWEEP = """
import sys, time
from tests.unit.tracking import test_writer as t
writer = t.start(sys.argv[1])
writer.trials([t.child(0)])
t.half_written(sys.argv[1], writer.run_id, trial=1)
print(writer.run_id, flush=True)
time.sleep(600)
"""


def start(
    uri: str,
    *,
    study: str = "a study",
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunWriter:
    return RunWriter.start(
        tracking_uri=uri,
        experiment=EXPERIMENT,
        study=study,
        tags={Tag.DATA: "demo", **(tags or {})},
        params=params or {"trials": 2},
        config_yaml="seeds: 3\n",
    )


def child(
    trial: int,
    *,
    state: TrialState = TrialState.COMPLETE,
    loss: tuple[float, ...] = (1.0, 0.5),
    message: str = "",
) -> ChildRun:
    return ChildRun(
        trial=trial,
        name=f"trial {trial}",
        state=state,
        params={"lr": 0.01, "width": None},
        epochs={"val_loss": loss},
        final={"best_val_f1_macro": 0.9},
        started_ms=1_000_000,
        ended_ms=1_002_000,
        message=message,
    )


def half_written(uri: str, run_id: str, *, trial: int) -> None:
    """What a kill leaves of a child: a run that never got its status."""
    experiment = run_of(uri, run_id).info.experiment_id
    MlflowClient(uri).create_run(experiment, tags={Tag.PARENT: run_id, Tag.TRIAL: str(trial)})


def run_of(uri: str, run_id: str) -> Run:
    return MlflowClient(uri).get_run(run_id)


def children_of(uri: str, run_id: str) -> dict[str, Run]:
    """Child runs by trial number; fails where a trial has two."""
    client = MlflowClient(uri)
    experiment = run_of(uri, run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`{Tag.PARENT}` = '{run_id}'")
    by_trial = {run.data.tags[Tag.TRIAL]: run for run in found}
    assert len(by_trial) == len(found)
    return by_trial


def age(uri: str, run_id: str) -> None:
    """Make the run's last sign of life too old."""
    MlflowClient(uri).set_tag(run_id, Tag.HEARTBEAT, str(time.time() - schema.HEARTBEAT_LOST_S - 1))


@pytest.fixture
def killed(tracking_uri: str) -> str:
    """Id of a run whose process was killed while it wrote its second child."""
    command = [sys.executable, "-c", SWEEP, tracking_uri]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return run_id


def test_a_sweep_is_a_tree_of_runs_in_mlflow(tracking_uri: str, tmp_path: Path) -> None:
    failed = child(2, state=TrialState.FAILED, message="its loss stopped being a number")
    with start(tracking_uri) as writer:
        writer.trials([child(0), child(1, state=TrialState.PRUNED), failed])
        writer.metrics({"best_val_f1_macro": 0.9}, step=3)
    parent = run_of(tracking_uri, writer.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags[Tag.KIND] == Kind.SWEEP
    assert parent.data.tags[Tag.SCHEMA] == str(schema.SCHEMA_VERSION)
    assert parent.data.tags[Tag.DATA] == "demo"
    assert parent.data.params == {"trials": "2"}
    assert parent.data.metrics == {"best_val_f1_macro": 0.9}
    folder = tmp_path / "artifacts" / writer.run_id / "artifacts"
    assert (folder / Artifact.CONFIG).read_text() == "seeds: 3\n"
    children = children_of(tracking_uri, writer.run_id)
    assert [children[t].info.status for t in "012"] == ["FINISHED", "KILLED", "FAILED"]
    assert children["1"].data.tags[Tag.TRIAL_STATE] == TrialState.PRUNED
    assert children["2"].data.tags[Tag.ERROR] == "its loss stopped being a number"
    assert children["0"].data.params == {"lr": "0.01"}
    assert (children["0"].info.start_time, children["0"].info.end_time) == (1_000_000, 1_002_000)
    history = MlflowClient(tracking_uri).get_metric_history(children["0"].info.run_id, "val_loss")
    assert [(m.step, m.value, m.timestamp) for m in history] == [(1, 1.0, 1_001_000), (2, 0.5, 1_002_000)]


def test_more_epochs_and_params_than_one_batch_takes_are_all_logged(tracking_uri: str) -> None:
    loss = tuple(float(epoch) for epoch in range(2_345))
    with start(tracking_uri, params={f"p{i}": i for i in range(234)}) as writer:
        writer.trials([child(0, loss=loss)])
    run_id = children_of(tracking_uri, writer.run_id)["0"].info.run_id
    history = MlflowClient(tracking_uri).get_metric_history(run_id, "val_loss")
    assert sorted(metric.value for metric in history) == list(loss)
    assert len(run_of(tracking_uri, writer.run_id).data.params) == 234


def test_what_is_not_a_number_is_left_out_rather_than_stored_as_zero(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        writer.trials([child(0, loss=(1.0, math.nan, math.inf, 0.25))])
        writer.metrics({"test_auroc": math.nan, "test_accuracy": 0.5})
    run_id = children_of(tracking_uri, writer.run_id)["0"].info.run_id
    history = MlflowClient(tracking_uri).get_metric_history(run_id, "val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (4, 0.25)]
    assert run_of(tracking_uri, writer.run_id).data.metrics == {"test_accuracy": 0.5}


def test_texts_longer_than_mlflow_takes_are_cut_with_an_ellipsis(tracking_uri: str) -> None:
    study = "s" * 9_000
    with start(tracking_uri, study=study, params={"space": "x" * 7_000}) as writer:
        pass
    run = run_of(tracking_uri, writer.run_id)
    assert run.data.params["space"] == "x" * 5_999 + "…"
    assert run.data.tags[Tag.STUDY] == "s" * 7_999 + "…"


def test_what_is_read_back_is_an_artifact_where_mlflow_would_cut_it(tracking_uri: str) -> None:
    identity = json.dumps({"prompts": ["a photo of a rare bird"] * 10_000})
    long = {Tag.IDENTITY: identity, Tag.COMMAND: "python -m trainer.sweep " + "é" * 20_000}
    with start(tracking_uri, study="long", tags=long) as writer:
        assert run_of(tracking_uri, writer.run_id).data.tags[Tag.IDENTITY] == Artifact.of_tag(Tag.IDENTITY)
    found = find_study(tracking_uri, EXPERIMENT, "long")
    assert found is not None
    assert {tag: found.tags[tag] for tag in long} == long


def test_tables_read_back_as_they_were_written_and_the_last_one_counts(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        assert writer.read_table(Artifact.TRIALS) is None
        writer.table(Artifact.TRIALS, FRAME.head(1))
        writer.table(Artifact.TRIALS, FRAME)
        writer.file("head/head.json", b"{}")
        pd.testing.assert_frame_equal(writer.read_table(Artifact.TRIALS), FRAME)
    listed = {entry.path for entry in MlflowClient(tracking_uri).list_artifacts(writer.run_id)}
    assert listed == {Artifact.CONFIG, Artifact.TRIALS, "head"}  # no temporary file, no lock


def test_an_interrupted_sweep_is_killed_and_labelled_with_its_half_written_child(tracking_uri: str) -> None:
    writer = start(tracking_uri)
    half_written(tracking_uri, writer.run_id, trial=0)
    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt
    for run in (run_of(tracking_uri, writer.run_id), children_of(tracking_uri, writer.run_id)["0"]):
        assert run.info.status == "KILLED"
        assert run.data.tags[Tag.STOPPED] == Stopped.INTERRUPTED


def test_a_signal_as_a_run_is_opened_or_closed_leaves_none_open(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "file", _interrupt)
        with pytest.raises(InterruptedError):
            start(tracking_uri)
    monkeypatch.setattr(RunWriter, "wait_for_server", _press)
    with pytest.raises(KeyboardInterrupt), start(tracking_uri):
        pass
    (experiment,) = MlflowClient(tracking_uri).search_experiments(filter_string=f"name = '{EXPERIMENT}'")
    found = MlflowClient(tracking_uri).search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in found) == ["FAILED", "KILLED"]


def _interrupt(*_: object) -> None:
    raise InterruptedError


def _press(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_failed_sweep_says_why(tracking_uri: str) -> None:
    with pytest.raises(ZeroDivisionError), start(tracking_uri) as writer:
        _ = 1 / 0
    run = run_of(tracking_uri, writer.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[Tag.STOPPED] == Stopped.ERROR
    assert run.data.tags[Tag.ERROR] == "ZeroDivisionError: division by zero"


def test_a_store_without_room_raises_and_leaves_the_trace_to_who_catches_it(
    tracking_uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(tracking_uri) as writer:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(MlflowException) as raised:
                writer.metrics({f"m{i}": 1.0 for i in range(500)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.metrics({"f1": 1.0})  # there is room again
    assert "The MLflow store cannot be" in (storage_problem(raised.value) or "")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("on_network", [False, True])
def test_a_killed_sweep_is_closed_as_lost_at_its_last_heartbeat(
    tracking_uri: str, killed: str, monkeypatch: pytest.MonkeyPatch, on_network: bool
) -> None:
    if on_network:  # its lock may be another machine's: the heartbeat tells
        monkeypatch.setattr(claims, "is_on_network", lambda folder: True)
        assert close_lost_runs(tracking_uri, EXPERIMENT) == []
        age(tracking_uri, killed)
    folder = Path(run_of(tracking_uri, killed).info.artifact_uri.removeprefix("file://"))
    (folder / "forms").mkdir()
    leftovers = [folder / ".trials.parquet.abc.tmp", folder / "forms" / ".image.npz.abc.tmp"]
    for path in leftovers:
        path.touch()
    assert close_lost_runs(tracking_uri, EXPERIMENT) == [killed]
    assert not any(path.exists() for path in leftovers)
    parent, children = run_of(tracking_uri, killed), children_of(tracking_uri, killed)
    assert [run.info.status for run in (parent, children["0"], children["1"])] == [
        "KILLED",
        "FINISHED",
        "KILLED",
    ]
    assert parent.data.tags[Tag.STOPPED] == children["1"].data.tags[Tag.STOPPED] == Stopped.LOST
    assert Tag.STOPPED not in children["0"].data.tags
    assert parent.info.end_time >= parent.info.start_time
    assert close_lost_runs(tracking_uri, EXPERIMENT) == []


@pytest.mark.slow
@pytest.mark.parametrize("ahead_s", [3600.0, 10 * 365 * 86400.0])
def test_a_dead_run_is_closed_though_the_clock_was_set_back(
    tracking_uri: str, killed: str, ahead_s: float
) -> None:
    MlflowClient(tracking_uri).set_tag(killed, Tag.HEARTBEAT, str(time.time() + ahead_s))
    assert close_lost_runs(tracking_uri, EXPERIMENT) == [killed]
    run = run_of(tracking_uri, killed)
    assert run.info.status == "KILLED"
    assert run.info.start_time <= run.info.end_time <= 1000 * time.time()


def test_a_live_run_is_not_closed_though_the_clock_was_set(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        for at in (time.time() + 3600, time.time() - 3600):
            MlflowClient(tracking_uri).set_tag(writer.run_id, Tag.HEARTBEAT, str(at))
            assert close_lost_runs(tracking_uri, EXPERIMENT) == []
    assert run_of(tracking_uri, writer.run_id).info.status == "FINISHED"


def test_runs_of_other_programs_are_never_closed(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        client, ours = MlflowClient(tracking_uri), run_of(tracking_uri, writer.run_id)
        foreign = client.create_run(ours.info.experiment_id, start_time=0).info.run_id
        assert close_lost_runs(tracking_uri, EXPERIMENT) == []
    assert run_of(tracking_uri, foreign).info.status == "RUNNING"


@pytest.mark.parametrize(
    "closed_first",
    [pytest.param(False, id="at once", marks=pytest.mark.slow), pytest.param(True, id="closed as lost")],
)
def test_a_killed_sweep_is_resumed_without_a_second_child_for_any_trial(
    tracking_uri: str, killed: str, closed_first: bool
) -> None:
    if closed_first:
        age(tracking_uri, killed)
        close_lost_runs(tracking_uri, EXPERIMENT)
    with RunWriter.resume(tracking_uri=tracking_uri, run_id=killed) as writer:
        run = run_of(tracking_uri, killed)
        assert run.info.status == "RUNNING"
        assert Tag.STOPPED not in run.data.tags
        writer.trials([child(0), child(1)])
        writer.trials([child(1), child(2)])
    children = children_of(tracking_uri, killed)
    assert sorted(children) == ["0", "1", "2"]
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert run_of(tracking_uri, killed).info.status == "FINISHED"


def test_children_over_many_pages_are_all_seen_while_half_written_ones_are_cleared(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 3)
    writer = start(tracking_uri)
    writer.trials([child(number) for number in range(7)])
    for number in range(7, 12):
        half_written(tracking_uri, writer.run_id, trial=number)
    writer.interrupted()
    unfinished = {n: run for n, run in children_of(tracking_uri, writer.run_id).items() if int(n) >= 7}
    assert {run.info.status for run in unfinished.values()} == {"KILLED"}
    resumed = RunWriter.resume(tracking_uri=tracking_uri, run_id=writer.run_id)
    assert resumed.shown == set(range(7))
    resumed.trials([child(number) for number in range(12)])
    resumed.finish()
    assert len(children_of(tracking_uri, writer.run_id)) == 12


def test_a_study_has_one_writer_at_a_time(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        with pytest.raises(InputError, match=r"a study is being written by another process"):
            RunWriter.resume(tracking_uri=tracking_uri, run_id=writer.run_id)
        assert run_of(tracking_uri, writer.run_id).info.status == "RUNNING"
    RunWriter.resume(tracking_uri=tracking_uri, run_id=writer.run_id).finish()


def test_a_sweep_that_was_closed_as_lost_while_the_machine_slept_can_still_finish(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        age(tracking_uri, writer.run_id)
        close_lost_runs(tracking_uri, EXPERIMENT)
    run = run_of(tracking_uri, writer.run_id)
    assert run.info.status == "FINISHED"
    assert Tag.STOPPED not in run.data.tags


def test_the_heart_beats_through_a_locked_store_and_stops_with_the_run(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HEARTBEAT_EVERY_S", 0.02)

    def beats_after(moment: float) -> bool:
        for _ in range(1_000):
            if float(run_of(tracking_uri, writer.run_id).data.tags[Tag.HEARTBEAT]) > moment:
                return True
            time.sleep(0.02)
        return False

    with start(tracking_uri) as writer:
        assert beats_after(time.time())
        path = Path(tracking_uri.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ALTER TABLE tags RENAME TO hidden")  # every beat fails
            time.sleep(0.2)
            connection.execute("ALTER TABLE hidden RENAME TO tags")
        assert beats_after(time.time())
    assert not writer._heart.is_alive()


def test_a_study_is_found_by_name_the_newest_run_first(tracking_uri: str) -> None:
    assert find_study(tracking_uri, EXPERIMENT, "any") is None
    name = """o'clock "x" `y` \\ %"""
    ids = []
    for _ in range(2):
        with start(tracking_uri, study=name) as writer:
            ids.append(writer.run_id)
            live = find_study(tracking_uri, EXPERIMENT, name)
            time.sleep(0.002)  # run starts are kept in whole milliseconds
    found = find_study(tracking_uri, EXPERIMENT, name)
    assert live is not None
    assert found is not None
    assert (live.run_id, live.state) == (ids[1], RunState.LIVE)
    assert (found.run_id, found.state) == (ids[1], RunState.DONE)
    assert found.params == {"trials": "2"}
    assert find_study(tracking_uri, EXPERIMENT, "o'clock") is None


def test_a_deleted_experiment_is_refused_with_the_cure(tracking_uri: str) -> None:
    client = MlflowClient(tracking_uri)
    client.delete_experiment(client.create_experiment(EXPERIMENT))
    for use in (
        start,
        lambda uri: find_study(uri, EXPERIMENT, "s"),
        lambda uri: close_lost_runs(uri, EXPERIMENT),
    ):
        with pytest.raises(InputError, match="mlflow experiments restore --experiment-id 1"):
            use(tracking_uri)


def test_a_moved_store_is_refused_with_the_cure(tracking_uri: str, tmp_path: Path) -> None:
    with start(tracking_uri) as writer:
        pass
    moved = tmp_path / "moved"
    moved.mkdir()
    uri = f"sqlite:///{moved}/mlflow.db"
    with (
        closing(sqlite3.connect(tmp_path / "mlflow.db")) as here,
        closing(sqlite3.connect(moved / "mlflow.db")) as there,
    ):
        here.backup(there)
    (tmp_path / "artifacts").rename(moved / "artifacts")
    for use in (start, lambda uri: RunWriter.resume(tracking_uri=uri, run_id=writer.run_id)):
        with pytest.raises(InputError, match=f"ln -s {moved}/artifacts {tmp_path}/artifacts"):
            use(uri)
    (tmp_path / "artifacts").symlink_to(moved / "artifacts")
    RunWriter.resume(tracking_uri=uri, run_id=writer.run_id).finish()


def test_a_run_that_does_not_exist_cannot_be_resumed(tracking_uri: str) -> None:
    with pytest.raises(InputError, match="There is no run 0123"):
        RunWriter.resume(tracking_uri=tracking_uri, run_id="0123")


# --- the mirror of the tables -----------------------------------------------------------------


def ledger_of(trials: int) -> TrialLog:
    """A record of as many trials, complete, pruned and failed: 2 seeds of 9 epochs."""
    curves, rows = training(10, 2, 9)
    return TrialLog(rows.head(trials).assign(rungs="{}"), curves[curves["trial"] < trials])


class Slow(RunWriter):
    """Notes the order of its children and takes 20 ms for each."""

    order: tuple[int, ...] = ()

    def _trial(self, child: ChildRun) -> None:
        time.sleep(0.02)
        super()._trial(child)
        self.order += (child.trial,)


@pytest.fixture
def slow(tracking_uri: str) -> Slow:
    return Slow.start(
        tracking_uri=tracking_uri, experiment=EXPERIMENT, study="s", tags={}, params={}, config_yaml=""
    )


def test_child_runs_say_what_the_tables_say(tracking_uri: str) -> None:
    trial_log, client = ledger_of(10), MlflowClient(tracking_uri)
    with start(tracking_uri) as writer, Mirror(writer) as thread:
        thread.follow(trial_log)
        thread.catch_up()
        assert run_of(tracking_uri, writer.run_id).info.status == "RUNNING"
    children = children_of(tracking_uri, writer.run_id)
    assert len(children) == 10
    means = trial_log.curves.groupby(["trial", "split", "metric", "epoch"])["value"].mean()
    for trial, row in zip(trial_log.finished, trial_log.trials.to_dict("records"), strict=True):
        run = children[str(trial.number)]
        assert run.data.tags[Tag.TRIAL_STATE] == trial.state
        assert run.data.tags.get(Tag.ERROR, "") == row["message"]
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert run.info.end_time - run.info.start_time == 2_000
        for name, column in (("best_val_f1_macro", "val_f1_macro"), ("best_epoch", "best_epoch")):
            assert run.data.metrics.get(name, math.nan) == pytest.approx(row[column], nan_ok=True)
        for name, key in (("train_loss", ("train", "loss")), ("val_f1_macro", ("val", "f1_macro"))):
            history = client.get_metric_history(run.info.run_id, name)
            expected = means[(trial.number, *key)]
            assert [point.step for point in history] == list(expected.index)
            assert [point.value for point in history] == pytest.approx(expected.tolist())
    best = client.get_metric_history(writer.run_id, "best_val_f1_macro")
    assert [(point.step, point.value) for point in best] == [(10, trial_log.trials["val_f1_macro"].max())]


def test_the_mirror_keeps_the_order_and_is_waited_for_only_when_far_behind(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_runs, "MOST_BEHIND", 3)
    with slow, Mirror(slow) as thread:
        thread.follow(ledger_of(2))
        at_once_s = thread.waited_s
        thread.follow(ledger_of(10))
        assert 0 < thread.behind <= 3
        assert thread.waited_s > at_once_s
    assert slow.order == tuple(range(10))
    assert thread.behind == 0
    assert thread.busy_s > 0


def test_children_that_a_kill_left_out_are_written_once_when_the_study_is_resumed(tracking_uri: str) -> None:
    trial_log, client = ledger_of(6), MlflowClient(tracking_uri)
    with start(tracking_uri) as writer, Mirror(writer) as thread:
        thread.follow(ledger_of(5))
    before = children_of(tracking_uri, writer.run_id)
    client.delete_run(before.pop("3").info.run_id)
    client.delete_run(before.pop("1").info.run_id)
    half_written(tracking_uri, writer.run_id, trial=3)
    for _ in range(2):
        resumed = RunWriter.resume(tracking_uri=tracking_uri, run_id=writer.run_id)
        with resumed, Mirror(resumed) as thread:
            thread.follow(trial_log)
        after = children_of(tracking_uri, writer.run_id)
        assert sorted(after) == list("012345")
        assert all(run.info.status != "RUNNING" for run in after.values())
        assert {trial: after[trial].info.run_id for trial in before} == {
            trial: run.info.run_id for trial, run in before.items()
        }


@pytest.mark.parametrize("where", ["at the next hand-over", "at the end"])
def test_an_error_of_the_mirror_is_raised_in_the_sweep(
    tracking_uri: str, slow: Slow, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(_: ChildRun) -> None:
        raise OSError("the server is away")

    def sweep() -> None:
        with slow, Mirror(slow) as thread:
            thread.follow(ledger_of(2))
            if where == "at the next hand-over":
                thread._thread.join()
                thread.follow(ledger_of(4))
                raise AssertionError("it was lost")

    monkeypatch.setattr(slow, "_trial", fail)
    with pytest.raises(OSError, match="the server is away"):
        sweep()
    parent = run_of(tracking_uri, slow.run_id)
    assert parent.info.status == "FAILED"
    assert parent.data.tags[Tag.ERROR] == "OSError: the server is away"


def test_an_interrupt_waits_a_moment_for_the_mirror_and_closes_the_run(
    tracking_uri: str, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_runs, "INTERRUPTED_S", 0.05)
    thread = Mirror(slow)

    def sweep() -> None:
        with slow, thread:
            thread.follow(ledger_of(10))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep()
    assert not thread._thread.is_alive()
    parent = run_of(tracking_uri, slow.run_id)
    assert (parent.info.status, parent.data.tags[Tag.STOPPED]) == ("KILLED", Stopped.INTERRUPTED)
    children = children_of(tracking_uri, slow.run_id)
    assert len(children) == len(slow.order) < 10  # none is half-written


def test_the_heart_beats_while_the_mirror_is_busy(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "HEARTBEAT_EVERY_S", 0.01)
    writer, beats = start(tracking_uri), []
    set_tag = writer._client.set_tag
    monkeypatch.setattr(writer._client, "set_tag", lambda *call: (set_tag(*call), beats.append(call[1])))
    with writer:
        with Mirror(writer) as thread:
            thread.follow(ledger_of(10))
        assert beats.count(Tag.HEARTBEAT) >= 5  # some 15 without waiting for calls of the mirror


def test_a_sweep_that_is_resumed_with_more_trials_has_the_new_number_on_record(tracking_uri: str) -> None:
    """Unlike a parameter, which MLflow never changes."""
    with start(tracking_uri) as writer:
        writer.budget(2)
    with RunWriter.resume(tracking_uri=tracking_uri, run_id=writer.run_id) as writer:
        writer.budget(5)
    run = MlflowClient(tracking_uri).get_run(writer.run_id)
    assert run.data.tags[Tag.BUDGET] == "5"
    assert run.data.params["trials"] == "2"


def test_mlflow_knows_the_data_of_a_run_as_its_data_set(tracking_uri: str) -> None:
    digest = "4f" * 32
    about = {Tag.DIGEST: digest, Tag.DATA_SUMMARY: "Classes (2): cat 1, dog 1"}
    runs = []
    for study in ("one", "two"):
        with start(tracking_uri, study=study, tags={**about, Tag.DATA: "/data/" + "d" * 600}) as writer:
            runs.append(writer.run_id)
    with start(tracking_uri, study="without data") as writer:
        without = writer.run_id
    found = MlflowClient(tracking_uri)
    (one,), (two,) = (found.get_run(run_id).inputs.dataset_inputs for run_id in runs)
    assert one.dataset.to_dictionary() == two.dataset.to_dictionary()
    assert one.dataset.name == "/data/" + "d" * 493 + "…"
    assert digest.startswith(one.dataset.digest)
    assert json.loads(one.dataset.profile) == {"summary": about[Tag.DATA_SUMMARY]}
    assert not found.get_run(without).inputs.dataset_inputs


def test_two_commands_that_note_the_same_data_at_once_both_have_it(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {Tag.DIGEST: "4f" * 32, Tag.DATA: "/data"}
    with start(tracking_uri, study="one") as one, start(tracking_uri, study="two") as two:
        asked = MlflowClient.log_inputs

        def late(self: MlflowClient, run_id: str, **given: object) -> None:
            """Another command notes the data after this one has looked for them, and before it writes."""
            monkeypatch.setattr(MlflowClient, "log_inputs", asked)
            log_dataset(MlflowClient(tracking_uri), one.run_id, about)
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name")

        monkeypatch.setattr(MlflowClient, "log_inputs", late)
        log_dataset(MlflowClient(tracking_uri), two.run_id, about)
        for writer in (one, two):
            assert len(MlflowClient(tracking_uri).get_run(writer.run_id).inputs.dataset_inputs) == 1
