"""Curves of more trials than can be drawn: nothing is lost, and one of them can be singled out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.charts import curves as charts
from dashboard.frames import trials as trial_frames
from tests.support import synthetic_runs
from tests.support.pages import open_page, words
from trainer.tracking.schema import Trials, TrialState


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
    some = lines([[0.1, 0.2], [0.3, 0.4]])
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
