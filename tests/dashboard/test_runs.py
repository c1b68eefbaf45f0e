"""The page "Runs": all kinds in one list, and what people write on runs is in MLflow, too."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from streamlit.testing.v1 import AppTest

from dashboard.frames import run_list
from dashboard.runs import run_editor
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.store import Store
from tests.support import synthetic_ablation, synthetic_runs
from tests.support.pages import Showing, active, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.tracking.schema import Tag

PAGE = "views/runs.py"


def four(uri: str) -> list[str]:
    """Ids of runs of three kinds and of another program, the oldest first."""
    return [
        synthetic_runs.foreign(uri),
        synthetic_ablation.ablation(uri),
        synthetic_runs.extraction(uri),
        synthetic_runs.sweep(uri, study="wanted"),
    ]


def listed(app: AppTest) -> list[str]:
    return app.dataframe[0].value["kind"].tolist()


def ticked(app: AppTest, *rows: int) -> AppTest:
    """The page with some of its rows ticked."""
    key = "runs-" + app.dataframe[0].proto.id.rpartition("-runs-")[2]
    app.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def edited(uri: str, edit: object, *what: object, **how: object) -> None:
    edit(Store(uri), *what, **how)  # type: ignore[operator]


def test_all_kinds_of_runs_are_in_one_list_newest_first(showing: Showing) -> None:
    showing(four)
    app = open_page(PAGE)
    assert sorted(listed(app)) == ["ablation", "extraction", run_list.OTHER, "sweep"]
    assert app.dataframe[0].value["started"].is_monotonic_decreasing
    assert "4 of 4 runs" in words(app)


def test_runs_are_found_by_words_and_by_kind(showing: Showing) -> None:
    showing(four)
    app = open_page(PAGE, find="WANTED")
    assert listed(app) == ["sweep"]
    app.text_input("find").set_value("").run()
    app.multiselect("kinds").set_value(["ablation", "extraction"]).run()
    assert set(listed(app)) == {"ablation", "extraction"}
    app.text_input("find").set_value("nothing like it").run()
    assert "No run fits." in words(app)


def test_a_list_is_grouped_in_the_order_of_each_groups_newest_run(showing: Showing) -> None:
    showing(four)
    app = open_page(PAGE, by="kind")
    assert app.dataframe[0].value.columns[0] == "kind"


def test_groups_keep_the_order_of_their_newest_runs(tracking_uri: str) -> None:
    for study in "abc":
        synthetic_runs.sweep(tracking_uri, study=study)
    newest, middle, oldest = Store(tracking_uri).every()
    MlflowClient(tracking_uri).set_tag(middle.run_id, Tag.DATA, "other data")
    infos = Store(tracking_uri).every()
    assert [info.run_id for info in infos] == [newest.run_id, middle.run_id, oldest.run_id]
    grouped = [info.run_id for info in run_list.grouped(infos, "data")]
    assert grouped == [newest.run_id, oldest.run_id, middle.run_id]


def test_ticked_runs_are_starred_and_archived_by_buttons(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    run_id = synthetic_runs.sweep(tracking_uri)
    client = MlflowClient(tracking_uri)
    app = ticked(open_page(PAGE), 0)
    next(one for one in app.button if one.label == "Star").click().run()
    assert Tag.STAR in client.get_run(run_id).data.tags
    assert app.dataframe[0].value["★"].tolist() == ["★"]
    next(one for one in ticked(app, 0).button if one.label == "Archive").click().run()
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert not app.exception
    assert "No run fits." in words(app)


def test_nothing_is_written_by_readers_who_may_only_read(
    showing: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    showing(four)
    monkeypatch.setenv("HEADROOM_READ_ONLY", "1")
    assert not ticked(open_page(PAGE), 0).button


def test_a_live_run_is_not_archived(showing: Showing) -> None:
    showing(synthetic_runs.sweep, state="live")
    (archive,) = (one for one in ticked(open_page(PAGE), 0).button if one.label == "Archive")
    assert archive.disabled


def test_hostile_names_tags_and_notes_are_shown_and_not_acted_on(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    run_id = synthetic_runs.sweep(tracking_uri, study=HOSTILE)
    edited(tracking_uri, run_editor.tag, [run_id], f"odd={HOSTILE}")
    edited(tracking_uri, run_editor.write_note, run_id, HOSTILE)
    app = ticked(open_page(PAGE), 0)
    shown = [one.label for one in app.button if one.label.startswith("Remove ")]
    assert shown
    for said in (words(app), *shown):
        assert "evil.example" not in active(said)
        assert "<img" not in active(said)


def test_what_people_write_on_a_run_is_in_mlflows_own_terms(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    client = MlflowClient(tracking_uri)
    edited(tracking_uri, run_editor.star, [run_id], starred=True)
    edited(tracking_uri, run_editor.tag, [run_id], "stage = candidate")
    edited(tracking_uri, run_editor.tag, [run_id], "paper")
    edited(tracking_uri, run_editor.rename, run_id, "the good one")
    edited(tracking_uri, run_editor.write_note, run_id, "with the corrected labels")
    run = client.get_run(run_id)
    assert run.data.tags["stage"] == "candidate"
    assert run.info.run_name == "the good one"
    assert run.data.tags["mlflow.note.content"] == "with the corrected labels"
    (info,) = Store(tracking_uri).every()
    assert (info.starred, info.labels, info.name) == (True, ("paper", "stage=candidate"), "the good one")
    assert info.study != info.name  # by which commands resume it
    edited(tracking_uri, run_editor.star, [run_id], starred=False)
    edited(tracking_uri, run_editor.untag, [run_id], "stage=candidate")
    edited(tracking_uri, run_editor.write_note, run_id, "")
    (info,) = Store(tracking_uri).every()
    assert (info.starred, info.labels, info.note) == (False, ("paper",), "")


@pytest.mark.parametrize("label", ["", "=value", "headroom.kind=sweep", "mlflow.user=me", "a\tb=c"])
def test_what_cannot_be_a_tag_is_refused_and_nothing_written(tracking_uri: str, label: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    before = MlflowClient(tracking_uri).get_run(run_id).data.tags
    with pytest.raises(StoreProblem):
        edited(tracking_uri, run_editor.tag, [run_id], label)
    assert MlflowClient(tracking_uri).get_run(run_id).data.tags == before


def test_an_archived_run_is_put_away_with_its_children_and_comes_back_with_them(tracking_uri: str) -> None:
    run_id = synthetic_runs.sweep(tracking_uri)
    client = MlflowClient(tracking_uri)
    experiment = client.get_run(run_id).info.experiment_id
    below = f"tags.`{Tag.PARENT}` = '{run_id}'"
    children = {one.info.run_id for one in client.search_runs([experiment], below)}
    half_written = client.create_run(experiment, tags={Tag.PARENT: run_id})
    client.delete_run(half_written.info.run_id)
    store = Store(tracking_uri)
    run_editor.archive(store, [run_id])
    assert store.every() == []
    assert [info.run_id for info in store.every(archived=True)] == [run_id]
    assert client.search_runs([experiment]) == []
    run_editor.restore(store, [run_id])
    assert [info.run_id for info in store.every()] == [run_id]
    assert {one.info.run_id for one in client.search_runs([experiment], below)} == children
    put_away = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    assert [one.info.run_id for one in put_away] == [half_written.info.run_id]
    assert Tag.ARCHIVED not in client.get_run(run_id).data.tags
    assert store.table(run_id, "trials.parquet") is not None
