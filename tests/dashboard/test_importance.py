"""Importance against Optuna's PED-ANOVA, and what it says of noise and of few trials."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from dashboard.frames import hyperparameters as hyper
from dashboard.frames import importance

SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0, 0.6),
    "step_size": IntDistribution(5, 24),
    "optimizer": CategoricalDistribution(["adam", "adamw", "sgd"]),
    "nothing": FloatDistribution(0, 1),
}


def planted(count: int, *, seed: int = 0) -> pd.DataFrame:
    """Trials in which lr matters most, then dropout, the optimizer a little; all ranges are tried whole."""
    random = np.random.default_rng(seed)
    u = np.vstack([np.zeros(5), np.ones(5), random.random((count - 2, 5))])
    lr = np.clip(10 ** (-4 + 3 * u[:, 0]), 1e-4, 1e-1)
    optimizer = np.array(["adam", "adamw", "sgd"])[np.minimum(3 * u[:, 3], 2).astype(int)]
    score = 1 - 0.3 * (np.log10(lr) + 2.5) ** 2 - 0.3 * 0.6 * u[:, 1] + 0.1 * (optimizer == "adamw")
    return pd.DataFrame(
        {
            "trial": range(count),
            "state": "complete",
            "score": score + random.normal(0, 0.02, count),
            "param.lr": lr,
            "param.dropout": 0.6 * u[:, 1],
            "param.step_size": 5 + np.round(19 * u[:, 2]).astype(int),
            "param.optimizer": optimizer,
            "param.nothing": u[:, 4],
        }
    )


def optunas(frame: pd.DataFrame, *, up: bool) -> dict[str, float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if up else "minimize")
    for row in frame.to_dict("records"):
        params: dict[str, Any] = {name: row[f"param.{name}"] for name in SPACE}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=SPACE, value=row["score"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def ours(frame: pd.DataFrame, *, up: bool = True) -> pd.DataFrame:
    return importance.table(frame, hyper.parameters(frame), up=up).set_index("title")


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("count", [300, 1000])
def test_shares_are_close_to_those_of_optuna(count: int, up: bool) -> None:
    frame = planted(count)
    table, reference = ours(frame, up=up), optunas(frame, up=up)
    for name, share in reference.items():
        assert table.loc[name, "share"] == pytest.approx(share, abs=0.25)
    assert table["share"].idxmax() == max(reference, key=lambda name: reference[name])


def test_what_matters_stands_out_from_chance_and_what_does_not_stays_below() -> None:
    table = ours(planted(300))
    assert table.index[0] == "lr"
    assert table.loc[["lr", "dropout", "optimizer"], "stands_out"].all()
    assert not table.loc["nothing", "stands_out"]


def test_of_sixty_parameters_without_effect_hardly_one_stands_out() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"param.p{i}": random.random(100) for i in range(60)})
    frame = frame.assign(trial=range(100), state="complete", score=random.random(100))
    table = ours(frame)
    assert table["stands_out"].sum() <= 1  # three without the correction
    assert (table["stands_out"] == (table["explained"] > table["chance"])).all()


def test_intervals_hold_the_value_and_shrink_with_more_trials() -> None:
    few, many = ours(planted(60)), ours(planted(600))
    for table in (few, many):
        assert ((table["low"] <= table["explained"]) & (table["explained"] <= table["high"])).all()
        assert table[["low", "high", "explained"]].stack().between(0, 1).all()
    assert many.loc["lr", "high"] - many.loc["lr", "low"] < few.loc["lr", "high"] - few.loc["lr", "low"]


def test_bootstrap_intervals_cover_what_many_trials_say() -> None:
    truth = ours(planted(4000, seed=99))["explained"]
    hits = [
        table.loc[name, "low"] <= truth[name] <= table.loc[name, "high"]
        for seed in range(12)
        for table in [ours(planted(200, seed=seed))]
        for name in ("lr", "dropout", "optimizer")
    ]
    assert np.mean(hits) >= 0.75


def test_a_parameter_is_judged_among_the_trials_that_have_it() -> None:
    frame = planted(200)
    frame.loc[frame.index[:100], "param.dropout"] = np.nan
    frame.loc[frame.index[:100], "score"] -= 10
    table = ours(frame)
    assert table.loc["dropout", "n"] == 100
    alone = ours(frame.iloc[100:])
    assert table.loc["dropout", "explained"] == alone.loc["dropout", "explained"]


def test_too_few_trials_are_said_to_be_too_few() -> None:
    frame = planted(100)
    frame.loc[frame.index[19:], "param.lr"] = np.nan
    table = ours(frame)
    assert not table.loc["lr", "told"]
    assert table.loc["lr", "n"] == 19
    assert pd.isna(table.loc["lr", "explained"])
    assert list(table.index)[-1] == "lr"


def test_trials_without_a_score_do_not_count() -> None:
    frame = planted(100)
    frame.loc[frame.index[:30], "score"] = np.nan
    assert (ours(frame)["n"] == 70).all()


def test_equal_scores_explain_nothing() -> None:
    table = ours(planted(50).assign(score=0.5))
    assert (table["explained"] == 0).all()
    assert not table["stands_out"].any()


def test_the_same_trials_have_the_same_importance() -> None:
    pd.testing.assert_frame_equal(ours(planted(80)), ours(planted(80)))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_importance_is_above_1_or_outside_its_interval_for_any_trials(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(importance.FEWEST, 60))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return data.draw(st.lists(values, min_size=count, max_size=count))

    frame = pd.DataFrame(
        {
            "trial": range(count),
            "state": "complete",
            "score": column(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, None]))),
            "param.l2": column(st.floats(1e-9, 1e9)),
            "param.step": column(st.integers(0, 5)),
            "param.kind": column(st.sampled_from(["a", "b", "c", None])),
        }
    ).astype({"score": float})
    table = ours(frame)
    known = table[table["told"].astype(bool)]
    assert known[["explained", "low", "high", "chance", "share"]].stack().between(0, 1).all()
    assert (known["low"] <= known["explained"]).all()
    assert (known["explained"] <= known["high"]).all()
