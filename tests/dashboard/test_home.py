"""Home lists sweeps and ablations, and leads to either."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from dashboard.frames.headline import against_expected, final_head, lead_over, worse_than_another
from dashboard.runs.run_info import Figures
from tests.dashboard.test_words import check
from tests.support import synthetic_runs, trained_ablation
from tests.support.pages import Showing, open_page, restart, words
from trainer.stats.objective import F1, NLL
from trainer.tracking.schema import Artifact, Summary, Tag


def test_ablations_stand_below_the_sweeps_with_the_effect_of_the_chosen_cell(
    ablated: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = trained_ablation.copied(ablated[0], tmp_path / "copy")
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    app = open_page("views/home.py")
    row = app.dataframe[0].value.iloc[0]  # a store without any sweep
    assert row["ablation"] == "small"
    assert row["cells"] >= 10
    assert "[" in row["baseline macro-F1"]
    assert "make demo" not in words(app)
    synthetic_runs.sweep(uri)
    restart()
    app = open_page("views/home.py")
    assert app.header[0].value == "Home"
    assert "Filter ablations" in [header.value for header in app.subheader]
    assert not app.exception


def test_the_list_draws_the_best_so_far_of_sweeps_and_of_nothing_else(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    synthetic_runs.sweep(tracking_uri, name="done", trials=9)
    synthetic_runs.sweep(tracking_uri, name="live", state="live")
    synthetic_runs.foreign(tracking_uri, name="other")
    sparks = open_page("views/home.py").dataframe[0].value.set_index("run")["best so far"]
    for name in ("done", "live"):
        assert list(sparks[name]) == sorted(sparks[name])
        assert len(sparks[name]) > 1
    assert sparks["other"] is None


def test_ticked_runs_lead_to_their_comparison_and_unfinished_ones_do_not(showing: Showing) -> None:
    def three(uri: str) -> list[str]:
        states = ("done", "done", "live")
        return [synthetic_runs.sweep(uri, state=state, started=1e9 + i) for i, state in enumerate(states)]

    older, newer, _ = showing(three)
    app = open_page("views/home.py", run=newer)
    assert "tick rows to compare them" in words(app)
    for rows, label in (([0, 1, 2], "Compare 2 runs"), ([0, 1], "Compare it with another run")):
        key = "sweeps-" + app.dataframe[0].proto.id.rpartition("-sweeps-")[2]
        app.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": [(1, "run")]}}
        app.run()
        (link,) = (one.proto for one in app.get("page_link") if one.proto.label.startswith("Compare "))
        assert link.label == label
        assert (f"runs={older}%2C{newer}" in link.query_string) == (len(rows) == 3)
        assert ("Tick two finished runs" in words(app)) == (len(rows) == 2)
    assert app.query_params["run"] == newer  # ticks open nothing


def test_scores_have_the_name_of_the_objective_of_their_sweep(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home, its leaderboard, the card at the side and the page of trials; a run without a name: macro-F1."""
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    synthetic_runs.sweep(tracking_uri, name="older", started=1e9)
    app = open_page("views/home.py")
    assert "best val macro-F1" in app.dataframe[0].value
    assert "by validation macro-F1" in words(app)
    run_id = synthetic_runs.sweep(tracking_uri, name="by loss", state="interrupted", trials=30)
    client = MlflowClient(tracking_uri)
    path = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri) / Artifact.TRIALS
    trials = pd.read_parquet(path)
    loss = pd.Series([0.9 - 0.01 * number for number in trials["trial"]])
    trials.assign(val_loss=loss, val_loss_low=loss - 0.1, val_loss_high=loss + 0.1).to_parquet(path)
    client.log_param(run_id, "objective", "nll")
    client.log_metric(run_id, "best_val_loss", 0.71)
    restart()
    app = open_page("views/home.py", run=run_id)
    scores = app.dataframe[0].value.set_index("run")["best val score"]
    assert scores["by loss"] == "log-loss 0.710"
    assert scores["older"].startswith("macro-F1 0.")
    assert [one.value for one in app.metric if one.label == "Best val log-loss"] == ["0.710"]
    assert "by validation log-loss" in words(app)
    assert "val log-loss" in words(app)
    board = app.dataframe[-1].value["val_loss"].tolist()
    assert board == sorted(board)
    assert "coloured by validation log-loss" in words(open_page("views/hyperparameters.py", run=run_id))


EXPECTED = {
    Summary.EXPECTED_F1_MACRO: 0.952,
    Summary.EXPECTED_F1_MACRO_CI95: [0.93, 0.97],
    Summary.EXPECTED_ACCURACY: 0.955,
    Summary.EXPECTED_ACCURACY_CI95: [0.94, 0.97],
    Summary.EXPECTED_OVER: "31 groups (400 rows)",
    Summary.TEST_LESS_EXPECTED: [-0.208, -0.26, -0.15],
    Summary.TEST_LOOKS: 3,
}
JUDGED = {
    Summary.MEMBERS: {"20": 0.25, "34": 0.75},
    Summary.REFIT: True,
    Summary.HELD_OUT_F1_MACRO: 0.924,
    Summary.VALIDATION: "5-fold cross-validation",
}
FRESH = {
    Summary.FRESH_VAL_F1_MACRO: 0.698,
    Summary.FRESH_VAL_F1_MACRO_CI95: [0.698, 0.698],
    Summary.FRESH_SEEDS: 5,
    Summary.FRESH_LEAD: {"best linear": [-0.019, -0.037, -0.001], "best 1-hidden": [0.055, 0.04, 0.07]},
}


def concluded(uri: str, **figures: object) -> str:
    """Write a sweep with more in its summary."""
    run_id = synthetic_runs.sweep(uri)
    path = synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri) / Artifact.SUMMARY
    path.write_text(json.dumps({**json.loads(path.read_text()), **figures}))
    return run_id


def test_the_headline_puts_test_first_and_warns_of_a_test_score_far_below_the_expected_one(
    showing: Showing,
) -> None:
    showing(concluded, **EXPECTED, **JUDGED, **FRESH, test_f1_macro=0.744)
    app = open_page("views/home.py")
    check(app)
    assert [metric.label for metric in app.metric][:3] == [
        "Test macro-F1",
        "Test accuracy",
        "Expected macro-F1",
    ]
    assert "**Test macro-F1 0.744 is 0.208 [0.150, 0.260] below the 0.952 expected.**" in words(app)
    assert any("The test set seems to differ from train and validation" in one.value for one in app.warning)
    assert "95 % over 31 groups (400 rows)" in words(app)
    assert "evaluated the test set 3 times" in words(app)
    assert "[0.698, 0.698]" not in words(app)
    assert "0.698 (deterministic)" in words(app)


def test_a_test_score_within_the_expected_range_is_no_warning(showing: Showing) -> None:
    told = {**EXPECTED, Summary.TEST_LESS_EXPECTED: [-0.02, -0.06, 0.02], Summary.TEST_LOOKS: 1}
    showing(concluded, **told)
    app = open_page("views/home.py")
    check(app)
    assert not app.warning
    assert "as expected from validation (difference −0.020 [−0.060, +0.020])" in words(app)
    assert "times" not in words(app)


@pytest.mark.parametrize(("test", "ends", "warned"), [(0.744, [0.7, 0.79], True), (0.93, [0.9, 0.96], False)])
def test_without_an_expected_score_the_best_validation_score_is_what_was_promised(
    test: float, ends: list[float], warned: bool
) -> None:
    found = against_expected(
        {Summary.TEST_F1_MACRO: test, Summary.TEST_F1_MACRO_CI95: ends, Summary.BEST_VAL_F1_MACRO: 0.952}
    )
    assert bool(found.warning) == warned
    assert ("is 0.208 below the best validation score 0.952" in found.words) == warned


def test_a_lead_that_is_negative_is_never_called_a_lead() -> None:
    assert lead_over("best linear", -0.019, -0.037, -0.001) == (
        "Behind the best linear trial by 0.019 [0.001, 0.037]."
    )
    assert lead_over("linear", 0.019, 0.001, 0.037).startswith("Ahead of the linear trial by 0.019 [")
    assert lead_over("linear", -0.01, -0.03, 0.01).startswith("No significant difference to the linear trial")
    assert lead_over("best linear", -0.1, -0.2, -0.05, NLL).startswith(
        "Ahead of the best linear trial by 0.1"
    )
    assert "one seed" in lead_over("best linear", -0.1, None, None)


def test_a_best_trial_that_new_seeds_show_to_be_worse_than_another_is_said_to_be_worse(
    showing: Showing,
) -> None:
    showing(concluded, **FRESH, heads={"best linear": {"trial": 7, "seed": 0}})
    (warning,) = [one.value for one in open_page("views/home.py").warning]
    assert "significantly worse than trial 7 (best linear):** by 0.019 [0.001, 0.037] in macro-F1" in warning
    assert not worse_than_another({Summary.FRESH_LEAD: {"best linear": [-0.01, -0.03, 0.01]}}, F1)
    assert not worse_than_another({Summary.FRESH_LEAD: {"best linear": [-0.1, -0.2, -0.05]}}, NLL)


def test_an_ensemble_is_named_by_its_trials_the_heaviest_first() -> None:
    told = final_head(JUDGED)
    assert "an ensemble of trials 34 (75%), 20 (25%)" in told
    assert "trained on train and validation rows" in told
    assert "macro-F1 0.924 on held-out rows (5-fold cross-validation)" in told


def test_a_head_alone_is_named_and_what_it_did_not_learn_from_is_not_claimed() -> None:
    told = final_head({**JUDGED, Summary.MEMBERS: {"8": 1.0}, Summary.REFIT: False})
    assert told.startswith("Final head: trial 8, trained on train rows;")


def test_where_no_seed_changes_anything_the_score_is_called_deterministic(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri, state="interrupted")
    client = MlflowClient(uri)
    path = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri) / Artifact.TRIALS
    trials = pd.read_parquet(path)
    score = trials["val_f1_macro"]
    trials.assign(val_f1_macro_low=score, val_f1_macro_high=score).to_parquet(path)
    best = float(score.max())
    client.log_metric(run_id, "best_val_f1_macro", best)
    for end in ("low", "high"):
        client.log_metric(run_id, f"best_val_f1_macro_{end}", best)
    app = open_page("views/home.py")
    runs, board = app.dataframe[0].value, app.dataframe[1].value
    assert runs["best val macro-F1"].tolist() == [f"{best:.3f} (deterministic)"]
    assert set(board["ci95"]) == {"deterministic"}
    assert [one.value for one in app.metric if one.label == "Best val macro-F1"] == [f"{best:.3f}"]


def test_the_list_begins_with_what_people_compare_and_has_short_names(uri: str) -> None:
    run_id = synthetic_runs.sweep(uri, trials=9)
    client = MlflowClient(uri)
    client.set_tag(run_id, Tag.DATA, "/home/somebody/data/chest_xray/")
    client.set_tag(
        run_id, Tag.ENCODER, "openai/clip-vit-large-patch14-336 (bfloat16, cls4+patch, key 0123456789abcdef)"
    )
    table = open_page("views/home.py").dataframe[0].value
    assert list(table)[:7] == [
        *("state", "run", "test macro-F1", "best val macro-F1", "best so far", "data", "encoder")
    ]
    row = table.iloc[0]
    assert (row["data"], row["encoder"]) == ("chest_xray", "clip-vit-large-patch14-336")
    assert row["trials"] == "6 of 9 complete"


@pytest.mark.parametrize("recorded", ["tag", "parameter"])
def test_a_live_sweep_shows_its_total_and_the_time_left(uri: str, recorded: str) -> None:
    """Six trials ended in 7 s, and 58 are left."""
    run_id = synthetic_runs.sweep(uri, state="live", trials=9)
    client = MlflowClient(uri)
    if recorded == "tag":
        client.set_tag(run_id, Tag.BUDGET, "64")
    client.log_param(run_id, "trials", 64 if recorded == "parameter" else 6)
    app = open_page("views/home.py")
    assert "Live, updates every 5 s · 6 of 64 done · 51.4/min, 1:08 left" in words(app)
    assert app.dataframe[0].value["trials"].tolist() == ["6 of 64 done"]
    assert "6 of 64 done" in app.sidebar.markdown[-1].value


def test_the_time_left_is_unknown_before_a_trial_has_ended() -> None:
    assert Figures(trials=4, running=4, budget=64).left_s is None
    assert Figures(trials=4, running=2, budget=64, spent_s=10).left_s == 310
