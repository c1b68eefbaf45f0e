"""The page "Verification" and its frames, of made-up verifications in every state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts import verification as drawn
from dashboard.frames import verification
from tests.support import synthetic_verification
from tests.support.pages import Showing, active, captions, charts, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.tracking.schema import FacePairs, PairMethod, RocCurves

PAGE = "views/verification.py"


def pairs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            FacePairs.SAMPLE_ID_A: ["a1", "a1", "a1", "b1", "a2"],
            FacePairs.SAMPLE_ID_B: ["a2", "a3", "b1", "c1", "b1"],
            FacePairs.PERSON_A: ["a", "a", "a", "b", "a"],
            FacePairs.PERSON_B: ["a", "a", "b", "c", "b"],
            FacePairs.SAME: [True, True, False, False, False],
            "score.raw": [0.9, 0.2, 0.7, 0.1, 0.6],
        }
    )


# --- frames -----------------------------------------------------------------------------------


def test_a_threshold_sorts_pairs_into_four_kinds_the_gravest_errors_first() -> None:
    at = verification.judged(pairs(), PairMethod.RAW, 0.5)
    assert at["kind"].tolist() == [
        verification.TRUE_ACCEPTS,
        verification.FALSE_REJECTS,
        verification.FALSE_ACCEPTS,
        verification.TRUE_REJECTS,
        verification.FALSE_ACCEPTS,
    ]
    assert verification.of_kind(at, verification.FALSE_ACCEPTS)["score"].tolist() == [0.7, 0.6]
    rates = verification.rates(at)
    assert rates["far"] == pytest.approx(2 / 3)
    assert rates["frr"] == pytest.approx(1 / 2)
    assert rates["accuracy"] == pytest.approx(1 - (2 / 3 + 1 / 2) / 2)
    assert verification.judged(pairs(), PairMethod.RAW, 0.9)["kind"].iloc[0] == verification.TRUE_ACCEPTS


def test_the_hardest_pairs_are_one_of_each_two_people() -> None:
    assert verification.hardest(pairs(), PairMethod.RAW, same=False, number=9)["score"].tolist() == [0.7, 0.1]
    assert verification.hardest(pairs(), PairMethod.RAW, same=True, number=9)["score"].tolist() == [0.2]


def test_a_histogram_counts_every_pair_once() -> None:
    bins = verification.spread(pairs(), PairMethod.RAW)
    assert bins.groupby("kind")["n"].sum().to_dict() == {
        "same person (n = 2)": 2,
        "different people (n = 3)": 3,
    }
    assert drawn.spread(bins, at=0.5).to_dict()
    same = verification.spread(pairs().assign(**{"score.raw": 0.5}), PairMethod.RAW)
    assert same["n"].sum() == 5


def test_det_axes_are_normal_deviates_and_leave_out_what_has_none() -> None:
    found = verification.deviates(pd.Series([0.0, 0.5, 0.158655, 1.0, np.nan]))
    assert found.isna().tolist() == [True, False, False, True, True]
    assert found[1] == 0
    assert found[2] == pytest.approx(-1, abs=1e-4)
    far = np.array([0.0, 0.01, 0.1, 1.0])
    columns = {
        RocCurves.FAR: far,
        RocCurves.TAR: far**0.5,
        RocCurves.TAR_LOW: far,
        RocCurves.TAR_HIGH: 1.0,
        RocCurves.THRESHOLD: 0.5,
    }
    frame = verification.curves(pd.DataFrame({RocCurves.METHOD: "raw", **columns}))
    assert drawn.det(frame).to_dict()
    assert drawn.roc(frame, least=0.01).to_dict()


def test_people_stand_in_natural_order() -> None:
    assert verification.in_order(pd.Series(["s10", "s2", "s1", "s2"])) == ["s1", "s2", "s10"]


# --- the page ---------------------------------------------------------------------------------


def opened(uri: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    return open_page(PAGE, **query)


def test_the_page_shows_all_its_parts(showing: Showing) -> None:
    showing(synthetic_verification.verification)
    app = open_page(PAGE)
    said = words(app)
    assert {metric.label for metric in app.metric} >= {"Equal error rate", "AUC", "Accuracy", "Pairs"}
    assert len(charts(app)) == 5  # ROC, DET, scores, places, map
    assert "TAR at FAR 0.01 needs 1,000 different pairs (200 here)" in said
    assert "paired" in said
    assert " false accepts, farthest beyond the threshold first" in said
    assert "80 photos of 10 people" in said
    assert "python -m trainer.verify --study digits" in said
    figures = next(frame.value for frame in app.dataframe if "AUC vs raw" in frame.value)
    assert figures["method"].tolist() == ["trained head", "LDA", "PCA whitening", "raw cosine"]


def test_the_slider_moves_the_rates_and_the_pairs(showing: Showing) -> None:
    showing(synthetic_verification.verification)
    app = open_page(PAGE, method="raw cosine", kind="false rejects")
    slider = app.slider(key="at_raw")
    slider.set_value(slider.max).run()
    assert not app.exception
    assert "FAR 0.0%" in words(app)
    assert " false rejects, farthest beyond the threshold first" in words(app)
    app.slider(key="at_raw").set_value(slider.min).run()
    assert "FAR 100.0%, FRR 0.0%" in words(app)
    assert "No false rejects at this threshold" in words(app)


def test_the_map_can_be_of_the_head_and_of_who_is_misnamed(showing: Showing) -> None:
    showing(synthetic_verification.verification)
    app = open_page(PAGE, space="trained head", colour="correctness")
    assert "not trained on 16 of these photos" in words(app)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"state": "live"}, "2 of 5 splits scored"),
        ({"state": "live", "scored": False}, "Learning embeddings"),
        ({"state": "interrupted"}, "stopped before it had figures"),
        ({"state": "failed", "scored": False}, "This run failed"),
        ({"trained": False, "known": False}, "Too few people are left outside"),
        ({"images": False}, "Hardest pairs"),
    ],
)
def test_every_state_is_told(showing: Showing, how: dict, told: str) -> None:
    showing(synthetic_verification.verification, **how)
    assert told in words(open_page(PAGE))


def test_without_a_verification_the_page_gives_the_command(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "python -m trainer.verify" in words(opened(tracking_uri, monkeypatch))


def test_a_picker_leads_from_one_verification_to_another(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = synthetic_verification.verification(tracking_uri, name="one", known=False)
    synthetic_verification.verification(tracking_uri, name="two", known=False)
    app = opened(tracking_uri, monkeypatch)
    next(box for box in app.selectbox if box.label == "Verification run").set_value(one).run()
    assert not app.exception
    assert app.query_params["verification"] in (one, [one])


def test_words_of_strangers_are_shown_and_not_acted_on(showing: Showing) -> None:
    showing(synthetic_verification.verification, hostile=HOSTILE)
    app = open_page(PAGE)
    rendered = [*app.markdown, *app.caption, *app.header, *app.subheader]
    rendered_words = "\n".join([*(str(node.value) for node in rendered), *captions(app)])
    for trap in ("![x](", "<img", ":red[", "**b**", "`c`", "$d$"):
        assert trap not in active(rendered_words)
