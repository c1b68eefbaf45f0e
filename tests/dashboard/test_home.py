"""Home lists sweeps and ablations, and leads to either."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from dashboard.views.home import below, final_head, outlook
from tests.support import synthetic_runs, trained_ablation
from tests.support.pages import open_page, restart, words
from trainer.tracking.schema import Artifact, Summary


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
    assert [header.value for header in app.header][:2] == ["Sweeps", "Filter ablations"]
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


JUDGED = {Summary.HELD_OUT_F1_MACRO: 0.924, Summary.VALIDATION: "5-fold cross-validation"}


def test_an_ensemble_is_named_by_its_trials_the_heaviest_first() -> None:
    told = final_head({Summary.MEMBERS: {"20": 0.25, "34": 0.75}, Summary.REFIT: True, **JUDGED})
    assert "an ensemble of the trials 34 (75%), 20 (25%)" in told
    assert "learned from train and val" in told
    assert "0.924 (5-fold cross-validation)" in told


def test_a_head_alone_is_named_and_what_it_did_not_learn_from_is_not_claimed() -> None:
    told = final_head({Summary.MEMBERS: {"8": 1.0}, Summary.REFIT: False, **JUDGED})
    assert told.startswith("Final head: trial 8. It learned from train;")


EXPECTED = {
    Summary.EXPECTED_F1_MACRO: 0.85,
    Summary.EXPECTED_F1_MACRO_CI95: [0.82, 0.88],
    Summary.EXPECTED_ACCURACY: 0.86,
    Summary.EXPECTED_ACCURACY_CI95: [0.83, 0.89],
    Summary.EXPECTED_OVER: "31 groups (400 rows)",
}


def test_what_to_expect_says_what_it_is_over_and_how_often_the_test_rows_were_seen() -> None:
    told = outlook({**EXPECTED, Summary.TEST_LESS_EXPECTED: [0.01, -0.03, 0.05], Summary.TEST_LOOKS: 3})
    assert "95 % over 31 groups (400 rows)" in told
    assert "answered them 3 times" in told
    assert "times" not in outlook({**EXPECTED, Summary.TEST_LESS_EXPECTED: [0.01, -0.03, 0.05]})


def test_test_rows_far_below_what_was_expected_are_warned_of_and_others_are_not() -> None:
    warning = below({**EXPECTED, Summary.TEST_LESS_EXPECTED: [-0.21, -0.27, -0.15]})
    assert warning is not None
    assert "below what was expected" in warning
    assert below({**EXPECTED, Summary.TEST_LESS_EXPECTED: [-0.02, -0.06, 0.02]}) is None
