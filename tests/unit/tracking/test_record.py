"""What is written is read back, at ten times the size that people have."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from trainer.core.errors import InputError
from trainer.experiments.comparison import metric_names
from trainer.tracking.children import complete_child_trials
from trainer.tracking.client import open_experiment
from trainer.tracking.schema import LONG_TAGS, Artifact, Kind, RunState, Tag
from trainer.tracking.studies import close_lost_runs, find_study
from trainer.tracking.writer import RunWriter

EXPERIMENT = "an experiment of " + "many words, % and 'quotes' " * 15
STUDY = 'o\'clock "x" `y` % ü ' * 100  # MLflow takes 250 characters in a run's name
CLASSES = [f"{number} " + "a class with a long name " * 40 for number in range(2_000)]


def start(uri: str, **tags: str) -> RunWriter:
    return RunWriter.start(
        tracking_uri=uri,
        experiment=EXPERIMENT,
        study=STUDY,
        tags={Tag.KIND: Kind.ZERO_SHOT, **tags},
        params={"data": "d" * 60_000, "trials": 7, "nothing": None},
        config_yaml="x: 1\n",
    )


def test_a_study_with_long_tags_names_and_parameters_is_found_and_read_back_whole(tracking_uri: str) -> None:
    tags = {
        Tag.IDENTITY: json.dumps({"class names": CLASSES}),
        Tag.COMMAND: "python -m trainer.sweep --data " + "x" * 200_000,
        Tag.ENCODER: "an/encoder + " * 8_000,  # for people: cut
    }
    with start(tracking_uri, **tags) as writer:
        writer.file(Artifact.SUMMARY, json.dumps({"classes": CLASSES}).encode())
    found = find_study(tracking_uri, EXPERIMENT, STUDY, kind=Kind.ZERO_SHOT)
    assert found is not None
    assert (found.run_id, found.state) == (writer.run_id, RunState.DONE)
    assert {tag: found.tags[tag] for tag in LONG_TAGS} == {tag: tags[tag] for tag in LONG_TAGS}
    assert found.params["trials"] == "7"
    assert find_study(tracking_uri, EXPERIMENT, STUDY[:-1], kind=Kind.ZERO_SHOT) is None
    resumed = RunWriter.resume(tracking_uri=tracking_uri, run_id=found.run_id)
    assert json.loads(resumed.read_file(Artifact.SUMMARY) or "") == {"classes": CLASSES}
    resumed.finish()


def test_each_method_has_a_metric_of_its_own_whatever_its_name(tracking_uri: str) -> None:
    methods = ["a_b", "ab", "a+b", "x" * 2_000, "x" * 2_001, "Größe / 模型", "", "plain name"]
    names = metric_names(methods)
    assert names[-1] == "test_f1_macro.plain name"
    values = {name: float(number) for number, name in enumerate(names)}
    assert len(values) == len(methods)
    with start(tracking_uri) as writer:
        writer.metrics(values)
    assert MlflowClient(tracking_uri).get_run(writer.run_id).data.metrics == values


@pytest.mark.slow
def test_ten_thousand_children_are_listed_each_once(tracking_uri: str) -> None:
    with start(tracking_uri) as writer:
        client, count = MlflowClient(tracking_uri), 10_000
        parent = client.get_run(writer.run_id)
        with closing(sqlite3.connect(Path(tracking_uri.removeprefix("sqlite:///")))) as store, store:
            ids = [f"{number:032x}" for number in range(count)]
            columns = [row[1] for row in store.execute("PRAGMA table_info(runs)")]
            copied = ", ".join("?" if name == "run_uuid" else name for name in columns)
            store.executemany(
                f"INSERT INTO runs SELECT {copied} FROM runs WHERE run_uuid = '{writer.run_id}'",
                [[one] for one in ids],
            )
            store.execute(f"UPDATE runs SET status = 'FINISHED' WHERE run_uuid != '{writer.run_id}'")
            tags = [(Tag.TRIAL, str(n), one) for n, one in enumerate(ids)]
            tags += [(Tag.PARENT, writer.run_id, one) for one in ids]
            store.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
            store.execute(f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{ids[17]}'")
        assert complete_child_trials(client, parent) == set(range(count)) - {17}
        assert close_lost_runs(tracking_uri, EXPERIMENT) == []


def test_a_name_that_mlflow_cannot_take_is_refused_in_a_sentence(tracking_uri: str) -> None:
    with pytest.raises(InputError, match=r"--experiment .* cannot be created") as refused:
        open_experiment(MlflowClient(tracking_uri), "x" * 5_000)
    assert len(str(refused.value)) < 500
