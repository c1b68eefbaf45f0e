"""The page "Two classes" and its frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from streamlit.testing.v1 import AppTest

from dashboard.charts import binary as drawn
from dashboard.frames import binary
from tests.support import synthetic_runs
from tests.support.pages import Showing, active, captions, charts, open_page, words
from trainer.stats import binary as binary_stats
from trainer.tracking.schema import Predictions, Summary

PAGE = "views/twoclass.py"
CLASSES = ["normal", "pneumonia"]


def predictions(number: int = 120, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = (random.random(number) < 0.4).astype(int)
    label[:2] = [0, 1]
    score = np.round(1 / (1 + np.exp(-(2 * label - 1 + random.normal(size=number)))), 2)
    return pd.DataFrame(
        {
            Predictions.HEAD: binary.BEST,
            Predictions.SAMPLE_ID: [f"row-{i}" for i in range(number)],
            Predictions.SPLIT: "test",
            Predictions.LABEL: np.array(CLASSES)[label],
            Predictions.PROBS: list(np.stack([1 - score, score], axis=1).astype(np.float32)),
        }
    )


def judged(temperature: float | None = None, **made: int) -> pd.DataFrame:
    return binary.judged(predictions(**made), "test", CLASSES[1], temperature)


# --- frames -----------------------------------------------------------------------------------


@given(seed=some.integers(0, 1000), number=some.integers(2, 80))
def test_curves_are_scikit_learns(seed: int, number: int) -> None:
    rows = judged(seed=seed, number=number)
    found = binary.curves(rows)
    far, tar, _ = roc_curve(rows["positive"], rows["scaled"], drop_intermediate=False)
    np.testing.assert_allclose(found["false_alarms"], far)
    np.testing.assert_allclose(found["sensitivity"], tar)
    precision, recall, _ = precision_recall_curve(rows["positive"], rows["scaled"])
    best = {r: p for p, r in zip(precision, recall, strict=True)}
    assert set(np.round(found["sensitivity"], 9)) <= set(np.round(list(best), 9)) | {0.0}
    steps = np.diff(found["sensitivity"]) * found["precision"].to_numpy()[1:]
    assert steps.sum() == pytest.approx(average_precision_score(rows["positive"], rows["scaled"]))


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"scaled": random.random(5000), "positive": random.random(5000) < 0.5})
    found = binary.curves(rows)
    assert len(found) == binary.MOST_POINTS
    assert found.iloc[0][["sensitivity", "false_alarms"]].tolist() == [0, 0]
    assert found.iloc[-1][["sensitivity", "false_alarms"]].tolist() == [1, 1]
    area = np.trapezoid(found["sensitivity"], found["false_alarms"])
    assert area == pytest.approx(roc_auc_score(rows["positive"], rows["scaled"]), abs=0.01)


def test_a_temperature_keeps_the_order_and_can_be_undone() -> None:
    one, other = judged(), judged(temperature=3.0)
    assert (one["scaled"].rank() == other["scaled"].rank()).all()
    np.testing.assert_allclose(one["said"], one["scaled"])
    after = binary.scaled(0.9, 3.0)
    assert 0.5 < after < 0.9
    assert binary.scaled(after, 3.0, back=True) == pytest.approx(0.9)
    assert [binary.scaled(end, 3.0) for end in (0.0, 1.0)] == [0.0, 1.0]


def test_a_calibrated_head_is_shown_as_it_says_and_as_it_said_before() -> None:
    frame = predictions()
    after = np.stack(frame[Predictions.PROBS])[:, 1].astype(float)
    frame[Predictions.PRED] = np.where(after > 0.5, CLASSES[1], CLASSES[0])
    frame[Predictions.CONFIDENCE_UNCALIBRATED] = np.float32(0.75)
    summary = {Summary.TEST_AUROC: 0.9, Summary.TEMPERATURE: 3.0}
    assert binary.temperature_to_apply(frame, summary) is None
    rows = binary.judged(frame, "test", CLASSES[1], None)
    np.testing.assert_allclose(rows["scaled"], after, atol=1e-6)
    np.testing.assert_allclose(rows["said"], np.where(after > 0.5, 0.75, 0.25))
    older = frame.drop(columns=Predictions.CONFIDENCE_UNCALIBRATED)
    assert binary.temperature_to_apply(older, summary) == 3.0
    assert binary.temperature_to_apply(older, {Summary.TEMPERATURE: 3.0}) is None


@given(seed=some.integers(0, 1000), at=some.floats(0, 1))
def test_a_threshold_sorts_every_row_once_and_its_errors_are_the_nearest_first(seed: int, at: float) -> None:
    rows = judged(seed=seed)
    rates = binary.rates(rows, at).set_index("figure")
    wrongly = rates["of"] - rates["right"]
    assert rates.loc[["sensitivity", "specificity"], "of"].sum() == len(rows)
    assert rates.loc[["PPV", "NPV"], "of"].sum() == len(rows)
    for missed, number in ((True, wrongly["sensitivity"]), (False, wrongly["specificity"])):
        wrong = binary.nearest_errors(rows, at, missed=missed)
        assert len(wrong) == number
        assert ((wrong["scaled"] - at).abs().diff().dropna() >= -1e-12).all()
    told = rates.dropna()
    assert ((told["low"] <= told["value"] + 1e-9) & (told["value"] <= told["high"] + 1e-9)).all()
    assert rates.loc["sensitivity", "of"] == rows["positive"].sum()


def test_the_error_of_the_bins_is_the_trainers() -> None:
    rows = judged(temperature=2.0, number=400)
    bins = binary.reliability(rows, with_scaled=True)
    found = binary.calibration_error(rows, with_scaled=True)
    odds = np.log(rows["said"]) - np.log1p(-rows["said"])
    index = binary_stats.equal_mass_bins(odds.to_numpy())
    for version, column in ((binary.SAID, "said"), (binary.SCALED, "scaled")):
        whole = np.ones((1, len(rows)))
        expected = binary_stats.calibration_error(
            rows["positive"].to_numpy(), rows[column].to_numpy(), index, whole
        )
        assert found[version] == pytest.approx(expected[0])
    assert bins.groupby("version")["n"].sum().tolist() == [400, 400]
    assert set(binary.reliability(rows, with_scaled=False)["version"]) == {binary.SAID}


def test_charts_are_valid() -> None:
    rows = judged(temperature=2.0)
    points = binary.points(rows, {binary.CHOSEN: 1.0, binary.AGREED: 0.5})
    assert points["precision"].isna().tolist() == [True, False]  # nobody is called positive
    curves = binary.curves(rows)
    assert drawn.roc(curves, points).to_dict()
    assert drawn.precision_recall(curves, points, prevalence=0.4).to_dict()
    assert drawn.spread(binary.spread(rows, ("a", "b")), at=0.3).to_dict()
    assert drawn.reliability(binary.reliability(rows, with_scaled=True)).to_dict()


# --- the page ---------------------------------------------------------------------------------


def opened(uri: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    return open_page(PAGE, **query)


def test_the_page_shows_all_its_parts(showing: Showing) -> None:
    showing(synthetic_runs.sweep, classes=CLASSES)
    app = open_page(PAGE)
    said = words(app)
    assert {metric.label for metric in app.metric} >= {"AUROC", "AUPRC", "Sensitivity", "Specificity"}
    assert len(charts(app)) == 4  # probabilities, ROC, precision-recall, reliability
    assert "Not a medical device" in said
    assert "Positive class: pneumonia." in said
    assert "No group (patient) is in two splits" in said
    tables = {column: frame.value for frame in app.dataframe for column in frame.value}
    assert tables["figure"]["figure"].tolist() == ["sensitivity", "specificity", "PPV", "NPV"]
    assert tables["test rows"]["test rows"].tolist() == ["ECE", "log-loss", "Brier score"]
    assert tables["groups"]["split"].tolist() == ["train", "val", "test"]


def test_the_slider_begins_at_the_threshold_of_the_summary(showing: Showing) -> None:
    showing(synthetic_runs.sweep, classes=CLASSES)
    app = open_page(PAGE)
    told = {metric.label: metric.value for metric in app.metric}
    rates = next(frame.value for frame in app.dataframe if "value [95 %]" in frame.value)
    begins = [value.split(" ")[0] for value in rates["value [95 %]"][:2]]
    assert begins == [told["Sensitivity"], told["Specificity"]]
    app.slider(key="at").set_value(0.0).run()
    assert not app.exception
    rates = next(frame.value for frame in app.dataframe if "value [95 %]" in frame.value)
    assert rates["value [95 %]"][0].startswith("1.000")
    assert rates["value [95 %]"][1].startswith("0.000")
    assert "None at this threshold." in words(app)  # nobody is missed
    app.slider(key="at").set_value(1.0).run()
    assert not app.exception


def test_validation_rows_are_said_to_have_fitted_the_temperature(showing: Showing) -> None:
    showing(synthetic_runs.sweep, classes=CLASSES)
    app = open_page(PAGE, rows="val", at="0.3")
    assert "fitted on these rows" in words(app)
    assert app.slider(key="at").value == 0.3


@pytest.mark.parametrize("classes", [None, ["a", "b", "c"]])
def test_other_numbers_of_classes_are_kindly_turned_away(showing: Showing, classes: list[str] | None) -> None:
    showing(synthetic_runs.sweep, classes=classes)
    app = open_page(PAGE)
    assert f"This sweep has {len(classes or range(10))} classes" in words(app)
    assert not charts(app)


def test_a_sweep_of_before_has_its_curves_without_a_temperature(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_runs, "_two_classes", lambda *of: {})
    synthetic_runs.sweep(uri, classes=CLASSES)
    app = open_page(PAGE)
    assert "No two-class figures were recorded" in words(app)
    assert len(charts(app)) == 4
    assert app.slider(key="at").value == 0.5
    assert "No groups: if several images show one patient" in words(app)


def test_a_threshold_that_test_rows_do_not_keep_is_warned_of(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = synthetic_runs._two_classes
    bad = {Summary.TEST_SPECIFICITY: 0.5, Summary.SPECIFICITY_CHANGE: [-0.4, -0.5, -0.3]}
    shared = {Summary.GROUPS: {"train": 5, "val": 2, "test": 2, "in_two_splits": 1}}
    monkeypatch.setattr(synthetic_runs, "_two_classes", lambda *of: kept(*of) | bad | shared)
    synthetic_runs.sweep(uri, classes=CLASSES)
    said = words(open_page(PAGE))
    assert "The validation threshold does not transfer" in said
    assert "1 group in more than one split" in said


@pytest.mark.parametrize("state", ["live", "interrupted", "failed"])
def test_before_a_sweep_is_done_nothing_is_drawn(showing: Showing, state: str) -> None:
    showing(synthetic_runs.sweep, classes=CLASSES, state=state)
    app = open_page(PAGE)
    assert not charts(app)
    assert ("This run failed" if state == "failed" else "predictions") in words(app)


def test_names_that_are_ours_too_are_counted_apart(showing: Showing) -> None:
    showing(synthetic_runs.sweep, classes=["groups", "split"])
    app = open_page(PAGE)
    counts = next(frame.value for frame in app.dataframe if "groups" in frame.value)
    assert counts.columns.tolist() == ["split", "rows of groups", "rows of split", "share of split", "groups"]


def test_words_of_strangers_are_shown_and_not_acted_on(showing: Showing) -> None:
    showing(
        synthetic_runs.sweep,
        classes=["<script>alert(1)</script>", synthetic_runs.HOSTILE],
        name=synthetic_runs.HOSTILE,
    )
    app = open_page(PAGE)
    assert len(charts(app)) == 4
    nodes = [*app.markdown, *app.caption, *app.header, *app.subheader, *app.warning]
    rendered = "\n".join([*(str(node.value) for node in nodes), *captions(app), app.slider(key="at").label])
    for trap in ("![x](", "<img", "<script", ":red[", "**b**", "`c`", "$d$"):
        assert trap not in active(rendered)
