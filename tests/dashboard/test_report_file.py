"""A report: what it says of each kind of run, and that nothing in it runs or is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest

from dashboard.reports import document
from dashboard.reports.report import report, reported
from dashboard.runs.store import Store
from tests.support import (
    synthetic_ablation,
    synthetic_answers,
    synthetic_comparison,
    synthetic_labels,
    synthetic_runs,
    synthetic_verification,
    trained_numbers,
)
from tests.support.pages import Showing, open_page
from tests.support.synthetic_runs import HOSTILE
from tests.support.trained_target import Swept
from trainer.core.errors import InputError
from trainer.tracking.schema import Kind

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECTION = re.compile(r"<h2>(.*?)</h2>")
CHART = '<script type="application/json" class="chart">'


def page_of(uri: str, *named: str) -> str:
    store = Store(uri)
    return report(store, reported(store, named, experiment="headroom"), now=NOW)


def sections(page: str) -> list[str]:
    """The headings, without what looks like one in the libraries."""
    return SECTION.findall(page.partition('id="look"')[0])


def ran(page: str) -> list[str]:
    """What a browser would run: scripts without a type of data."""
    return re.findall(r"<script>", page)


def test_a_sweep_is_reported_verdict_first_with_scores_mistakes_images_search_and_command(
    tracking_uri: str,
) -> None:
    run_id = synthetic_runs.sweep(tracking_uri, classes=["ant", "bee", "cat"])
    page = page_of(tracking_uri, run_id)
    assert sections(page) == [
        *("Confusion matrix", "Classes", "Worst confusions", "Most confident mistakes", "Calibration"),
        *("Search", "Loss of the best trial with epochs", "Best configurations", "Command"),
    ]
    assert page.index('class="verdict"') < page.index('class="tiles"') < page.index("<h2>")
    assert "Test macro-F1" in page
    assert page.count("data:image/webp;base64,") > 4
    assert page.count(CHART) == 5
    assert "python -m trainer.sweep" in page
    assert "--study" not in page.partition("<h2>Command")[2].partition("<h2>")[0]
    assert run_id in page
    assert "by Headroom" in page


@pytest.mark.parametrize("kind", [Kind.FUSION, Kind.ZERO_SHOT, Kind.ENCODERS])
def test_methods_are_reported_with_their_differences(tracking_uri: str, kind: Kind) -> None:
    page = page_of(tracking_uri, synthetic_comparison.run(tracking_uri, kind))
    assert sections(page)[:2] == ["Methods", "Differences"]
    assert page.count(CHART) == 2
    assert "p (Holm)" in page


@pytest.mark.parametrize(
    ("write", "first", "charts"),
    [
        (synthetic_ablation.ablation, ["Filters", "Step by step"], 2),
        (synthetic_verification.verification, ["Methods", "Curves"], 2),
        (synthetic_labels.sweep, ["Labels", "Pairs of labels", "Worst images"], 3),
    ],
)
def test_every_kind_of_study_is_reported_with_its_charts_and_figures(
    tracking_uri: str, write: Callable[[str], str], first: list[str], charts: int
) -> None:
    page = page_of(tracking_uri, write(tracking_uri))
    assert 'class="verdict"' in page
    assert "No result is on record" not in page
    assert sections(page)[: len(first)] == first
    own = page.partition(f"<h2>{first[0]}")[2].partition("<h2>Search")[0].partition("<h2>Command")[0]
    assert own.count(CHART) == charts
    assert own.count("<table>") >= 1
    assert "[95 %]" in own or "95 % intervals" in own


def test_predicted_numbers_are_reported_against_the_true_ones_with_the_largest_errors(
    showing: Showing,
) -> None:
    swept: Swept = showing(trained_numbers.sweep)
    page = page_of(swept.config.tracking_uri, swept.figures["mlflow_run_id"])
    assert sections(page)[:2] == ["Predicted against true", "Largest errors"]
    own = page.partition("<h2>Predicted against true")[2].partition("<h2>Search")[0]
    assert own.count(CHART) == 2
    assert own.count("data:image/webp;base64,") > 4
    assert " → " in own


def test_several_runs_are_compared_with_the_first_before_each_is_reported(tracking_uri: str) -> None:
    runs = [synthetic_answers.sweep(tracking_uri, classes=3, groups=groups) for groups in (False, False)]
    page = page_of(tracking_uri, *runs)
    first = page.index("<hr>")
    assert page.index("<h2>Differences") < first
    assert page.count("<hr>") == 2


def test_runs_that_cannot_be_compared_are_reported_with_the_reason(tracking_uri: str) -> None:
    runs = [synthetic_runs.sweep(tracking_uri), synthetic_ablation.ablation(tracking_uri)]
    page = page_of(tracking_uri, *runs)
    assert page.count("<hr>") == 2
    assert "has not answered the test rows" in page or "has no head" in page


@pytest.mark.parametrize("state", ["live", "interrupted"])
def test_a_run_that_has_not_ended_is_reported_as_far_as_it_is(tracking_uri: str, state: str) -> None:
    page = page_of(tracking_uri, synthetic_runs.sweep(tracking_uri, state=state))
    assert 'class="verdict"' in page
    assert "Command" in sections(page)


def test_hostile_names_are_text_and_the_only_scripts_are_our_own(tracking_uri: str) -> None:
    classes = [HOSTILE, "</script><script>alert(1)</script>", "<!--", ":red[c]"]
    hostile = [
        synthetic_runs.sweep(tracking_uri, name=HOSTILE, study=HOSTILE, classes=classes),
        synthetic_comparison.run(tracking_uri, Kind.FUSION, hostile=HOSTILE),
    ]
    for run_id in hostile:
        page = page_of(tracking_uri, run_id)
        assert len(ran(page)) == 2
        assert "<script>alert" not in page
        body = page.partition("<body>")[2].partition("<script>")[0]
        assert not re.search(r"<img(?! alt=\"\" src=\"data:image/webp;base64,)", body)
        assert "<!--" not in body


@pytest.mark.parametrize("words", ["<b>", '"', "'", "&amp;", "</script>", "\u2028", ""])
def test_text_of_any_kind_is_read_back_as_it_was(words: str) -> None:
    import html

    assert html.unescape(re.sub("<.*?>", "", document.paragraph(words))) == words
    frame = pd.DataFrame({words: [words], "n": [1], "x": [float("nan")]})
    assert "–" in document.table(frame)
    assert words not in ("<b>", "</script>") or words not in document.table(frame)


def test_a_report_without_charts_allows_no_script() -> None:
    page = document.document("<x>", [document.paragraph("y")])
    assert "script-src 'none'" in page
    assert ran(page) == []


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ((), "0 runs are named"),
        (("a" * 32,), "There is no run and no study"),
        (("no such study",), "'no such study'"),
        (("digits", "digits"), "One run is named twice"),
        (("digits",) * 7, "7 runs are named"),
        (("an extraction",), "There is no run and no study"),
    ],
)
def test_what_cannot_be_reported_is_named(tracking_uri: str, named: tuple[str, ...], said: str) -> None:
    synthetic_runs.sweep(tracking_uri)
    synthetic_runs.extraction(tracking_uri)
    with pytest.raises(InputError, match=said):
        page_of(tracking_uri, *named)


def test_of_studies_with_one_name_the_newest_is_reported(tracking_uri: str) -> None:
    old = synthetic_runs.sweep(tracking_uri, started=1_000_000_000.0)
    new = synthetic_runs.sweep(tracking_uri, started=1_700_000_000.0)
    page = page_of(tracking_uri, "digits")
    assert new in page
    assert old not in page


def test_home_offers_the_report_of_a_run_that_has_ended(uri: str) -> None:
    synthetic_runs.sweep(uri)
    app = open_page("views/home.py")
    assert [button.label for button in app.get("download_button") if button.label == "Report"] == ["Report"]
