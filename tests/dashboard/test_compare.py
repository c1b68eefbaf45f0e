"""The page "Compare": which runs it offers, what it says of them, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from dashboard import text
from dashboard.frames import comparable_runs, comparison, score_differences
from dashboard.runs import run_editor
from dashboard.runs.run_info import Figures, RunInfo
from dashboard.runs.store import Store
from tests.support import synthetic_answers, synthetic_comparison, synthetic_labels, synthetic_runs
from tests.support.pages import Showing, active, charts, open_page, words
from tests.support.synthetic_runs import HOSTILE
from trainer.core.errors import InputError
from trainer.core.locations import default_tracking_uri
from trainer.stats.objective import F1
from trainer.stats.paired_bootstrap import holm
from trainer.tracking.compared_runs import RunAnswers, answers_of, compared, rows_of
from trainer.tracking.compared_scores import ScorePair, compared_scores
from trainer.tracking.schema import (
    PARAM_PREFIX,
    Artifact,
    Curves,
    Kind,
    Methods,
    Predictions,
    RunState,
    Tag,
    Trials,
)

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


def info(name: str) -> RunInfo:
    """A finished sweep."""
    known = dict.fromkeys(("experiment", "data", "digest", "encoder", "command", "stopped", "error"), "")
    return RunInfo(
        run_id=name, name=name, kind=Kind.SWEEP, state=RunState.DONE, study=name, figures=Figures(),
        started=None, duration_s=None, artifact_uri="", ended_ms=None, **known,
    )  # fmt: skip


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


@pytest.mark.parametrize(("runs", "named"), [("gone", 1), ("gone,also-gone", 2), (",", 0)])
def test_an_address_of_runs_that_are_not_here_names_each(showing: Showing, runs: str, named: int) -> None:
    showing(two)
    said = words(open_page(PAGE, runs=runs))
    assert "Choose two runs or more." in said
    assert said.count("is not among the newest 500 of this store") == named


def unfit(uri: str) -> list[str]:
    """Ids of two runs that can be compared, and of six that cannot, each for another reason."""
    archived = synthetic_runs.sweep(uri, study="put away")
    run_editor.archive(Store(uri), [archived])
    return [
        *two(uri),
        archived,
        *(synthetic_runs.sweep(uri, study=state, state=state) for state in ("live", "interrupted", "failed")),
        synthetic_runs.foreign(uri, name="theirs"),
        synthetic_runs.extraction(uri, name="measured"),
    ]


def test_each_run_of_the_address_that_cannot_be_compared_is_named_with_the_reason(showing: Showing) -> None:
    ids = showing(unfit)
    app = opened(*ids, base=ids[2])
    (warning,) = app.warning
    reasons = {
        "put away": "is archived",
        "live": "is still running",
        "interrupted": "was interrupted",
        "failed": "failed before",
        "theirs": "by another program",
        "measured": "of the kind extraction",
    }
    assert len(warning.value.split("\n")) == len(reasons) + 1
    for (name, reason), said in zip(reasons.items(), warning.value.split("\n"), strict=False):
        assert f"**{name}**" in said
        assert reason in said
    assert f"The baseline {ids[2]} of the address" in warning.value
    assert "second vs first: macro-F1" in words(app)
    assert app.query_params["runs"] == ",".join(ids)  # a colleague reads the same
    app.multiselect("runs-compared").set_value([ids[1], ids[0]]).run()
    assert not app.warning
    assert app.query_params["base"] == ids[1]


def test_runs_beyond_the_most_that_are_compared_are_named() -> None:
    infos = {f"run {i}": info(f"run {i}") for i in range(comparable_runs.MOST + 2)}
    said = comparable_runs.not_compared(list(infos), infos, {})
    assert [one.partition(" (")[0] for one in said] == ["**run 6**", "**run 7**"]
    (more,) = comparable_runs.not_compared([f"gone {i}" for i in range(20)], {}, {})[
        comparable_runs.MOST_NAMED :
    ]
    assert more == "12 more runs of the address cannot be compared."


def test_a_run_of_other_data_is_named(showing: Showing) -> None:
    def other(uri: str) -> tuple[str, str]:
        ids = two(uri)
        MlflowClient(uri).set_tag(ids[1], Tag.DATA, "corrected")
        return ids

    (warning,) = opened(*showing(other)).warning
    assert warning.value.startswith("**second**")
    assert "read other data (corrected) than **first**" in warning.value


def test_a_run_with_other_labels_of_the_same_data_is_named(showing: Showing) -> None:
    def relabelled(uri: str) -> tuple[str, str]:
        ids = two(uri)
        for one in ids:
            MlflowClient(uri).set_tag(one, Tag.DIGEST, f"of {one}")
        return ids

    (warning,) = opened(*showing(relabelled)).warning
    assert warning.value.startswith("**second**")
    assert "as with corrected labels or files that have changed" in warning.value


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


def test_hostile_names_above_lists_act_on_nothing(showing: Showing) -> None:
    def hostile(uri: str) -> tuple[str, ...]:
        names = (f"{HOSTILE} one", "[link](http://evil.example)")
        return tuple(
            synthetic_answers.sweep(uri, study=study, seed=seed, rows=120) for seed, study in enumerate(names)
        )

    labels = [box.label for box in opened(*showing(hostile)).selectbox]
    assert any("evil" in label for label in labels)
    assert all("evil.example" not in active(label) for label in labels)


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


def test_runs_of_several_labels_are_compared_as_the_command_does(showing: Showing) -> None:
    def labelled(uri: str) -> list[str]:
        return [synthetic_labels.sweep(uri, study=study, rows=120) for study in ("first", "second")]

    ids = showing(labelled)
    uri = default_tracking_uri()
    folders = [synthetic_runs.folder_of(MlflowClient(uri).get_run(one).info.artifact_uri) for one in ids]
    summaries = [json.loads((folder / Artifact.SUMMARY).read_text()) for folder in folders]
    runs = [
        rows_of(name, table(uri, run_id, Artifact.PREDICTIONS), "best")
        for name, run_id in zip(("first", "second"), ids, strict=True)
    ]
    (pair,) = compared_scores(runs, summaries, base=0)
    app = opened(*ids)
    assert pair.told(("second", "first"), comparisons=1, form=text.signed) in words(app)
    read = app.dataframe[0].value
    assert read["score"].tolist() == ["mAP", "macro-F1", "micro-F1"]
    assert read["of run"].tolist() == [text.score(value) for value in pair.scores["a"]]
    assert "Label by label" in words(app)
    assert "Settings that differ" in words(app)


def numbers(name: str, error: float) -> RunAnswers:
    """A run's numbers of 60 test rows, each wrong by about so much."""
    random = np.random.default_rng(1)
    true = np.arange(60.0)
    frame = pd.DataFrame(
        {
            Predictions.SAMPLE_ID: [f"{i}" for i in range(60)],
            Predictions.SPLIT: "test",
            Predictions.HEAD: "best",
            Predictions.TARGET: true,
            Predictions.NUMBER: true + error * random.normal(size=60),
        }
    )
    return RunAnswers(name, frame)


def test_the_p_value_of_numbers_is_corrected_for_all_runs_and_tells_the_verdict() -> None:
    pairs = compared_scores([numbers("base", 9), numbers("near", 1), numbers("far", 25)], [{}] * 3, base=0)
    assert [pair.verdict for pair in pairs] == ["better", "worse"]
    drawn = score_differences.forest(pairs)
    assert drawn["says"].tolist() == [comparison.BETTER, comparison.WORSE]
    assert drawn["p"].tolist() == holm(np.array([pair.scores["p"].iloc[0] for pair in pairs])).tolist()
    read = score_differences.as_read(pairs)
    assert read["score"].tolist() == ["R²", "MAE", "RMSE"] * 2
    assert read["of baseline"].nunique() == 3


def test_runs_of_numbers_that_cannot_be_paired_are_named() -> None:
    base = numbers("base", 1)
    rows = {name: f"elsewhere {name}" for name in base.table[Predictions.SAMPLE_ID]}
    elsewhere = RunAnswers("elsewhere", base.table.replace({Predictions.SAMPLE_ID: rows}))
    with pytest.raises(InputError, match="elsewhere and base share no test row"):
        compared_scores([base, elsewhere], [{}] * 2, base=0)
    classes = RunAnswers("classes", base.table.drop(columns=Predictions.NUMBER))
    with pytest.raises(InputError, match="classes and base predict different things"):
        compared_scores([base, classes], [{}] * 2, base=0)


def test_labels_come_least_likely_by_chance_first_and_without_those_that_no_row_has() -> None:
    table = pd.DataFrame(
        {
            "label": ["a", "b", "never"],
            "a": [0.5, 0.9, np.nan],
            "b": [0.4, 0.5, np.nan],
            "difference": [0.1, 0.4, np.nan],
            "low": [-0.1, 0.3, np.nan],
            "high": [0.3, 0.5, np.nan],
            "p": [0.3, 0.001, np.nan],
            "p_holm": [0.3, 0.002, np.nan],
        }
    )
    found = score_differences.labels(ScorePair("run", 60, table.head(1), table, 0.3))
    assert found["name"].tolist() == ["b", "a"]
    assert found["says"].tolist() == [comparison.BETTER, comparison.NOT_SIGNIFICANT]


def test_long_names_that_begin_alike_stay_two_runs(showing: Showing) -> None:
    def alike(uri: str) -> list[str]:
        return [synthetic_runs.sweep(uri, study=f"{'a' * 60}{i}") for i in range(2)]

    assert opened(*showing(alike)).dataframe[0].value["run"].nunique() == 2
