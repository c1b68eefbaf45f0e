"""The page "Hyperparameters": its frames, its charts, and itself in every state, run in process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.charts import hyperparameters as charts
from dashboard.frames import hyperparameters as hyper
from dashboard.frames import importance
from tests.support import synthetic_runs
from tests.support import synthetic_trials as known
from tests.support.pages import Showing, active, open_page, words
from trainer.tracking.schema import Artifact

PAGE = "views/hyperparameters.py"


def frame_of(count: int = 40) -> pd.DataFrame:
    return hyper.tidy(known.trials(count), hyper.OURS)


def parameter(frame: pd.DataFrame, name: str) -> hyper.Parameter:
    return next(p for p in hyper.parameters(frame) if p.title == name)


def style(chosen: int | None = None, *, dark: bool = False) -> charts.TrialStyle:
    return charts.TrialStyle(hyper.OURS, chosen, dark)


def spec(figure: Any) -> dict[str, Any]:
    return figure.to_dict()


# --- frames -----------------------------------------------------------------------------------


def test_what_spans_orders_of_magnitude_is_logarithmic() -> None:
    random = np.random.default_rng(0)
    assert hyper.spans_orders(pd.Series(10 ** random.uniform(-4, -1, 30)))
    assert not hyper.spans_orders(pd.Series(random.uniform(0.0005, 0.6, 1000)))
    assert not hyper.spans_orders(pd.Series([0.0, 0.001, 10.0]))
    concentrated = pd.Series(
        10 ** (-4 * random.beta(1, 3, 200))
    )  # a search that has settled at the upper end
    assert hyper.spans_orders(concentrated)


def test_parameters_that_differ_are_described() -> None:
    frame = frame_of()
    described = {p.title: p for p in hyper.parameters(frame)}
    assert "epochs" not in described
    assert described["lr"].log
    assert described["dropout"].numeric
    assert not described["dropout"].log
    assert described["optimizer"].choices == ["adam", "adamw", "sgd"]
    assert described["depth"].choices == ["0", "1"]


def test_a_value_that_only_some_trials_have_is_no_difference() -> None:
    trials = pd.DataFrame({"param.momentum": [0.9, None, 0.9]})
    assert hyper.parameters(trials) == []


def test_few_whole_numbers_are_choices_in_order_but_not_if_each_is_alone() -> None:
    widths = pd.DataFrame({"param.width": [256.0, 64.0, 128.0, None] * 3, "param.step": range(12)})
    width, step = hyper.parameters(widths)
    assert width.choices == ["64", "128", "256"]
    assert step.numeric


def test_numbered_choices_come_in_the_order_of_their_numbers() -> None:
    trials = pd.DataFrame({"param.prompt": ["p10", "p2", "p1", None]})
    assert hyper.parameters(trials)[0].choices == ["p1", "p2", "p10"]


def test_texts_that_are_names_are_not_compared_but_listed() -> None:
    trials = pd.DataFrame({"param.path": [f"/data/{i}" for i in range(100)]})
    assert hyper.parameters(trials) == []
    assert hyper.names_alone(trials) == ["path"]


def test_two_parameters_that_look_alike_keep_their_own_axes() -> None:
    trials = pd.DataFrame({"param.a b": range(9), "param.a\u200bb": range(9), "param.a  b": range(9)})
    titles = [p.title for p in hyper.parameters(trials)]
    assert len(set(titles)) == 3


def test_thinning_keeps_the_best_and_spreads_the_others() -> None:
    frame = frame_of(1000)
    kept = hyper.thin(frame, up=True)
    assert len(kept) == hyper.MOST_LINES
    best = hyper.best_first(frame, up=True).head(hyper.ALWAYS)
    assert set(best["trial"]) <= set(kept["trial"])
    assert np.histogram(kept["trial"], bins=4, range=(0, 1000))[0].min() >= 50
    pd.testing.assert_frame_equal(hyper.thin(frame.head(300), up=True), frame.head(300))


def test_lines_cross_every_axis_and_nulls_lie_below() -> None:
    frame = frame_of(30)
    shown = [parameter(frame, "lr"), parameter(frame, "optimizer")]
    lines, ticks = hyper.polylines(frame, shown, hyper.OURS)
    assert len(lines) == 3 * len(frame)
    assert lines["at"].between(hyper.BELOW, 1).all()
    linear = lines[(lines["trial"] == 0) & (lines["axis"] == "lr")]
    assert linear["at"].item() == hyper.BELOW
    assert linear["here"].item() == "lr = not used"
    assert set(ticks.loc[ticks["axis"] == "optimizer", "label"]) == {"not used", "adam", "adamw", "sgd"}
    assert "no score" in set(ticks["label"])


def test_labels_are_wrapped_and_never_cut() -> None:
    name = "a rather long name of forty characters in"
    assert hyper.wrap(name).replace("\n", " ") == name
    assert hyper.wrap("x" * 50).replace("\n", "") == "x" * 50


def test_ticks_are_round_and_inside() -> None:
    assert hyper.number_ticks(1.6e-4, 7e-2, log=True) == pytest.approx([3e-4, 1e-3, 3e-3, 1e-2, 3e-2])
    assert hyper.number_ticks(1e-8, 1.0, log=True)[0] >= 1e-8
    assert hyper.number_ticks(0.0, 0.6, log=False) == pytest.approx([0, 0.2, 0.4, 0.6])
    assert hyper.number_ticks(3.0, 3.0, log=False) == [3.0]


def test_means_are_of_complete_trials_with_an_interval_where_there_are_two() -> None:
    frame = pd.DataFrame(
        {
            "trial": range(6),
            "state": ["complete", "complete", "complete", "pruned", "complete", "complete"],
            "score": [0.5, 0.7, 0.6, 0.1, 0.9, 0.8],
            "param.kind": ["a", "a", "a", "a", "b", "c"],
        }
    )
    kind = parameter(frame, "kind")
    means = hyper.means(hyper.slice_of(frame, kind), kind).set_index("choice")
    assert means.loc["a", "mean"] == pytest.approx(0.6)
    assert means.loc["a", "high"] - means.loc["a", "mean"] == pytest.approx(4.302653 * 0.1 / 3**0.5)
    assert (means.loc["a", "n"], means.loc["a", "tried"]) == (3, 4)
    assert pd.isna(means.loc["b", "low"])


def test_cells_hold_every_trial_once_and_none_is_made_up() -> None:
    frame = frame_of(200)
    for across, up in (("lr", "dropout"), ("lr", "optimizer"), ("optimizer", "depth"), ("optimizer", "lr")):
        cells, dots = hyper.cells(frame, parameter(frame, across), parameter(frame, up))
        assert cells["n"].sum() == len(dots)
        assert (cells["n"] > 0).all()
        weighted = (cells["mean"] * cells["n"]).sum() / cells["n"].sum()
        assert weighted == pytest.approx(dots["score"].mean())
        inside = [
            ((cells["x"] <= x) & (x <= cells["x_end"]) & (cells["y"] <= y) & (y <= cells["y_end"])).any()
            for x, y in zip(dots["x"], dots["y"], strict=True)
        ]
        assert all(inside)


def test_two_parameters_that_no_trial_has_together_make_an_empty_map() -> None:
    frame = frame_of(40)
    cells, dots = hyper.cells(frame, parameter(frame, "l2"), parameter(frame, "lr"))
    assert cells.empty
    assert dots.empty


def test_best_so_far_counts_complete_trials_alone_in_the_order_in_which_they_ended() -> None:
    frame = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "pruned", "complete", "running"],
            "score": [0.5, 0.9, 0.6, None],
            "finished_s": [9.0, 1.0, 3.0, None],
        }
    )
    so_far = hyper.best_so_far(frame, up=True)
    assert list(so_far["trial"]) == [1, 2, 0]
    assert so_far["best"].tolist()[1:] == [0.6, 0.6]
    assert hyper.best_so_far(frame, up=False)["best"].tolist()[1:] == [0.6, 0.5]


def test_the_yardstick_is_the_best_logistic_regression_else_the_best_linear_head() -> None:
    frame = frame_of()
    found = hyper.yardstick(frame)
    assert found is not None
    assert (found.name, found.trial, found.score) == ("logistic regression", 1, pytest.approx(0.71))
    linear = hyper.yardstick(frame.drop(columns="param.solver"))
    assert linear is not None
    assert linear.name == "linear head"
    assert hyper.yardstick(frame.drop(columns=["param.solver", "param.depth"])) is None


def test_rungs_tell_who_went_on_and_who_was_given_up() -> None:
    frame = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["complete", "pruned", "failed", "complete"],
            "score": [0.8, 0.3, None, 0.7],
            "rungs": ['{"6": 0.5, "20": 0.8}', '{"6": 0.3}', '{"6": 0.4}', "not JSON"],
        }
    )
    reached = hyper.rungs(frame)
    fates = hyper.survival(reached).set_index(["rung", "fate"])["n"].to_dict()
    assert fates == {(6, hyper.STAYED): 1, (6, hyper.PRUNED): 1, (6, hyper.FAILED): 1, (20, hyper.STAYED): 1}
    assert hyper.early_and_late(reached)["trial"].tolist() == [0]


def test_rank_correlation_has_an_interval_and_is_not_told_of_few() -> None:
    x = pd.Series(np.arange(30.0))
    noisy = x + np.random.default_rng(0).normal(0, 8, 30)
    found = hyper.spearman(x, noisy)
    assert found is not None
    assert -1 <= found.low < found.value < found.high <= 1
    assert hyper.spearman(x.head(4), noisy.head(4)) is None
    assert hyper.spearman(x, x * 0) is None
    same = hyper.spearman(x, x)
    assert same is not None
    assert same.value == pytest.approx(1)


def test_losses_are_guessed_to_be_better_when_lower() -> None:
    trials = pd.DataFrame({"metric.eval/loss": [1.0], "metric.eval_rmse": [1.0], "metric.accuracy": [1.0]})
    assert [o.up for o in hyper.objectives(trials).values()] == [True, False, False]


# --- charts -----------------------------------------------------------------------------------


def test_foreign_names_are_never_the_title_of_a_tooltip() -> None:
    frame = pd.DataFrame(
        {
            "trial": range(8),
            "state": "complete",
            "score": np.arange(8) / 8,
            "param.image": ["http://evil.example/x.png", "b"] * 4,
            "param.title": range(8),
        }
    )
    image, title = hyper.parameters(frame)
    rows = hyper.slice_of(frame, image)
    figures = [
        charts.slices(rows, hyper.means(rows, image), image, style(chosen=2), extent=(0, 1)),
        charts.contour(
            *hyper.cells(frame, image, title),
            image,
            title,
            style(chosen=2, dark=True),
            colours=(0, 1),
        ),
        charts.parallel(
            *hyper.polylines(frame, [image, title], hyper.OURS),
            style(chosen=2),
            colours=(0, 1),
        ),
    ]
    for figure in figures:
        titles = {t.get("title", t["field"]) for layer in spec(figure)["layer"] for t in _tooltips(layer)}
        assert not titles & {"image", "title", "param.image", "param.title"}


def _tooltips(layer: dict[str, Any]) -> list[dict[str, Any]]:
    found = layer.get("encoding", {}).get("tooltip", [])
    return found if isinstance(found, list) else [found]


def test_a_choice_cannot_leave_the_literal_that_names_it() -> None:
    wicked = '"]];alert(1);[["'
    frame = pd.DataFrame(
        {"trial": range(4), "state": "complete", "score": 0.5, "param.kind": [wicked, "b"] * 2}
    )
    kind = parameter(frame, "kind")
    rows = hyper.slice_of(frame, kind)
    figure = charts.slices(rows, None, kind, style(), extent=(0, 1))
    expression = spec(figure)["layer"][0]["encoding"]["x"]["axis"]["labelExpr"]
    assert '\\"]];alert(1);[[\\"' in expression


def test_axes_of_slices_are_logarithmic_where_suitable() -> None:
    frame = frame_of()
    for name, kind in (("lr", "log"), ("dropout", None)):
        chosen = parameter(frame, name)
        rows = hyper.slice_of(frame, chosen)
        figure = charts.slices(rows, None, chosen, style(), extent=(0, 1))
        assert spec(figure)["layer"][0]["encoding"]["x"]["scale"].get("type") == kind


def test_importance_draws_a_bar_an_interval_and_chance_for_each_parameter() -> None:
    frame = frame_of(60)
    table = importance.table(frame, hyper.parameters(frame), up=True)
    told = table[table["told"].astype(bool)]
    layers = spec(charts.importance(told, dark=False))["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["bar", "rule", "tick"]


# --- the page ---------------------------------------------------------------------------------


SECTIONS = [
    "Importance",
    "Parallel coordinates",
    "Slices",
    "Two settings",
    "Best so far",
    "Early stopping",
    "Trials",
]


def test_a_sweep_shows_every_section_with_its_n(showing: Showing) -> None:
    showing(known.sweep, known.trials(40))
    app = open_page(PAGE)
    assert [node.value for node in app.subheader] == SECTIONS
    told = words(app)
    for part in (
        "(36 trials)",
        "40 trials, coloured by validation macro-F1",
        "Dots: 36 trials",
        "scored trials with both settings",
        "Without a score: 4 trials",
        "Dashed: 0.710 [0.690, 0.730]",
        "The best logistic regression (trial 1) was first beaten after",
        "Spearman’s correlation",
        "Used by fewer than 20 trials: l2 (2)",
    ):
        assert part in told, part


def test_of_a_large_sweep_other_sections_are_drawn_when_they_are_asked_for(
    showing: Showing,
) -> None:
    showing(known.sweep, known.trials(320))
    app = open_page(PAGE)
    first = ["Importance", "Parallel coordinates", "Best so far", "Trials"]
    assert [node.value for node in app.subheader] == first
    app.pills(key="sections").set_value(["Slices", "Early stopping"]).run()
    assert [node.value for node in app.subheader] == [*first[:2], "Slices", "Early stopping", "Trials"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_trials_are_said_to_be_too_few(showing: Showing, count: int) -> None:
    showing(known.sweep, known.trials(count))
    app = open_page(PAGE)
    assert "oo few" in words(app)
    assert app.subheader[-1].value == "Trials"


@pytest.mark.parametrize("kind", ["live", "interrupted", "failed"])
def test_the_page_opens_in_every_state(showing: Showing, kind: str) -> None:
    showing(known.sweep, known.trials(30), state=kind)
    assert "Parallel coordinates" in words(open_page(PAGE))


@pytest.mark.parametrize("kind", ["live", "failed"])
def test_a_sweep_without_trials_says_so(uri: str, kind: str) -> None:
    run_id = known.sweep(uri, known.trials(3), state=kind)
    folder = synthetic_runs.folder_of(synthetic_runs.MlflowClient(uri).get_run(run_id).info.artifact_uri)
    (folder / Artifact.TRIALS).unlink()
    (folder / "other").write_text("")
    assert "trial ended" in words(open_page(PAGE)) or "trial has ended" in words(open_page(PAGE))


def test_an_empty_store_tells_the_one_command(uri: str) -> None:
    assert "make demo" in words(open_page(PAGE))


def test_equal_trials_have_nothing_to_compare(showing: Showing) -> None:
    table = known.trials(6).drop(columns=[c for c in known.trials(1) if c.startswith("param.")])
    showing(known.sweep, table.assign(**{"param.lr": 0.1}))
    assert "the same hyperparameters" in words(open_page(PAGE))


def test_the_stores_of_other_tests_open_too(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    app = open_page(PAGE)
    assert "No trial of this sweep could be pruned." in words(app)
    assert len(app.get("vega_lite_chart")) >= 5


def test_another_programs_runs_are_compared_by_the_metric_that_is_chosen(showing: Showing) -> None:
    showing(known.foreign, children=25)
    app = open_page(PAGE)
    assert app.selectbox(key="objective").options == ["eval/accuracy", "eval/loss"]
    best = app.dataframe[0].value["score"].iloc[0]
    app.selectbox(key="objective").set_value("eval/loss").run()
    assert not app.exception
    assert app.toggle(key="lower-metric.eval/loss").value
    losses = app.dataframe[0].value["score"]
    assert losses.is_monotonic_increasing
    assert losses.iloc[0] == pytest.approx((0.9 - best) * 10)
    assert "Early stopping" not in [node.value for node in app.subheader]


@pytest.mark.parametrize("maker", [synthetic_runs.foreign, synthetic_runs.foreign_tree])
def test_another_programs_few_runs_open(uri: str, maker: Any) -> None:
    maker(uri)
    assert "oo few" in words(open_page(PAGE))


def test_hostile_names_render_as_text(showing: Showing) -> None:
    showing(known.foreign, hostile=True)
    app = open_page(PAGE, trial="3")
    for node in [*app.markdown, *app.caption, *app.header, *app.subheader]:
        assert "](http" not in active(node.value)
        assert "<img" not in active(node.value)
    for box in app.pills:  # of lists the options are no Markdown
        assert not any("](http" in active(option) for option in box.options)
    assert not [node for node in app.markdown if node.proto.allow_html]


def test_a_link_to_a_trial_opens_its_card(showing: Showing) -> None:
    run_id = showing(known.sweep, known.trials(30))
    app = open_page(PAGE, trial="5", run=run_id)
    figures, params = app.dataframe[-2].value, app.dataframe[-1].value
    table = known.trials(30).set_index("trial")
    facts = dict(zip(figures["what"], figures["value"], strict=True))
    assert facts["validation macro-F1"].startswith(f"{table.loc[5, 'val_f1_macro']:.3f} [")
    assert facts["weights"] == "650"
    assert "rank" in facts
    assert dict(zip(params["name"], params["value"], strict=True))["epochs"] == "60"
    link = app.get("page_link")[0].proto
    assert f"run={run_id}" in link.query_string
    assert "trial=5" in link.query_string


def test_a_link_to_an_unknown_trial_says_so(showing: Showing) -> None:
    showing(known.sweep, known.trials(10))
    assert "not in this run" in open_page(PAGE, trial="99").toast[0].value


def test_a_failed_trial_has_a_card_with_its_reason(showing: Showing) -> None:
    showing(known.sweep, known.trials(10))
    assert "Its loss became infinite." in words(open_page(PAGE, trial="9"))


def test_one_seed_claims_no_interval(showing: Showing) -> None:
    showing(known.sweep, known.trials(12, seeds=1))
    app = open_page(PAGE, trial="3")
    assert set(app.dataframe[0].value["ci95"]) == {"–"}
    assert "none" in set(app.dataframe[1].value["value"])


@pytest.mark.parametrize("switch", ["slices", "better"])
def test_every_switch_works(showing: Showing, switch: str) -> None:
    showing(known.sweep, known.trials(30))
    app = open_page(PAGE)
    app.toggle(key=switch).set_value(True).run()
    assert not app.exception
    assert ("Off the chart: 13 worse trials" in words(app)) == (switch == "better")


def test_axes_and_the_map_can_be_chosen(showing: Showing) -> None:
    showing(known.sweep, known.trials(30))
    app = open_page(PAGE)
    app.pills(key="axes").set_value([]).run()
    assert "Choose at least one axis above." in words(app)
    app.selectbox(key="up").set_value("lr").run()
    app.selectbox(key="across").set_value("lr").run()
    assert "Choose two different parameters." in words(app)
    app.selectbox(key="up").set_value("l2").run()
    assert "No trial has both" in words(app)


def test_a_thousand_trials_are_thinned_and_it_is_said(showing: Showing) -> None:
    showing(known.sweep, known.trials(1000))
    assert "300 of 1,000 trials (the 50 best, the others evenly by number)" in words(open_page(PAGE))


def test_three_hundred_lines_of_parallel_coordinates_are_pieces_of_one_mark() -> None:
    frame = frame_of(300)
    shown = hyper.parameters(frame)
    lines, ticks = hyper.polylines(frame, shown, hyper.OURS)
    spec = charts.parallel(lines, ticks, style(), colours=(0.5, 0.9)).to_dict()
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert "line" not in marks  # one for each trial, which a browser takes long to make
    assert "point" not in marks
    assert all("detail" not in layer["encoding"] for layer in spec["layer"])
    pieces = hyper.segments(lines)
    assert len(pieces) == 300 * len(shown)
    assert (pieces.groupby("trial").size() == len(shown)).all()


def test_the_pieces_of_a_line_join_and_tell_what_is_at_both_ends() -> None:
    frame = frame_of(12)
    shown = hyper.parameters(frame)
    lines, _ = hyper.polylines(frame, shown, hyper.OURS)
    pieces = hyper.segments(lines)
    pieces = pieces[pieces["trial"] == 3]
    assert pieces["axis"].tolist()[1:] == pieces["next"].tolist()[:-1]
    assert pieces["at"].tolist()[1:] == pieces["next_at"].tolist()[:-1]
    assert pieces["here"].iloc[0].count(" = ") == 2


def test_parameters_with_underscores_in_the_address_are_the_axes_and_the_map(showing: Showing) -> None:
    showing(synthetic_runs.sweep, trials=30)
    app = open_page(PAGE, across="weight_decay", up="lr", axes="weight_decay")
    assert app.selectbox(key="across").value == "weight_decay"
    assert app.pills(key="axes").value == ["weight_decay"]
