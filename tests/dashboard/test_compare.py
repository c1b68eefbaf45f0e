"""The page "Compare": which runs it offers, what it says of them, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from dashboard import text
from dashboard.frames import comparison
from tests.support import synthetic_answers, synthetic_comparison, synthetic_runs
from tests.support.pages import Showing, active, charts, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.core.locations import default_tracking_uri
from trainer.stats.objective import F1
from trainer.tracking.compared_runs import answers_of, compared
from trainer.tracking.schema import PARAM_PREFIX, Artifact, Curves, Kind, Methods, Trials

PAGE = "views/compare.py"


def two(uri: str, **of_second: object) -> tuple[str, str]:
    """Ids of two finished sweeps on the same rows."""
    first = synthetic_runs.sweep(uri, study="first")
    return first, synthetic_runs.sweep(uri, study="second", **of_second)  # type: ignore[arg-type]


def two_that_disagree(uri: str) -> tuple[str, str]:
    """Ids of two finished sweeps of the same rows with other answers."""
    return tuple(  # type: ignore[return-value]
        synthetic_answers.sweep(uri, study=study, seed=seed, rows=120)
        for seed, study in enumerate(("first", "second"))
    )


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
    assert len(charts(app)) == 6  # runs, differences, classes, best so far, scores of trials, losses


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


def test_losses_are_those_of_the_best_trial_with_epochs_as_means_over_seeds() -> None:
    trials = pd.DataFrame(
        {
            Trials.TRIAL: [0, 1, 2, 3],
            Trials.STATE: ["complete", "complete", "complete", "pruned"],
            f"{PARAM_PREFIX}solver": ["lbfgs", "descent", "descent", "descent"],
            F1.column: [0.9, 0.7, 0.8, 0.95],
            F1.column + Trials.LOW: 0.0,
            F1.column + Trials.HIGH: 1.0,
            Trials.VAL_LOSS: 0.5,
        }
    )
    curves = pd.DataFrame(
        [
            {Curves.TRIAL: trial, Curves.SEED: seed, Curves.EPOCH: epoch, Curves.SPLIT: split,
             Curves.METRIC: "loss", Curves.VALUE: trial + seed + abs(epoch - 2)}
            for trial in range(4) for seed in (0, 1) for epoch in (1, 2, 3) for split in ("train", "val")
        ]
    )  # fmt: skip
    found = comparison.losses(trials, curves, F1)
    assert found["trial"].unique().tolist() == [2]  # not the fitted one, and not the pruned one
    assert found[found["split"] == comparison.VALIDATION]["value"].tolist() == [3.5, 2.5, 3.5]
    assert comparison.lowest(found) == "trial 2, lowest at epoch 2 of 3"
    only_validation = curves[curves[Curves.SPLIT] == "val"]
    assert comparison.losses(trials, only_validation, F1).empty


def said() -> pd.DataFrame:
    """Answers of two methods to eight rows."""
    return pd.DataFrame(
        {
            "sample_id": list("abcdefgh"),
            "label": list("xxyyzzzx"),
            "one": list("xyyyyyzx"),
            "other": list("xxxyzzzy"),
        }
    )


def test_answers_of_two_runs_are_counted_by_who_is_right_and_by_what_they_say() -> None:
    assert comparison.right_and_wrong(said(), "one", "other") == (3, 2, 3, 0)
    cells = comparison.said_together(said(), "one", "other")
    assert cells[["label", "pred", "n", "one_right", "other_right"]].to_numpy().tolist() == [
        ["x", "y", 2, 1, 1],  # `other` says x and `one` says y: the largest disagreements come first
        ["z", "y", 2, 0, 2],
        ["y", "x", 1, 1, 0],
        ["x", "x", 1, 1, 1],
        ["y", "y", 1, 1, 1],
        ["z", "z", 1, 1, 1],
    ]
    assert comparison.most_disputed(cells, 2) == ["y", "x"]


def test_a_cell_in_the_address_shows_its_rows_with_their_labels(showing: Showing) -> None:
    first, second = showing(two_that_disagree)
    app = opened(first, second)
    (cells,) = (box for box in app.selectbox if box.key == "said")
    assert cells.label == "first → second"
    option = cells.options[-1]
    app = opened(first, second, said=option)
    assert app.selectbox("said").value == option
    answers = [
        answers_of(name, table(default_tracking_uri(), run_id, Artifact.PREDICTIONS), "best")
        for name, run_id in (("first", first), ("second", second))
    ]
    rows = comparison.answers(compared(answers).answers)
    here = rows[rows["first"] + " → " + rows["second"] == option.rpartition(" (")[0]]
    assert len(here) > 0
    assert f"{len(here)} image{'s' * (len(here) > 1)}, below each its label" in words(app)
    both, only_second, only_first, neither = comparison.right_and_wrong(rows, "second", "first")
    assert (
        f"both have {both} right, only second {only_second}, only first {only_first}, neither {neither}."
        in words(app)
    )


def test_long_names_that_begin_alike_stay_two_runs(showing: Showing) -> None:
    def alike(uri: str) -> list[str]:
        return [synthetic_runs.sweep(uri, study=f"{'a' * 60}{i}") for i in range(2)]

    assert opened(*showing(alike)).dataframe[0].value["run"].nunique() == 2
