"""Trials that were brushed on the parallel coordinates are kept on all pages about them, by the address."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from dashboard.frames import hyperparameters as hyper
from dashboard.frames import trial_filter
from dashboard.frames.trial_filter import Kept
from tests.support import synthetic_runs
from tests.support.pages import Showing, charts, open_page, words
from trainer.stats.objective import F1

PAGES = ["views/hyperparameters.py", "views/curves.py"]
TRIALS = pd.DataFrame(
    {
        "trial": range(4),
        "state": "complete",
        "val_f1_macro": [0.5, 0.6, 0.7, 0.8],
        "val_f1_macro_low": np.nan,
        "val_f1_macro_high": np.nan,
        "param.lr": [1e-4, 1e-3, 1e-2, 1e-1],
        "param.dropout": [0.1, None, 0.3, None],
        "param.optimizer": ["adam", "sgd", "sgd", "lion | ?\"'é"],
    }
)


def brushed(title: str, low: float, high: float) -> dict[str, Kept]:
    objective = next(iter(hyper.objectives(TRIALS, F1).values()))
    frame = hyper.tidy(TRIALS, objective)
    found = hyper.parameters(frame)
    lines, _ = hyper.polylines(frame, found, objective)
    titles = dict.fromkeys(lines["axis"])
    columns = [*((one.column, one.numeric) for one in found), (objective.column, True)]
    axes = dict(zip(titles, columns, strict=True))
    return trial_filter.brushed(frame, lines, axes, {"axis": [hyper.wrap(title)], "at": [high, low]})


@pytest.mark.parametrize(
    ("axis", "low", "high", "column", "kept"),
    [
        ("lr", 0.3, 0.7, "param.lr", [1, 2]),  # a third of the way on a log axis
        ("dropout", -0.5, 0.5, "param.dropout", [0, 1, 3]),  # below the axis: trials that do not use it
        ("optimizer", 0.9, 1.1, "param.optimizer", [1, 2]),
        ("validation macro-F1", 0.9, 1.0, "val_f1_macro", [3]),
    ],
)
def test_trials_that_cross_an_axis_where_it_was_brushed_are_kept(
    axis: str, low: float, high: float, column: str, kept: list[int]
) -> None:
    found = brushed(axis, low, high)
    assert list(found) == [column]
    again = trial_filter.read(trial_filter.written(found))
    assert again == found
    assert TRIALS.loc[trial_filter.matching(TRIALS, again), "trial"].tolist() == kept


def test_where_no_trial_crosses_nothing_is_filtered_and_choices_may_have_any_letters() -> None:
    assert brushed("lr", 0.4, 0.6) == {}
    kept = {"param.optimizer": Kept(words=(TRIALS["param.optimizer"].iloc[-1],))}
    assert trial_filter.read(trial_filter.written(kept)) == kept
    assert TRIALS.loc[trial_filter.matching(TRIALS, kept), "trial"].tolist() == [3]


def test_all_parts_of_a_filter_must_match_and_a_column_that_is_not_there_matches_nothing() -> None:
    both = {"param.lr": Kept(1e-3, 1.0), "param.optimizer": Kept(words=("sgd",))}
    assert TRIALS.loc[trial_filter.matching(TRIALS, both), "trial"].tolist() == [1, 2]
    assert not trial_filter.matching(TRIALS, {"param.gone": Kept(0.0, 1.0)}).any()


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "[1]", '{"a": 3}', '{"a": [1, "b"]}', '{"a": [1, NaN]}', '{"a": []}', "[" * 10_000],
)
def test_an_address_that_is_no_filter_filters_nothing(address: str) -> None:
    assert trial_filter.read(address) == {}


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_the_kept_trials_alone_and_a_click_removes_the_filter(showing: Showing, page: str) -> None:
    showing(synthetic_runs.sweep, trials=30)
    _, table = synthetic_runs.training(30, 2, 9)
    low, high = table["param.lr"].quantile([0.3, 0.7])
    count = int(table["param.lr"].between(low, high).sum())
    app = open_page(page, keep=json.dumps({"param.lr": [low, high]}))
    assert f"**{count} of 30 trials**" in words(app)
    assert ("Remove a filter above." in words(app)) == (page == PAGES[0])  # too few for its importance
    (button,) = (one for one in app.button if one.label.startswith("lr: "))
    button.click().run()
    assert not app.exception
    assert "of 30 trials**" not in words(app)
    assert "keep" not in app.query_params
    assert charts(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_filter_that_leaves_no_trial_says_so_and_can_be_removed(showing: Showing, page: str) -> None:
    showing(synthetic_runs.sweep, trials=30)
    app = open_page(page, keep='{"param.lr":[5,6]}')
    assert "No trial matches" in words(app)
    assert [one for one in app.button if one.label.startswith("lr: ")]


def test_what_was_kept_on_one_page_is_kept_on_the_next(showing: Showing) -> None:
    showing(synthetic_runs.sweep, trials=30)
    app = open_page(PAGES[0], keep='{"param.optimizer":["adam"]}')
    app.query_params.clear()
    app.switch_page(PAGES[1]).run()
    assert not app.exception
    assert "of 30 trials**" in words(app)
    assert "keep" in app.query_params


def test_numbers_of_an_address_keep_the_trial_that_they_come_from() -> None:
    values = np.random.default_rng(0).lognormal(size=50)
    frame = pd.DataFrame({"param.lr": values})
    kept = trial_filter.read(
        trial_filter.written({"param.lr": Kept(float(values.min()), float(values.max()))})
    )
    assert trial_filter.matching(frame, kept).all()
