"""What the pages about sweeps show, and do when somebody chooses something, run in process."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from dashboard import text
from dashboard.ui import pages, state
from dashboard.ui.pages import sections
from tests.support import synthetic_runs
from tests.support.pages import Showing, charts, open_page, restart, words
from trainer.tracking.schema import SCHEMA_VERSION, Artifact, Tag

PAGES = ["views/home.py", "views/curves.py", "views/confusion.py", "views/embeddings.py"]


@pytest.mark.parametrize("page", PAGES)
def test_moved_artifacts_are_said_to_be_moved(uri: str, page: str, tmp_path: Path) -> None:
    run_id = synthetic_runs.sweep(uri)
    shutil.rmtree(tmp_path / "artifacts" / "headroom")
    assert run_id
    assert "no longer there" in words(open_page(page))


@pytest.mark.parametrize("page", PAGES)
def test_how_the_data_were_read_stands_below_the_title(showing: Showing, page: str) -> None:
    showing(synthetic_runs.sweep)
    assert "Classes (2): ant 70, bee 50 · train/val/test" in words(open_page(page)).replace("\\", "")


@pytest.mark.parametrize(
    ("page", "name", "earlier", "now"),
    [
        ("confusion", "cells", "share of label", "row %"),
        ("embeddings", "colour", "spoiled", "known noise"),
        ("hyperparameters", "sections", "Two at once", ["Two settings"]),
        ("tryit", "source", "a test row", "test row"),
    ],
)
def test_addresses_of_earlier_versions_choose_what_has_another_name_now(
    showing: Showing, page: str, name: str, earlier: str, now: object
) -> None:
    showing(synthetic_runs.sweep)
    assert open_page(f"views/{page}.py", **{name: earlier}).button_group(key=name).value == now


def test_two_places_of_one_height_stand_on_one_page() -> None:
    def script() -> None:
        import streamlit as st

        from dashboard.ui.layout import Place

        for name in ("one", "two"):
            with Place(name, 100):
                st.text(name)

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert [text.value for text in app.text] == ["one", "two"]


def test_a_command_that_is_too_long_for_mlflow_is_shown_whole(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri, state="interrupted")
    command = "python -m trainer.sweep " + "--filters 'a>1' " * 1_000
    folder = synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri)
    (folder / Artifact.TAGS).mkdir()
    (folder / Artifact.of_tag(Tag.COMMAND)).write_text(command)
    MlflowClient(uri).set_tag(run_id, Tag.COMMAND, Artifact.of_tag(Tag.COMMAND))
    assert command in words(open_page(PAGES[0]))


@pytest.mark.parametrize("page", PAGES)
def test_a_link_with_a_run_opens_that_run(uri: str, page: str) -> None:
    old = synthetic_runs.sweep(uri, name="the old one", started=1.7e9)
    synthetic_runs.sweep(uri, name="the new one")
    app = open_page(page, run=old)
    assert app.session_state[state.RUN] == old
    assert "the old one" in words(app)


def test_a_link_with_an_unknown_run_opens_the_newest_and_says_so(showing: Showing) -> None:
    run_id = showing(synthetic_runs.sweep)
    app = open_page(PAGES[0], run="0" * 32)
    assert app.session_state[state.RUN] == run_id
    assert "not in this store" in app.toast[0].value


def test_our_newest_sweep_is_open_at_first_even_if_another_programs_run_is_newer(uri: str) -> None:
    ours = synthetic_runs.sweep(uri)
    synthetic_runs.foreign(uri)
    assert open_page(PAGES[0]).session_state[state.RUN] == ours


def test_after_a_kill_the_newest_finished_run_is_open_and_a_live_one_before_it(uri: str) -> None:
    now = time.time()
    done = synthetic_runs.sweep(uri, name="done", started=now - 3000)
    synthetic_runs.sweep(uri, name="older", started=now - 9000)
    dead = synthetic_runs.DEAD_S
    synthetic_runs.sweep(uri, name="dead", state="live", started=now - 1000, heartbeat_age_s=dead)
    synthetic_runs.sweep(uri, name="stopped", state="interrupted", started=now - 500)
    for page in PAGES:
        assert open_page(page).session_state[state.RUN] == done
    live = synthetic_runs.sweep(uri, name="live", state="live", started=now - 2000)
    restart()
    assert open_page(PAGES[0]).session_state[state.RUN] == live


def test_mlflows_own_variable_names_the_store_too(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADROOM_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    run_id = synthetic_runs.sweep(tracking_uri)
    assert open_page(PAGES[0]).session_state[state.RUN] == run_id


def test_the_navigation_has_four_sections_with_every_page_in_one() -> None:
    assert list(sections().values()) == ["Sweep", "Data", "Studies", "Tools"]
    assert sum(one.of_sweeps for one in pages.PAGES) == 8


def test_the_picker_changes_the_run_on_every_page(uri: str) -> None:
    old = synthetic_runs.sweep(uri, name="the old one", started=1.7e9)
    synthetic_runs.sweep(uri, name="the new one")
    app = open_page(PAGES[1])
    app.sidebar.selectbox[0].set_value(old).run()
    assert "the old one" in words(app)
    app.switch_page(PAGES[2]).run()
    assert not app.exception
    assert "the old one" in words(app)


@pytest.mark.parametrize(
    "by", ["lr", "optimizer", "depth", "width", "scheduler", "state", "seed", "all trials"]
)
def test_curves_can_be_grouped_by_everything_that_varies(showing: Showing, by: str) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[1])
    app.main.selectbox(key="group").set_value(by).run()
    assert not app.exception
    assert charts(app)
    assert "Faint: validation loss of 5 other trials" in words(app)
    app.main.selectbox(key="metric").set_value("validation loss").run()
    assert re.search(r"(6|12) (trials|runs)", words(app))


@pytest.mark.parametrize("switch", ["log", "hide_pruned", "raw"])
def test_every_switch_of_the_curves_works(showing: Showing, switch: str) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[1])
    toggle = app.toggle(key=switch)
    toggle.set_value(not toggle.value).run()
    assert not app.exception
    assert charts(app)


def test_hiding_pruned_trials_takes_them_out_of_n(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[1])
    assert "5 other trials" in words(app)
    app.toggle(key="hide_pruned").set_value(True).run()
    assert "3 other trials" in words(app)


def test_the_confusion_page_shows_the_images_of_the_worst_mistake(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[2])
    assert " → " in words(app)
    assert app.get("image")


def test_a_sweep_without_images_says_so(showing: Showing) -> None:
    showing(synthetic_runs.sweep, images=False)
    assert "No images were kept" in words(open_page(PAGES[2]))


def test_the_map_says_how_many_of_how_many_rows_it_shows(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[3])
    assert "120 rows, " in words(app)


@pytest.mark.parametrize(
    "colour", ["label", "prediction", "correctness", "confidence", "split", "known noise"]
)
def test_the_map_can_be_coloured_by(showing: Showing, colour: str) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGES[3])
    app.segmented_control(key="colour").set_value(colour).run()
    assert not app.exception
    assert charts(app)


def test_the_map_offers_known_noise_only_where_they_are_known(showing: Showing) -> None:
    showing(synthetic_runs.sweep, spoiled=False)
    assert "known noise" not in open_page(PAGES[3]).segmented_control(key="colour").options


def test_a_sweep_of_one_seed_claims_no_interval(showing: Showing) -> None:
    showing(synthetic_runs.sweep, seeds=1)
    board = open_page(PAGES[0]).dataframe[1].value
    assert set(board["ci95"]) == {"one seed"}


def test_a_sweep_that_has_not_finished_a_trial_says_that_it_waits(uri: str, tmp_path: Path) -> None:
    synthetic_runs.sweep(uri, state="live")
    for path in (tmp_path / "artifacts").rglob("*.parquet"):
        path.unlink()
    assert "No trial has finished yet" in words(open_page(PAGES[0]))
    assert "No epoch has ended yet" in words(open_page(PAGES[1]))


@pytest.mark.parametrize(("newer", "warned"), [(0, False), (1, True)])
def test_a_run_of_a_newer_headroom_is_warned_of(uri: str, newer: int, warned: bool) -> None:
    run_id = synthetic_runs.sweep(uri)
    synthetic_runs.MlflowClient(uri).set_tag(run_id, Tag.SCHEMA, str(SCHEMA_VERSION + newer))
    assert ("Written by a newer Headroom" in words(open_page(PAGES[1]))) == warned


def test_a_torn_table_is_reported_on_the_page(uri: str, tmp_path: Path) -> None:
    synthetic_runs.sweep(uri)
    for path in (tmp_path / "artifacts").rglob(Artifact.CURVES):
        path.write_bytes(b"PAR1")
    assert "cannot be read" in words(open_page(PAGES[1]))


def test_the_sidebar_tells_long_names_in_full(uri: str) -> None:
    encoder = "openai/clip-vit-large-patch14-336 (bfloat16, key 0123456789abcdef)"
    synthetic_runs.MlflowClient(uri).set_tag(synthetic_runs.sweep(uri), Tag.ENCODER, encoder)
    assert text.plain(encoder) in open_page(PAGES[0]).sidebar.markdown[-1].value


@pytest.mark.parametrize("page", ["views/curves.py", "views/confusion.py", "views/embeddings.py"])
def test_a_chart_that_is_sent_ahead_of_its_controls_is_the_one_that_they_ask_for(
    showing: Showing, page: str
) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(page)
    ahead = charts(app)[0].proto.spec
    app.run()  # from now on the controls are asked first
    assert charts(app)[0].proto.spec == ahead


def test_a_choice_in_the_address_is_heeded_by_the_first_chart(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    assert (
        charts(open_page("views/curves.py", log="true"))[0].proto.spec
        != charts(open_page("views/curves.py"))[0].proto.spec
    )


def test_a_run_that_a_page_fails_on_leaves_the_list_to_choose_another(
    showing: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    showing(synthetic_runs.sweep, name="the broken one")
    app = open_page("views/curves.py")

    def fails(info: object) -> None:
        raise ValueError("not foreseen")

    monkeypatch.setattr("dashboard.ui.layout.banner", fails)
    app.run()
    assert app.exception[0].message == "not foreseen"
    assert any("the broken one" in option for option in app.sidebar.selectbox[0].options)
