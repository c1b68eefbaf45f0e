"""The pages "Zero-shot" and "Image and text": what they draw, and what they say where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import text
from dashboard.charts import comparison as drawn
from dashboard.charts.encoders import bargain
from dashboard.frames import comparison
from tests.support import synthetic_comparison, wording
from tests.support.pages import Showing, active, charts, open_page, restart, words
from tests.support.synthetic_runs import HOSTILE
from trainer.tracking.schema import Kind, MethodClasses, MethodPairs, Methods

PAGES = {
    Kind.ZERO_SHOT: "views/zeroshot.py",
    Kind.FUSION: "views/fusion.py",
    Kind.ENCODERS: "views/encoders.py",
}
COMMANDS = {
    Kind.ZERO_SHOT: "python -m trainer.zeroshot",
    Kind.FUSION: "python -m trainer.fuse",
    Kind.ENCODERS: "python -m trainer.encoders",
}
KINDS = list(PAGES)


def opened(kind: Kind, **query: str) -> AppTest:
    return open_page(PAGES[kind], **query)


# --- frames and charts ------------------------------------------------------------------------


def test_a_difference_is_called_better_or_worse_only_with_its_interval_and_its_corrected_p() -> None:
    frame = pd.DataFrame(
        {
            "effect": [0.1, -0.1, 0.1, 0.1],
            "effect_low": [0.05, -0.2, -0.01, 0.05],
            "effect_high": [0.2, -0.05, 0.2, 0.2],
            "p": [0.01, 0.04, 0.01, 0.06],
        }
    )
    assert comparison.says(frame, "effect", "p").tolist() == ["better", "worse", *["not significant"] * 2]


def test_a_difference_that_only_mcnemar_finds_is_told_with_the_p_value_that_decides() -> None:
    pairs = synthetic_comparison._tables(synthetic_comparison.OF_FUSION, False, "")["method_pairs.parquet"]
    pairs = pairs.assign(effect_p_holm=0.402, mcnemar_p_holm=0.003)
    read = comparison.pairs_as_read(pairs)
    assert [name for name in read if wording.P_VALUE.search(name)] == ["p (Holm)"]
    assert set(read["p (Holm)"]) == {"0.402"}
    assert set(comparison.forest(pairs)["says"]) == {comparison.NOT_SIGNIFICANT}


def test_rows_that_one_method_alone_has_right_come_with_the_others_wrong_answer() -> None:
    answers = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c"],
            "label": ["x", "x", "y"],
            "one": ["x", "y", "y"],
            "other": ["y", "x", "y"],
        }
    )
    assert comparison.only_right(answers, "one", "other").to_numpy().tolist() == [["a", "x", "y"]]
    assert comparison.only_right(answers, "other", "one").to_numpy().tolist() == [["b", "x", "y"]]


def classes_table(names: list[str], p: list[float], effect: list[float]) -> pd.DataFrame:
    """METHOD_CLASSES of one pair."""
    return pd.DataFrame(
        {
            MethodClasses.METHOD: "a",
            MethodClasses.AGAINST: "b",
            MethodClasses.CLASS: names,
            MethodClasses.TEST: 5,
            MethodClasses.F1: 0.5,
            MethodClasses.F1_AGAINST: 0.5,
            MethodClasses.EFFECT: effect,
            MethodClasses.EFFECT + Methods.LOW: -1.0,
            MethodClasses.EFFECT + Methods.HIGH: 1.0,
            MethodClasses.EFFECT_P_HOLM: p,
        }
    )


def test_classes_that_differ_after_their_fortieth_character_have_a_row_each() -> None:
    names = ["x" * 60 + ending for ending in "abc"]
    found = comparison.classes_of(classes_table(names, [1.0] * 3, [0.0] * 3), "a", "b")
    assert found["name"].nunique() == 3


def test_of_a_thousand_classes_those_least_likely_by_chance_are_drawn_in_their_order() -> None:
    effect = np.random.default_rng(0).uniform(-0.1, 0.1, size=1000)
    p = np.ones(1000)
    p[500:510] = 0.01
    names = [f"class {n}" for n in range(1000)]
    found = comparison.classes_of(classes_table(names, list(p), list(effect)), "a", "b")
    drawn = comparison.drawn_classes(found)
    assert len(drawn) == comparison.MOST_CLASSES
    assert (drawn["p"] < 0.05).sum() == 10
    assert drawn["value"].is_monotonic_decreasing
    others = found.drop(drawn.index)["value"].abs().max()
    assert drawn.loc[drawn["p"] == 1, "value"].abs().min() >= others


def test_charts_are_valid_vega_lite() -> None:
    tables = synthetic_comparison._tables(synthetic_comparison.OF_FUSION, True, HOSTILE)
    forest = comparison.forest(tables["method_pairs.parquet"])
    assert drawn.differences(forest, title="difference").to_dict()
    assert drawn.dots(comparison.dots(tables["methods.parquet"]), title="F1").to_dict()
    curve = comparison.curve(synthetic_comparison._curve())
    chart = drawn.few_shot(curve, zero=(0.5, 0.4, 0.6), zero_name="zero-shot", title="F1").to_dict()
    marks = [layer["mark"]["type"] for layer in chart["layer"]]
    assert marks == ["area", "line", "area", "line", "point"]
    classes = comparison.classes_of(tables["method_classes.parquet"], "gated", "image only")
    assert classes["value"].is_monotonic_decreasing
    assert len(classes) == synthetic_comparison.CLASSES


# --- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_run_the_page_gives_the_command(uri: str, kind: Kind) -> None:
    assert COMMANDS[kind] in words(opened(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["live", "interrupted", "failed"])
def test_a_run_without_answers_says_how_far_it_is(showing: Showing, kind: Kind, state: str) -> None:
    showing(synthetic_comparison.run, kind, state=state)
    said = words(opened(kind))
    assert ("Test results appear at the end" in said) == (state == "live")
    assert ("stopped before the test" in said) == (state != "live")
    if kind == Kind.ZERO_SHOT:
        assert "2 draws of few-shot heads trained" in said
    if state == "failed":
        assert "The disk is full." in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_shows_methods_differences_classes_and_images(showing: Showing, kind: Kind) -> None:
    showing(synthetic_comparison.run, kind)
    app = opened(kind)
    said = words(app)
    verdict, *details = (
        synthetic_comparison.ADVICE[kind]
        .replace(" -", " −")
        .replace("[-", "[−")
        .replace("(-", "(−")
        .splitlines()
    )
    assert wording.verdicts(app)[0] == f"**{text.plain(verdict, longest=400)}**"
    assert all(text.plain(line, longest=400) in said for line in details)
    assert len(charts(app)) == (3 if kind == Kind.FUSION else 4)
    assert "n = 90 test rows, paired row by row" in said
    assert "is ahead in 1, significantly in 1." in said
    assert len(app.get("image")) > 5
    assert f"{COMMANDS[kind]} --data digits" in said


def test_the_few_shot_curve_says_where_heads_overtake_or_that_they_do_not(uri: str) -> None:
    synthetic_comparison.run(uri, Kind.ZERO_SHOT)
    told = next(
        one.value for one in opened(Kind.ZERO_SHOT).dataframe if "overtakes zero-shot at" in one.value
    )
    assert told.iloc[0].tolist() == ["trained head", "2.6", "1.7 to 4.2", "100%"]
    never = synthetic_comparison.run(uri, Kind.ZERO_SHOT, name="never", crosses=False)
    restart()
    app = opened(Kind.ZERO_SHOT, zero_shot=never)
    told = next(one.value for one in app.dataframe if "overtakes zero-shot at" in one.value)
    assert told.iloc[0].tolist() == ["trained head", "not reached", "12.0 to > 30", "20%"]


def test_captions_that_name_their_class_are_a_warning_until_the_names_are_hidden(uri: str) -> None:
    synthetic_comparison.run(uri, Kind.FUSION)
    app = opened(Kind.FUSION)
    assert "55% in test" in app.warning[0].value
    assert "9 of 90 test rows" in words(app)
    hidden = synthetic_comparison.run(uri, Kind.FUSION, name="hidden", hidden=True)
    restart()
    app = opened(Kind.FUSION, fusion=hidden)
    assert not app.warning
    assert "Class names were removed from the captions" in app.info[0].value


def test_another_comparison_and_the_other_side_show_other_rows(showing: Showing) -> None:
    showing(synthetic_comparison.run, Kind.FUSION)
    app = opened(Kind.FUSION)
    assert "(gained by the first method)" in words(app)
    app.segmented_control(key="only").set_value("image only").run()
    assert not app.exception
    assert "correct for image only, wrong for text only" in words(app)
    assert "(lost by the first method)" in words(app)
    app.selectbox(key="pair").set_value("gated − image only").run()
    assert not app.exception


def test_encoders_stand_over_their_speed_and_the_one_to_take_is_marked(showing: Showing) -> None:
    showing(synthetic_comparison.run, Kind.ENCODERS)
    app = opened(Kind.ENCODERS)
    costs = next(one.value for one in app.dataframe if "images/s" in one.value)
    assert costs["images/s"].tolist() == [20, 200, 2000]
    assert costs["peak memory"].tolist() == ["256 MiB"] * 3
    frame = comparison.dots(
        synthetic_comparison._tables(synthetic_comparison.OF_ENCODERS, False, "")["methods.parquet"]
    )
    frame = frame.assign(images_per_s=1.0, says="recommended", parameters=1, dimension=2, memory="1 MiB")
    assert bargain(frame, title="F1", device="cpu").to_dict()


def test_without_images_the_rows_are_listed(showing: Showing) -> None:
    showing(synthetic_comparison.run, Kind.FUSION, images=False)
    assert "No images were kept" in words(opened(Kind.FUSION))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picker_leads_from_one_run_to_another(uri: str, kind: Kind) -> None:
    one = synthetic_comparison.run(uri, kind, name="one")
    synthetic_comparison.run(uri, kind, name="two")
    app = opened(kind)
    picker = next(box for box in app.selectbox if box.label in ("Comparison", "Fusion"))
    picker.set_value(one).run()
    assert not app.exception
    assert one in str(app.query_params)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_strangers_are_shown_and_not_acted_on(showing: Showing, kind: Kind) -> None:
    showing(synthetic_comparison.run, kind, hostile=HOSTILE)
    app = opened(kind)
    rendered = "\n".join(str(node.value) for node in [*app.markdown, *app.caption, *app.header, *app.info])
    for trap in ("![x](", "<img", ":red[", "**b**", "`c`", "$d$"):
        assert trap not in active(rendered)


def test_a_pair_that_is_certain_is_coloured_by_its_sign() -> None:
    pairs = synthetic_comparison._tables(synthetic_comparison.OF_FUSION, False, "")["method_pairs.parquet"]
    assert comparison.forest(pairs)["says"].tolist() == ["worse", "better"]
    assert np.isfinite(pairs[MethodPairs.EFFECT]).all()
