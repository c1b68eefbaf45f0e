"""From a sweep's tables to what the charts draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from dashboard.charts.confusion import confusion as confusion_chart
from dashboard.charts.curves import CurveOptions
from dashboard.charts.curves import curves as curves_chart
from dashboard.charts.palette import colours
from dashboard.frames import predictions, projection
from dashboard.frames import trials as trial_frames
from dashboard.runs import run_info
from tests.support.synthetic_runs import training
from trainer.stats.intervals import wilson
from trainer.tracking.schema import Summary

CURVES, TRIALS = training(20, 3, 12)
LABELS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=60)


def rows(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["label", "pred"])


def test_the_band_is_the_t_interval_over_trials_after_averaging_seeds() -> None:
    lines = trial_frames.lines(CURVES, "val", "loss", trial_frames.one_group(TRIALS, "all"))
    bands = trial_frames.bands(lines).set_index("epoch")
    chosen = CURVES[(CURVES["split"] == "val") & (CURVES["metric"] == "loss") & (CURVES["epoch"] == 3)]
    means = chosen.groupby("trial")["value"].mean()
    low, high = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))
    assert bands.loc[3, "n"] == 20
    assert bands.loc[3, ["mean", "low", "high"]].tolist() == pytest.approx(
        [means.mean(), low, high], rel=1e-5
    )


def test_n_falls_where_trials_were_pruned() -> None:
    bands = trial_frames.bands(
        trial_frames.lines(CURVES, "val", "loss", trial_frames.one_group(TRIALS, "all"))
    )
    counts = bands.set_index("epoch")["n"]
    assert counts[1] == 20
    assert counts[12] == (TRIALS["state"] != "pruned").sum()


def test_a_group_of_one_trial_has_no_interval() -> None:
    lines = trial_frames.lines(
        CURVES[CURVES["trial"] == 0], "val", "loss", trial_frames.one_group(TRIALS, "all")
    )
    assert trial_frames.bands(lines)[["low", "high"]].isna().all(axis=None)


def test_grouping_by_seed_makes_every_seed_of_a_trial_a_line() -> None:
    lines = trial_frames.lines(CURVES, "val", "loss", None)
    assert lines[["group", "trial"]].drop_duplicates().shape[0] == 20 * 3


def test_values_that_are_no_numbers_are_not_averaged() -> None:
    broken = CURVES.assign(value=CURVES["value"].where(CURVES["trial"] != 4, np.inf))
    lines = trial_frames.lines(broken, "val", "loss", trial_frames.one_group(TRIALS, "all"))
    assert 4 not in set(lines["trial"])


def test_a_number_with_many_values_is_cut_into_five_quantiles() -> None:
    groups = trial_frames.group_by(TRIALS, "param.lr")
    assert groups.ordered
    assert len(groups.order) == 5
    assert groups.of_trial.value_counts().tolist() == [4, 4, 4, 4, 4]


def test_trials_in_which_a_hyperparameter_means_nothing_are_a_group_of_their_own() -> None:
    groups = trial_frames.group_by(TRIALS, "param.width")
    assert groups.order[-1] == trial_frames.NOT_USED
    assert (groups.of_trial == trial_frames.NOT_USED).sum() == TRIALS["param.width"].isna().sum()


def test_the_rarest_of_too_many_names_become_one_group() -> None:
    trials = pd.DataFrame({"trial": range(60), "param.name": [f"name {i % 11}" for i in range(60)]})
    groups = trial_frames.group_by(trials, "param.name")
    assert len(groups.order) == trial_frames.MOST_GROUPS
    assert groups.order[-1] == trial_frames.OTHER
    assert set(groups.of_trial) == set(groups.order)


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=50))
def test_every_trial_has_a_group_whatever_the_numbers_are(values: list[float | None]) -> None:
    trials = pd.DataFrame({"trial": range(len(values)), "param.x": pd.array(values, dtype="float64")})
    groups = trial_frames.group_by(trials, "param.x")
    assert set(groups.of_trial) <= set(groups.order)
    assert len(groups.of_trial) == len(values)


def test_only_hyperparameters_that_vary_are_shown_unless_asked() -> None:
    assert "param.batch_size" not in trial_frames.parameters(TRIALS)
    assert "param.batch_size" in trial_frames.parameters(TRIALS, varying=False)


def test_the_leaderboard_holds_complete_trials_only() -> None:
    best = trial_frames.top(TRIALS, 5)
    assert set(best["state"]) == {"complete"}
    assert best["val_f1_macro"].is_monotonic_decreasing


def test_a_pruned_trial_never_becomes_the_best_so_far() -> None:
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2],
            "state": ["complete", "pruned", "complete"],
            "val_f1_macro": [0.5, 0.9, 0.6],
            "finished_s": [1, 2, 3],
        }
    )
    assert trial_frames.best_so_far(trials)["best"].tolist() == [0.5, 0.5, 0.6]
    assert run_info.spark(trials) == (0.5, 0.6)


def test_a_spark_of_many_trials_is_short_and_ends_where_they_end() -> None:
    many = pd.concat([TRIALS] * 40, ignore_index=True).assign(finished_s=lambda f: f.index)
    many["val_f1_macro"] = np.linspace(0.2, 0.9, len(many))
    spark = run_info.spark(many)
    assert len(spark) == Summary.SPARK_POINTS
    assert list(spark) == sorted(spark)
    assert spark[-1] == many.loc[many["state"] == "complete", "val_f1_macro"].max()
    assert run_info.spark(many.assign(state="failed", val_f1_macro=None)) == ()


def test_a_few_values_make_few_bins_and_a_bin_of_one_value_is_no_range() -> None:
    trials = pd.DataFrame({"trial": range(8), "param.x": [1.0, 2, 3, 4, 5, 6, 7, 8]})
    assert trial_frames.group_by(trials, "param.x").order == ["1 – 4", "5 – 8"]
    trials = pd.DataFrame({"trial": range(20), "param.x": [0.0] * 15 + [1.0, 2, 3, 4, 5]})
    assert "0" in trial_frames.group_by(trials, "param.x").order[0]


def test_intervals_of_scores_stay_between_nought_and_one() -> None:
    wide = TRIALS.assign(val_f1_macro_low=-0.3, val_f1_macro_high=1.7)
    best = trial_frames.top(wide, 5)
    assert set(best["low"]) == {0.0}
    assert set(best["high"]) == {1.0}


def test_one_exploding_loss_does_not_flatten_all_other_curves() -> None:
    values = pd.Series([*np.linspace(0.2, 2.3, 999), 1e9])
    low, high = trial_frames.axis_range(values)
    assert low == 0.2
    assert 2.3 < high < 10


def test_the_first_high_losses_are_on_the_axis() -> None:
    values = trial_frames.lines(CURVES, "val", "loss", trial_frames.one_group(TRIALS, "all"))["value"]
    assert trial_frames.axis_range(values) == (values.min(), values.max())


@given(LABELS)
def test_confusion_counts_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    cells = predictions.confusion(rows(pairs))
    matrix = cells.pivot_table(index="label", columns="pred", values="n", fill_value=0)
    matrix = matrix.reindex(index=list("abcd"), columns=list("abcd"), fill_value=0)
    labels, preds = zip(*pairs, strict=True)
    assert (matrix.to_numpy() == confusion_matrix(labels, preds, labels=list("abcd"))).all()


@given(LABELS)
def test_class_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    labels, preds = zip(*pairs, strict=True)
    seen = sorted(set(labels) | set(preds))
    ours = predictions.per_class(rows(pairs), seen)
    theirs = precision_recall_fscore_support(labels, preds, labels=seen, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert ours[name].to_numpy() == pytest.approx(values)


def test_a_class_that_never_occurs_has_no_figures() -> None:
    figures = predictions.per_class(rows([("a", "a")]), ["a", "b"])
    assert figures["f1"].isna().tolist() == [False, True]


def test_wilson_interval_of_a_textbook_case() -> None:
    low, high = wilson(10, 10)[1:]
    assert (low, high) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1.0))
    assert np.isnan(wilson(0, 0)).all()


def test_a_sampled_map_keeps_the_share_of_each_label() -> None:
    points = pd.DataFrame({"label": ["a"] * 900 + ["b"] * 100, "x": range(1000)})
    drawn = projection.sample_evenly(points, 100)
    assert drawn["label"].value_counts().to_dict() == {"a": 90, "b": 10}
    assert drawn.equals(projection.sample_evenly(points, 100))


def test_ordered_groups_are_coloured_from_low_to_high_and_the_unused_grey() -> None:
    palette = colours(["1", "2", "3", trial_frames.NOT_USED], ordered=True, quiet=(trial_frames.NOT_USED,))
    assert len(set(palette)) == 4
    assert palette[-1] == "#8B919B"


def test_an_empty_layer_is_left_out_of_the_curves() -> None:
    lines = trial_frames.lines(
        CURVES[CURVES["trial"] == 0], "val", "loss", trial_frames.one_group(TRIALS, "all")
    )
    options = CurveOptions(
        order=["all"], palette=["#2A86D1"], title="loss", legend="", log=False, extent=(0.0, 2.0)
    )
    chart = curves_chart(trial_frames.bands(lines), lines.head(0), lines.head(0), options)
    assert len(chart.to_dict()["layer"]) == 2  # the mean and its hover points


def test_a_curve_of_one_step_is_drawn_as_a_point() -> None:
    lines = trial_frames.lines(
        CURVES[(CURVES["trial"] == 0) & (CURVES["epoch"] == CURVES["epoch"].min())],
        "val",
        "loss",
        trial_frames.one_group(TRIALS, "all"),
    )
    options = CurveOptions(order=["all"], palette=["#2A86D1"], title="loss", legend="", extent=(0.0, 2.0))
    chart = curves_chart(trial_frames.bands(lines), lines.head(0), lines.head(0), options).to_dict()
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["line", "point", "point"]


@pytest.mark.parametrize("count", [2, 10, 20, 40, 100])
def test_a_confusion_matrix_draws_figures_only_where_they_can_be_read(count: int) -> None:
    classes = [f"class {i}" for i in range(count)]
    cells = predictions.confusion(rows([(name, name) for name in classes]))
    chart = confusion_chart(cells, classes, normalised=False, side=400, dark=False).to_dict()
    marks = [layer["mark"]["type"] for layer in chart["layer"]]
    assert ("text" in marks) == (count <= 20)


def test_landmarks_are_points_of_the_map_far_enough_apart_for_their_images() -> None:
    random = np.random.default_rng(0)
    points = pd.DataFrame(random.normal(size=(500, 2)), columns=["x", "y"])
    points.loc[500] = [40.0, 40.0]  # far out and alone
    points = points.set_index(points.index + 1000)
    marks = projection.landmarks(points, columns=60, rows=40, fewest=2)
    assert len(marks) > 3
    assert 1500 not in marks.index
    assert set(marks.index) <= set(points.index)
    cell = (points.max() - points.min()) / [60, 40]
    steps = np.abs((marks.to_numpy()[:, None] - marks.to_numpy()[None]) / cell.to_numpy()).max(axis=2)
    assert steps[~np.eye(len(marks), dtype=bool)].min() >= 1
    pd.testing.assert_frame_equal(marks, projection.landmarks(points, columns=60, rows=40, fewest=2))


def test_a_map_of_no_point_or_of_one_has_as_many_landmarks() -> None:
    points = pd.DataFrame({"x": [3.0], "y": [4.0]})
    assert projection.landmarks(points.head(0)).empty
    assert len(projection.landmarks(points)) == 1
