"""Text on every page is short and in the field's terms."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.ui.pages import PAGES
from tests.support import (
    synthetic_ablation,
    synthetic_comparison,
    synthetic_runs,
    synthetic_verification,
    wording,
)
from tests.support.pages import Showing, open_page
from trainer.tracking.schema import Kind

VIEWS = [one.view for one in PAGES]
STUDIES = ["ablation", "verification", "zeroshot", "fusion", "encoders", "confusion"]
STATES = ["done", "live", "interrupted", "failed"]


def everything(uri: str, state: str) -> None:
    """Write a run of every kind."""
    synthetic_runs.sweep(uri, state=state)
    synthetic_runs.extraction(uri, state=state)
    synthetic_ablation.ablation(uri, state=state)
    if state == "done":
        synthetic_verification.verification(uri)
        for kind in (Kind.ZERO_SHOT, Kind.FUSION, Kind.ENCODERS):
            synthetic_comparison.run(uri, kind)


def two_classes(uri: str) -> None:
    synthetic_runs.sweep(uri, classes=["healthy", "pneumonia"])


def check(app: AppTest) -> None:
    captions, paragraphs = wording.captions(app), wording.paragraphs(app)
    assert not wording.too_long(captions, wording.CAPTION)
    assert not wording.too_long(paragraphs, wording.PARAGRAPH)
    assert not wording.too_long(wording.verdicts(app), wording.VERDICT)
    headings = [node.value for node in (*app.title, *app.header, *app.subheader)]
    assert not wording.banned([*captions, *paragraphs, *headings, *wording.labels(app)])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_says_it_briefly_in_standard_terms(showing: Showing, view: str, state: str) -> None:
    showing(everything, state)
    check(open_page(f"views/{view}.py"))


def test_the_page_of_two_classes_says_it_briefly(showing: Showing) -> None:
    showing(two_classes)
    check(open_page("views/twoclass.py"))


@pytest.mark.parametrize("view", STUDIES)
def test_a_study_opens_with_its_verdict(showing: Showing, view: str) -> None:
    showing(everything, "done")
    app = open_page(f"views/{view}.py")
    assert len(wording.verdicts(app)) >= 1
    first = next(node.value for node in app.markdown if not node.value.startswith(":"))  # after the badge
    assert wording.verdicts(app)[0] == first


def test_one_comparison_has_one_p_value(showing: Showing) -> None:
    showing(everything, "done")
    for view in STUDIES:
        assert not wording.contradicting(open_page(f"views/{view}.py"))
    app = open_page("views/confusion.py")
    app.selectbox(key="against").set_value(app.selectbox(key="against").options[1]).run()
    assert not app.exception
    assert not wording.contradicting(app)


def test_labels_of_controls_tables_and_charts_are_read_too(showing: Showing) -> None:
    showing(everything, "done")
    labels = wording.labels(open_page("views/fusion.py"))
    control, metric_of_chart, column = "Correct only for", "test macro-F1", "p (Holm)"
    legend, option = "not significant", "gated − image only"
    assert {control, metric_of_chart, column, legend, option} <= set(labels)


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_of_an_empty_store_says_it_briefly(uri: str, view: str) -> None:
    check(open_page(f"views/{view}.py"))
