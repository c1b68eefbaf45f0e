"""Curves of more trials than can be drawn: nothing is lost, and one of them can be singled out."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from dashboard.charts import curves as charts
from dashboard.charts.palette import GREY
from dashboard.frames import trials as trial_frames
from tests.support import synthetic_runs
from tests.support.pages import Showing, open_page, words
from tests.support.pages import charts as charts_of
from trainer.stats.objective import F1
from trainer.tracking.schema import Artifact, Trials, TrialState

PAGE = "views/curves.py"


def lines(values: list[list[float]]) -> pd.DataFrame:
    """One line per list, epochs from 1."""
    return pd.DataFrame(
        [
            ("all", trial, epoch, v)
            for trial, line in enumerate(values)
            for epoch, v in enumerate(line, start=1)
        ],
        columns=["group", "trial", "epoch", "value"],
    )


@pytest.mark.parametrize("log", [False, True])
def test_every_line_is_counted_once_in_every_epoch_of_the_shadow(log: bool) -> None:
    values = np.random.default_rng(0).lognormal(size=(300, 7))
    values[0, 3] = 1e6  # far beyond the axis
    shadow = trial_frames.density(lines(values.tolist()), (0.01, 5.0), log=log)
    assert (shadow.groupby("epoch")["n"].sum() == 300).all()
    assert shadow.groupby("epoch")["share"].sum().to_numpy() == pytest.approx(np.ones(7))
    assert (shadow["low"] < shadow["high"]).all()


def test_a_shadow_of_lines_that_are_all_alike_has_one_field_per_epoch() -> None:
    shadow = trial_frames.density(lines([[0.5, 0.5]] * 9), (0.5, 0.5), log=False)
    assert shadow["n"].tolist() == [9, 9]


def test_smoothing_moves_the_mean_and_leaves_the_interval() -> None:
    bands = trial_frames.bands(lines([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0]]))
    smooth = trial_frames.smoothed(bands, 0.5)
    assert 0 < smooth["mean"].iloc[2] < 1
    assert smooth["mean"].iloc[0] == 0
    assert smooth[["low", "high"]].equals(bands[["low", "high"]])
    assert trial_frames.smoothed(bands, 0.0) is bands


def test_a_trial_that_was_given_up_is_marked_where_it_ended() -> None:
    trials = pd.DataFrame({Trials.TRIAL: [0, 1], Trials.STATE: [TrialState.COMPLETE, TrialState.PRUNED]})
    ends = trial_frames.stopped_early(lines([[0.1, 0.2, 0.3], [0.1, 0.05]]), trials)
    assert ends[["trial", "epoch", "value"]].to_numpy().tolist() == [[1, 2, 0.05]]


def test_shadow_marks_and_the_singled_out_trial_are_layers_of_the_chart() -> None:
    some = lines([[0.1, 0.2], [0.3, 0.4]] * 3)
    options = charts.CurveOptions(
        order=["all"], palette=["#000000"], title="y", legend="g", extent=(0.0, 1.0), log_x=True
    )
    shadow = trial_frames.density(some, (0.0, 1.0), log=False)
    overlays = charts.CurveOverlays(shadow, stopped=some.tail(1), marked=some.head(2))
    chart = charts.curves(trial_frames.bands(some), some.head(0), some.head(0), options, overlays).to_dict()
    assert [layer["mark"]["type"] for layer in chart["layer"]].count("rect") == 1
    # What lies above the fields must let the pointer through: no selection, no tooltip.
    above = [layer for layer in chart["layer"] if layer["mark"]["type"] in ("area", "line")][:2]
    assert not any("params" in layer or "tooltip" in layer["encoding"] for layer in above)
    assert any(layer["mark"].get("strokeWidth") == 3 for layer in chart["layer"])
    assert all(layer["encoding"]["x"]["scale"]["type"] == "log" for layer in chart["layer"][1:2])


def test_a_link_draws_the_trial_that_it_names_over_the_others(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", tracking_uri)
    synthetic_runs.sweep(tracking_uri)
    app = open_page("views/curves.py", trial="2")
    assert "Trial 2 (" in words(app)
    assert not open_page("views/curves.py", trial="<script>").exception


def shown_specs(app: AppTest) -> list[dict[str, Any]]:
    """The charts of a page, in order."""
    return [json.loads(chart.proto.spec) for chart in charts_of(app)]


def fields(spec: dict[str, Any], channel: str) -> set[str]:
    """What the layers of a chart encode so."""
    return {layer["encoding"][channel]["field"] for layer in spec["layer"] if channel in layer["encoding"]}


def test_loss_curves_open_on_training_against_validation_loss_of_the_best_trial(showing: Showing) -> None:
    showing(synthetic_runs.sweep, trials=12)
    app = open_page(PAGE)
    assert app.selectbox(key="metric").value == "training and validation loss"
    best = trial_frames.top(synthetic_runs.training(12, 2, 9)[1], 1)["trial"].iloc[0]
    assert re.search(rf"\*\*Best trial with epochs \({best}\): validation loss ", words(app))
    spec = shown_specs(app)[0]
    focus = next(layer for layer in spec["layer"] if "stroke" in layer["encoding"])
    assert focus["encoding"]["stroke"]["scale"]["domain"] == ["training", "validation"]
    faint = spec["layer"][0]["encoding"]  # the others lie behind, in grey
    assert faint["color"]["scale"]["range"] == [GREY]
    assert faint["opacity"]["condition"]["value"] < 0.3
    assert "Faint: validation loss of" in words(app)


def test_a_link_to_a_trial_puts_its_losses_in_focus(showing: Showing) -> None:
    showing(synthetic_runs.sweep, trials=12)
    assert "**Trial 2: validation loss " in words(open_page(PAGE, trial="2"))


def test_links_to_the_other_metrics_and_groups_still_draw_means(showing: Showing) -> None:
    showing(synthetic_runs.sweep, trials=12)
    app = open_page(PAGE, metric="validation macro-F1", group="optimizer")
    assert app.selectbox(key="metric").value == "validation macro-F1"
    assert "mean" in fields(shown_specs(app)[0], "y")
    app.selectbox(key="metric").set_value("training and validation loss").run()
    assert not app.exception
    for choice in ("optimizer", "seed", "state"):
        app.selectbox(key="group").set_value(choice).run()
        assert not app.exception
        assert fields(shown_specs(app)[0], "stroke") == {"series"}


@pytest.mark.parametrize(("trials", "banded"), [(4, False), (5, True)])
def test_no_interval_is_drawn_over_fewer_than_five_trials(trials: int, banded: bool) -> None:
    bands = trial_frames.bands(lines([[0.1 * i, 0.2 + 0.1 * i] for i in range(trials)]))
    assert bands[["low", "high"]].notna().all(axis=None) == banded
    options = charts.CurveOptions(
        order=["all"], palette=["#000000"], title="y", legend="g", extent=(0.0, 1.0)
    )
    empty = lines([]).astype({"epoch": float, "value": float})
    chart = charts.curves(bands, empty, empty, options).to_dict()
    assert ("area" in [layer["mark"]["type"] for layer in chart["layer"]]) == banded


def fitted_and_descended() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables, in which logistic and ridge regressions and discriminants have no epochs."""
    curves, trials = synthetic_runs.training(14, 2, 9)
    trials = trials[trials["state"] == "complete"].copy()
    solvers = ["lbfgs", "lbfgs", "lbfgs", "ridge", "gda", "descent"]
    trials["param.solver"] = [solvers[i % len(solvers)] for i in range(len(trials))]
    trials["param.l2"] = [
        10.0**-i if s in ("lbfgs", "ridge") else None for i, s in enumerate(trials["param.solver"])
    ]
    trials["param.shrinkage"] = [0.3 if solver == "gda" else None for solver in trials["param.solver"]]
    trials["param.scaling"] = "centre"
    return trials, curves[curves["trial"].isin(trials["trial"])]


def test_heads_without_epochs_have_a_chart_over_their_penalty_and_no_line_over_epochs(
    uri: str,
) -> None:
    trials, curves = fitted_and_descended()
    run_id = synthetic_runs.sweep(uri, trials=6)
    folder = synthetic_runs.folder_of(MlflowClient(uri).get_run(run_id).info.artifact_uri)
    trials.to_parquet(folder / Artifact.TRIALS)
    curves.to_parquet(folder / Artifact.CURVES)
    app = open_page(PAGE)
    *_, l2, shrinkage = shown_specs(app)
    assert "Heads without epochs" in [header.value for header in app.subheader]
    assert [one["layer"][0]["encoding"]["x"]["title"] for one in (l2, shrinkage)] == [
        "L2 penalty (log)",
        "shrinkage",
    ]
    heads = l2["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert set(heads) == {"ridge regression", "logistic regression"}
    found = re.search(r"Best trial with epochs \((\d+)\): validation loss", words(app))
    assert found is not None
    assert int(found[1]) in set(trials.loc[trials["param.solver"] == "descent", "trial"])


def test_penalty_paths_keep_heads_and_settings_apart() -> None:
    trials, _ = fitted_and_descended()
    paths = trial_frames.penalty_paths(trial_frames.without_epochs(trials), F1)
    assert set(paths["l2"]["head"]) == {"logistic regression", "ridge regression"}
    assert set(paths["shrinkage"]["head"]) == {"Gaussian discriminant"}
    assert paths["l2"]["penalty"].is_monotonic_increasing
    assert set(paths["l2"]["settings"]) == {"centre"}


def test_a_parameter_with_an_underscore_in_the_address_is_what_the_curves_are_grouped_by(
    showing: Showing,
) -> None:
    showing(synthetic_runs.sweep, trials=12)
    app = open_page(PAGE, group="weight_decay", metric="validation loss")
    assert app.selectbox(key="group").value == "weight_decay"
    assert shown_specs(app)[0]["layer"][0]["encoding"]["color"]["title"] == "weight_decay"
