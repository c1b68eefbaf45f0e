"""The page "Filter ablations": what it draws of a real ablation, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts import ablation as drawn
from dashboard.frames import ablation
from tests.support import synthetic_ablation, trained_ablation
from tests.support.pages import Showing, active, captions, charts, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.charts.effects import _ink
from trainer.charts.palette import GAIN, LOSS, NONE
from trainer.tracking.schema import Ablation, Scores, Verdict

PAGE = "views/ablation.py"


def table(**columns: list) -> pd.DataFrame:
    """ABLATION of four cells: none, clip, quality, both."""
    n = 4
    frame = pd.DataFrame(
        {
            Ablation.CELL: range(n),
            Ablation.FILTER: ["none", "clip>=top90%", "quality>=top80%", "quality>=top80% & clip>=top90%"],
            Ablation.AUGMENT: False,
            Ablation.KEPT: [100, 90, 80, 72],
            Ablation.VERDICT: [Verdict.BASELINE, Verdict.UNCLEAR, Verdict.HELPS, Verdict.HURTS],
            Ablation.F1_MACRO: [0.5, 0.51, 0.6, 0.4],
            Ablation.EFFECT: [np.nan, 0.01, 0.1, -0.1],
            Ablation.OVER_RANDOM: [np.nan, 0.02, 0.12, -0.05],
            Ablation.EFFECT_P_HOLM: [np.nan, 1.0, 0.01, 0.02],
            Ablation.OVER_RANDOM_P_HOLM: [np.nan, 1.0, 0.01, 0.9],
            Ablation.CHOSEN: [False, False, True, False],
            "by.clip": [None, ">=top90%", None, ">=top90%"],
            "by.quality": [None, None, ">=top80%", ">=top80%"],
        }
    )
    for name in (Ablation.F1_MACRO, Ablation.EFFECT, Ablation.OVER_RANDOM):
        frame[name + Ablation.LOW], frame[name + Ablation.HIGH] = frame[name] - 0.05, frame[name] + 0.05
    return frame.assign(**columns)


def scores(n: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {
            Scores.SAMPLE_ID: [f"row{i}" for i in range(n)],
            Scores.LABEL: ["a", "b"] * (n // 2),
            Scores.CORRUPTED: ["blur" if i < 10 else "" for i in range(n)],
            "score.clip": np.linspace(0, 1, n),
            "score.quality": [np.nan, *np.linspace(-3, 1, n - 1)],
        }
    )


# --- frames -----------------------------------------------------------------------------------


def test_the_grid_is_of_the_two_scores_that_were_crossed_and_its_bounds_keep_fewer_and_fewer() -> None:
    assert set(ablation.crossed(table()) or ()) == {"clip", "quality"}
    cells = ablation.grid(table(), "clip", "quality")
    assert cells[["across", "up"]].to_numpy().tolist() == [
        ["all", "all"],
        [">=top90%", "all"],
        ["all", ">=top80%"],
        [">=top90%", ">=top80%"],
    ]
    assert ablation.bounds(pd.Series([">=top60%", "all", ">=top90%"])) == ["all", ">=top90%", ">=top60%"]
    assert ablation.bounds(pd.Series([">=0.3", "all", ">=0.1"])) == ["all", ">=0.1", ">=0.3"]
    assert ablation.crossed(table().drop(columns="by.clip")) is None


def test_every_field_of_the_grid_is_there_and_says_why_it_has_no_figure() -> None:
    cells = ablation.grid(ablation.named(table().drop(index=3)), "clip", "quality")
    fields = ablation.fields(cells, Ablation.EFFECT).set_index(["across", "up"])
    assert fields["state"].to_dict() == {
        ("all", "all"): "baseline",
        (">=top90%", "all"): "measured",
        ("all", ">=top80%"): "measured",
        (">=top90%", ">=top80%"): "no cell",
    }
    augmented = table(**{Ablation.AUGMENT: [False, True, False, False], "by.clip": None})
    augmented.loc[1, [Ablation.FILTER, Ablation.OVER_RANDOM]] = ["none", np.nan]
    fields = ablation.fields(ablation.grid(ablation.named(augmented), "clip", "quality"), "over_random")
    of_none = fields[fields["augment"] & (fields["up"] == "all")]
    assert of_none["state"].tolist() == ["keeps all rows"]  # random choices of as many are all rows, too
    axes = drawn.GridAxes("clip", "quality", across=["all"], up=["all", ">=top80%"])
    chart = drawn.grid(fields[fields["augment"]], axes, title="change", reach=0.1, dark=False).to_dict()
    assert [row["shown"] for row in next(iter(chart["datasets"].values()))] == ["keeps all rows", "no cell"]


def test_alternatives_are_no_point_between_axes() -> None:
    either = table()
    either.loc[3, Ablation.FILTER] = "quality>=top80% | clip>=top90%"
    assert ablation.crossed(either) is None
    assert len(ablation.grid(either, "clip", "quality")) == 3


def test_a_slider_keeps_the_share_with_the_highest_values_and_rows_without_the_score() -> None:
    clip, quality = (ablation.values_of(scores(), name) for name in ("clip", "quality"))
    keep_n = ablation.among_top(clip, 0.8)
    assert keep_n.sum() == 80
    assert keep_n[-80:].all()
    assert ablation.among_top(quality, 0.5)[0]
    assert ablation.among_top(quality, 1.0).all()
    assert ablation.lowest_kept(clip, keep_n) == clip[20]
    assert ablation.lowest_kept(clip, np.ones(100, dtype=bool)) is None
    assert ablation.at_least(clip, float(clip[20])).tolist() == keep_n.tolist()
    assert ablation.at_least(quality, 1.0).sum() == 2  # the highest, and the row without the score
    assert ablation.share_of_known(quality, ablation.at_least(quality, 1.0)) == pytest.approx(1 / 99)


def test_finding_spoiled_rows_has_no_precision_if_nobody_is_thrown_out_and_nothing_if_none_is_known() -> None:
    keep_n = ablation.among_top(ablation.values_of(scores(), "clip"), 0.8)
    bad_n = ablation.corrupted_rows(scores())
    assert bad_n is not None
    assert ablation.found(keep_n, bad_n) == (0.5, 1.0)
    assert ablation.found(np.ones(100, dtype=bool), bad_n) == (None, 0.0)
    for nothing in (None, ""):
        assert ablation.corrupted_rows(scores().assign(**{Scores.CORRUPTED: nothing})) is None


def test_the_nearest_measured_cells_are_those_that_keep_similar_shares() -> None:
    close = ablation.nearest(table(), scores(), {"clip": 0.95, "quality": 0.82})
    assert close[Ablation.FILTER].iloc[0] == "quality>=top80% & clip>=top90%"
    alone = ablation.nearest(table(), scores(), {"clip": 0.92})
    assert alone[Ablation.FILTER].tolist() == ["clip>=top90%", "none"]  # others look at more than clip
    assert ablation.share_kept(scores(), "clip", ">=0.5") == pytest.approx(0.5)
    above = table(**{"by.clip": [None, "<=0.9", None, ">=top90% <=0.9"]})
    assert ablation.nearest(above, scores(), {"clip": 0.9})[Ablation.FILTER].tolist() == ["none"]


def test_rows_thrown_out_begin_with_the_lowest_in_any_of_the_scores() -> None:
    keep_n = ablation.among_top(ablation.values_of(scores(), "clip"), 0.8)
    rows = ablation.removed(scores(), keep_n, ["clip"])
    assert rows[Scores.SAMPLE_ID].tolist()[:3] == ["row0", "row1", "row2"]
    assert len(rows) == 20


def test_a_histogram_counts_every_row_that_has_the_score_and_tells_spoiled_rows_or_classes_apart() -> None:
    bins = ablation.spread(scores(), "quality")
    assert bins.groupby("kind")["n"].sum().to_dict() == {"clean": 90, "known bad": 9}
    unknown = scores().assign(**{Scores.CORRUPTED: None})
    assert set(ablation.spread(unknown, "clip")["kind"]) == {"a", "b"}
    many = unknown.assign(**{Scores.LABEL: [str(i) for i in range(100)]})
    assert set(ablation.spread(many, "clip")["kind"]) == {"training rows"}
    same = ablation.spread(unknown.assign(**{"score.clip": 3.0}), "clip")
    assert same["n"].sum() == 100
    assert drawn.histogram(same, title="clip", at=3.0).to_dict()


def test_the_way_to_a_cell_goes_by_the_cells_that_were_measured() -> None:
    way = ablation.steps(table(), table().iloc[3].to_dict())
    assert way["step"].tolist() == ["all rows", "+ quality>=top80%", "+ clip>=top90%"]
    assert way["end"].tolist() == pytest.approx([0.0, 0.1, -0.1])
    assert way["start"].tolist() == pytest.approx([0.0, 0.0, 0.1])
    without = ablation.steps(table().drop(index=2), table().iloc[3].to_dict())
    assert without["step"].tolist() == ["all rows", "+ quality>=top80% & clip>=top90%"]


def test_augmentation_is_the_last_step_and_alternatives_are_one() -> None:
    one = table(**{Ablation.AUGMENT: [False, False, False, True]})
    one.loc[2:, Ablation.FILTER] = "(clip>=0.2 & quality>=1) | unique"
    way = ablation.steps(one, one.iloc[3].to_dict())
    assert way["step"].tolist() == ["all rows", "+ (clip>=0.2 & quality>=1) | unique", "+ augmentation"]


def test_the_forest_has_both_comparisons_of_every_cell_the_best_first() -> None:
    frame = ablation.forest(ablation.named(table()))
    assert frame["number"].tolist() == [2, 1, 3, 2, 1, 3]
    assert frame["sure"].tolist() == ["p < 0.05", "not so", "p < 0.05", "p < 0.05", "not so", "not so"]
    chart = drawn.forest(frame, title="change", selected=1).to_dict()
    assert chart["layer"][1 + 1]["encoding"]["y"]["sort"] == ["★ quality>=top80%", *frame["name"][1:3]]


def test_of_too_many_cells_those_with_the_largest_effects_are_drawn() -> None:
    many = pd.concat([table()] + [table().iloc[[1]]] * 80, ignore_index=True)
    many[Ablation.CELL] = range(len(many))
    many.loc[4:, Ablation.EFFECT] = 0.0001
    frame = ablation.forest(ablation.named(many))
    assert frame["number"].nunique() == ablation.MOST_DRAWN
    assert {1, 2, 3} <= set(frame["number"])


def test_cells_with_the_same_long_name_are_told_apart() -> None:
    long = table(**{Ablation.FILTER: ["none"] + ["clip>=0." + "1" * 200] * 3})
    names = ablation.named(long)["name"]
    assert names.is_unique
    assert names.str.len().max() < 120
    augmented = ablation.named(long.assign(**{Ablation.AUGMENT: True}))["name"]
    assert augmented.iloc[1].endswith(" + augmentation (cell 1)")


def test_the_page_begins_with_a_cell_that_helps_if_the_one_best_on_validation_does_not() -> None:
    val = {Ablation.VAL_F1_MACRO: [0.1, 0.9, 0.5, 0.2]}
    assert ablation.rule_of_thumb(table(**val))[Ablation.CELL] == 2
    unclear = {**val, Ablation.VERDICT: [Verdict.BASELINE, *[Verdict.UNCLEAR] * 3]}
    assert ablation.rule_of_thumb(table(**unclear))[Ablation.CELL] == 1
    baseline = {**unclear, Ablation.VAL_F1_MACRO: [0.9, 0.1, 0.5, 0.2]}
    assert ablation.rule_of_thumb(table(**baseline))[Ablation.CELL] == 2  # the largest effect


def test_the_command_without_its_study_begins_anew() -> None:
    assert ablation.without_study("python -m trainer.ablate --study a --seeds 3") == (
        "python -m trainer.ablate --seeds 3"
    )
    for kept in ("python -m trainer.ablate", "not 'closed"):
        assert ablation.without_study(kept) == kept


def test_words_on_a_field_can_be_read_on_its_colour() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    def between(share: float, end: str) -> str:
        ends = [[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in (NONE, end)]
        mixed = [round(a + (b - a) * share) for a, b in zip(*ends, strict=True)]
        return "#" + "".join(f"{part:02x}" for part in mixed)

    for fraction in np.linspace(-1, 1, 41):
        tile = light(between(abs(fraction), GAIN if fraction > 0 else LOSS))
        words = light(_ink(fraction))
        assert (max(tile, words) + 0.05) / (min(tile, words) + 0.05) >= 4.5


# --- the page ---------------------------------------------------------------------------------


def opened(uri: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    return open_page(PAGE, **query)


def test_a_real_ablation_shows_its_advice_its_figures_and_its_charts(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch)
    said = words(app)
    assert "9 filters against all 32 training rows" in said
    assert "python -m trainer.ablate" in said
    assert {metric.label for metric in app.metric} >= {"Baseline macro-F1", "Filters that help", "Test rows"}
    assert len(charts(app)) >= 5  # thresholds, two spreads, all cells, steps or classes
    assert "known bad" in said


def test_the_sliders_say_how_many_rows_would_stay(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch)
    app.slider(key="keep_first").set_value(50).run()
    app.slider(key="keep_second").set_value(100).run()
    assert not app.exception
    assert "16 of 32 training rows kept" in words(app)


def test_a_link_opens_the_cell_that_it_names(
    ablated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(ablated[0], monkeypatch, cell="2")
    assert [box.value for box in app.selectbox if box.label == "Filter"] == [2]
    for unknown in ("<script>", "99", "²"):
        assert not opened(ablated[0], monkeypatch, cell=unknown).exception


def test_an_ablation_that_is_being_trained_shows_who_would_be_thrown_out(
    ablated: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = trained_ablation.copied(ablated[0], tmp_path / "copy")
    trained_ablation.cut_off(uri, ablated[1])
    app = opened(uri, monkeypatch)
    said = words(app)
    assert "filters trained. Preview below what a filter removes" in said
    assert "training rows kept" in said


def test_without_an_ablation_the_page_gives_the_command(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words(opened(tracking_uri, monkeypatch))
    assert "python -m trainer.ablate" in said


# --- the page, of made-up ablations -----------------------------------------------------------


def test_the_page_shows_all_its_parts(showing: Showing) -> None:
    showing(synthetic_ablation.ablation)
    app = open_page(PAGE)
    said = words(app)
    # two panels of the grid, two histograms, all cells, steps, classes
    assert len(charts(app)) == 7
    assert "2 combinations not run." in said
    assert "4 other filters in the table below." in said
    assert "of removed rows are known bad" in said
    figures = next(frame.value for frame in app.dataframe if "recall" in frame.value)
    assert len(figures) == 26
    assert figures["filter"].iloc[0] == "no filter"
    assert "python -m trainer.ablate --data digits" in said
    assert app.toggle(key="every").label == "Show the other 1 score"
    app.toggle(key="every").set_value(True).run()
    assert len(charts(app)) == 8


def test_sliders_by_value_throw_out_what_lies_below(showing: Showing) -> None:
    showing(synthetic_ablation.ablation)
    app = open_page(PAGE, slide="value of the score")
    value = synthetic_ablation.scores_of(images=False, spoiled=True, classes=4, hostile="")["score.quality"]
    app.selectbox(key="first").set_value("quality").run()
    app.slider(key="from_first").set_value(-1.0).run()
    app.selectbox(key="second").set_value("quality").run()
    app.slider(key="from_second").set_value(float(value.min())).run()
    assert not app.exception
    assert f"{int((~(value < -1.0)).sum())} of 120 training rows kept" in words(app)


def test_throwing_nobody_out_claims_no_precision(showing: Showing) -> None:
    showing(synthetic_ablation.ablation)
    app = open_page(PAGE)
    app.slider(key="keep_first").set_value(100).run()
    assert "120 of 120 training rows kept.**" in words(app)
    assert "nan" not in words(app)


def test_scores_that_no_cell_looks_at_have_no_near_cells(showing: Showing) -> None:
    showing(synthetic_ablation.ablation)
    app = open_page(PAGE)
    near = [frame.value for frame in app.dataframe if "nearest trained filters" in frame.value]
    assert near[0]["nearest trained filters"].iloc[0].startswith("clip>=top")
    app.selectbox(key="first").set_value("agreement").run()
    app.selectbox(key="second").set_value("agreement").run()
    assert not app.exception
    near = [frame.value for frame in app.dataframe if "nearest trained filters" in frame.value]
    assert near[0]["nearest trained filters"].iloc[0] == "agreement>=top80%"


@pytest.mark.parametrize("state", ["live", "interrupted", "failed"])
@pytest.mark.parametrize("scored", [True, False])
def test_an_ablation_without_cells_shows_its_scores_as_soon_as_it_has_them(
    showing: Showing, state: str, scored: bool
) -> None:
    showing(synthetic_ablation.ablation, state=state, scored=scored)
    said = words(open_page(PAGE))
    assert ("2 seeds of 26 filters trained" in said) == scored
    assert ("training rows kept" in said) == scored
    assert ("Encoding and scoring rows" in said) == (state == "live" and not scored)
    assert ("stopped before rows were scored" in said) == (state != "live" and not scored)


def test_without_images_the_rows_thrown_out_are_listed(showing: Showing) -> None:
    showing(synthetic_ablation.ablation, images=False)
    app = open_page(PAGE)
    listed = [frame.value for frame in app.dataframe if "caption" in frame.value]
    assert len(listed) == 2
    assert set(listed[0]) == {"sample", "label", "caption", "clip", "quality"}
    assert "No images were kept" in words(app)


def test_of_several_encoders_one_is_shown(showing: Showing) -> None:
    showing(synthetic_ablation.ablation, encoders=("demo", "other"))
    app = open_page(PAGE)
    baseline = {metric.label: metric.value for metric in app.metric}["Baseline macro-F1"]
    app.selectbox(key="encoder").set_value("other").run()
    assert not app.exception
    other = {metric.label: metric.value for metric in app.metric}["Baseline macro-F1"]
    assert (baseline, other) == ("0.500", "0.400")


def test_of_two_classes_auroc_sensitivity_and_specificity_are_told(showing: Showing) -> None:
    showing(synthetic_ablation.ablation, classes=2, spoiled=False)
    app = open_page(PAGE)
    assert "Baseline: AUROC 0.900 [0.850, 0.950], sensitivity 0.800 [0.750, 0.850]" in words(app)
    assert "spoiled" not in words(app)
    assert any("AUROC [95 %]" in frame.value for frame in app.dataframe)


def test_a_picker_leads_from_one_ablation_to_another(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = synthetic_ablation.ablation(tracking_uri, name="one")
    synthetic_ablation.ablation(tracking_uri, name="two", classes=2)
    app = opened(tracking_uri, monkeypatch)
    picker = next(box for box in app.selectbox if box.label == "Ablation")
    picker.set_value(one).run()
    assert not app.exception
    assert app.query_params["ablation"] in (one, [one])


def test_words_of_strangers_are_shown_and_not_acted_on(showing: Showing) -> None:
    showing(synthetic_ablation.ablation, hostile=HOSTILE)
    app = open_page(PAGE)
    rendered = [*app.markdown, *app.caption, *app.header, *app.subheader]
    rendered_words = "\n".join([*(str(node.value) for node in rendered), *captions(app)])
    for trap in ("![x](", "<img", ":red[", "**b**", "`c`", "$d$"):
        assert trap not in active(rendered_words)
    labels = [getattr(widget, "label", "") for widget in (*app.slider, *app.selectbox)]
    assert not any("![x](" in active(label) for label in labels)
