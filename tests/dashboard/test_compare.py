"""The page "Compare": which runs it offers, what it says of them, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from dashboard import text
from dashboard.frames import comparison
from tests.support import synthetic_comparison, synthetic_runs
from tests.support.pages import Showing, active, charts, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.core.locations import default_tracking_uri
from trainer.tracking.compared_runs import answers_of, compared
from trainer.tracking.schema import Artifact, Kind, Methods

PAGE = "views/compare.py"


def two(uri: str, **of_second: object) -> tuple[str, str]:
    """Ids of two finished sweeps on the same rows."""
    first = synthetic_runs.sweep(uri, study="first")
    return first, synthetic_runs.sweep(uri, study="second", **of_second)  # type: ignore[arg-type]


def table(uri: str, run_id: str, artifact: str) -> pd.DataFrame:
    return pd.read_parquet(MlflowClient(uri).download_artifacts(run_id, artifact))


def opened(*runs: str, **query: str) -> AppTest:
    return open_page(PAGE, runs=",".join(runs), **query)


def test_two_runs_are_compared_as_the_command_does(showing: Showing) -> None:
    first, second = showing(two)
    app = opened(first, second)
    runs = [
        answers_of(name, table(default_tracking_uri(), run_id, Artifact.PREDICTIONS), "best")
        for name, run_id in (("first", first), ("second", second))
    ]
    found = compared(runs)
    said = words(app)
    assert "second vs first: macro-F1" in said
    for row in found.scores.to_dict("records"):
        assert text.figure(row, Methods.F1_MACRO) in app.dataframe[0].value.to_string()
    assert "Where they disagree" in said
    assert len(charts(app)) == 5  # runs, differences, classes, best so far, scores of trials


def test_the_address_says_which_runs_and_which_base(showing: Showing) -> None:
    first, second = showing(two)
    app = opened(first, second, base=second)
    assert "first vs second: macro-F1" in words(app)
    app.selectbox("base-compared").set_value(first).run()
    assert app.query_params["base"] == first
    assert "second vs first: macro-F1" in words(app)
    app.multiselect("runs-compared").set_value([second]).run()
    assert app.query_params["runs"] == second
    assert "Choose two runs or more." in words(app)


def test_without_an_address_the_newest_two_on_the_same_rows_are_shown(showing: Showing) -> None:
    first, second = showing(two)
    app = open_page(PAGE)
    assert app.query_params["runs"] == f"{first},{second}"


@pytest.mark.parametrize("runs", ["gone", "gone,also-gone", ","])
def test_an_address_of_runs_that_are_not_here_is_survived(showing: Showing, runs: str) -> None:
    showing(two)
    assert "Choose two runs or more." in words(open_page(PAGE, runs=runs))


def test_a_fusion_is_compared_by_the_method_chosen_on_validation_rows(showing: Showing) -> None:
    def mixed(uri: str) -> list[str]:
        return [synthetic_comparison.run(uri, kind) for kind in (Kind.FUSION, Kind.ENCODERS)]

    said = words(opened(*showing(mixed)))
    assert "macro-F1" in said
    assert " vs " in said


def test_what_cannot_be_compared_is_said_with_the_settings(showing: Showing) -> None:
    def unlike(uri: str) -> tuple[str, str]:
        return synthetic_runs.sweep(uri), synthetic_runs.sweep(uri, classes=["x", "y"])

    said = words(opened(*showing(unlike)))
    assert "has the label" in said
    assert "Settings that differ" in said


def test_one_run_alone_shows_the_command(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    assert "python -m trainer.compare RUN RUN" in words(open_page(PAGE))


def test_hostile_names_act_on_nothing(showing: Showing) -> None:
    def hostile(uri: str) -> tuple[str, str]:
        names = [HOSTILE, "<script>", ":red[c]"]
        return tuple(  # type: ignore[return-value]
            synthetic_runs.sweep(uri, study=f"{HOSTILE}{i}", name=HOSTILE, classes=names) for i in range(2)
        )

    app = opened(*showing(hostile))
    assert "<script>" not in active(words(app))
    assert "](javascript" not in active(words(app))


def test_the_distribution_of_trial_scores_reaches_one() -> None:
    frame = pd.DataFrame({"done": [1, 2, 3], "best": [0.2, 0.5, 0.5], "score": [0.2, 0.5, 0.5]})
    assert comparison.searches({"a": frame})["share"].tolist() == pytest.approx([1 / 3, 1, 1])


def test_long_names_that_begin_alike_stay_two_runs(showing: Showing) -> None:
    def alike(uri: str) -> list[str]:
        return [synthetic_runs.sweep(uri, study=f"{'a' * 60}{i}") for i in range(2)]

    assert opened(*showing(alike)).dataframe[0].value["run"].nunique() == 2
