"""Text on every page is short and in the field's terms."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.ui.pages import PAGES
from tests.support import (
    synthetic_ablation,
    synthetic_answers,
    synthetic_comparison,
    synthetic_runs,
    synthetic_verification,
    wording,
)
from tests.support.pages import Showing, open_page
from trainer.tracking.schema import Kind

VIEWS = [one.view for one in PAGES]
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
    synthetic_answers.sweep(uri)


def check(app: AppTest) -> None:
    captions, paragraphs = wording.captions(app), wording.paragraphs(app)
    assert not wording.too_long(captions, wording.CAPTION)
    assert not wording.too_long(paragraphs, wording.PARAGRAPH)
    assert not wording.too_long(wording.verdicts(app), wording.VERDICT)
    assert not wording.banned([*captions, *paragraphs, *(node.value for node in app.subheader)])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_says_it_briefly_in_standard_terms(showing: Showing, view: str, state: str) -> None:
    showing(everything, state)
    check(open_page(f"views/{view}.py"))


def test_the_page_of_two_classes_says_it_briefly(showing: Showing) -> None:
    showing(two_classes)
    check(open_page("views/twoclass.py"))


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_of_an_empty_store_says_it_briefly(uri: str, view: str) -> None:
    check(open_page(f"views/{view}.py"))
