"""Runs are compared on the test rows that they share, and what would not be fair is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score

from trainer.core.errors import InputError
from trainer.tracking.compared_runs import RunAnswers, answers_of, compared
from trainer.tracking.schema import MethodClasses, MethodPairs, Methods, Predictions

CLASSES = ["cat", "dog", "owl"]


def answers(
    name: str, *, rows: int = 90, right: float = 0.7, seed: int = 0, first: int = 0, groups: int = 0
) -> RunAnswers:
    """A run that is right on a share of rows ``first`` … ``first + rows``, of which a third are test rows."""
    random = np.random.default_rng(seed)
    number = np.arange(first, first + rows)
    label = np.array(CLASSES)[(number // 3) % 3]
    guessed = np.array(CLASSES)[random.integers(0, 3, rows)]
    return RunAnswers(
        name,
        pd.DataFrame(
            {
                Predictions.HEAD: "best",
                Predictions.SAMPLE_ID: [f"{one}.png" for one in number],
                Predictions.SPLIT: np.array(["train", "val", "test"])[number % 3],
                Predictions.LABEL: label,
                Predictions.PRED: np.where(random.random(rows) < right, label, guessed),
                Predictions.UNIT: number // groups if groups else number,
            }
        ),
    )


def test_figures_are_those_of_scikit_learn_and_scipy() -> None:
    runs = answers("a", seed=1), answers("b", right=0.4, seed=2)
    found = compared(runs, base=1)
    a, b = (run.tested for run in runs)
    for row, run in zip(found.scores.to_dict("records"), (a, b), strict=True):
        label, pred = run[Predictions.LABEL], run[Predictions.PRED]
        assert row[Methods.F1_MACRO] == pytest.approx(f1_score(label, pred, average="macro"), abs=1e-9)
        assert row[Methods.ACCURACY] == pytest.approx(accuracy_score(label, pred), abs=1e-9)
    (pair,) = found.pairs.to_dict("records")
    one, other = found.scores[Methods.F1_MACRO]
    assert pair[MethodPairs.EFFECT] == pytest.approx(one - other, abs=1e-9)
    right, other_right = ((run[Predictions.LABEL] == run[Predictions.PRED]).to_numpy() for run in (a, b))
    only = int((right & ~other_right).sum()), int((~right & other_right).sum())
    assert (pair[MethodPairs.ONLY_METHOD], pair[MethodPairs.ONLY_AGAINST]) == only
    assert pair[MethodPairs.MCNEMAR_P] == pytest.approx(binomtest(only[0], sum(only)).pvalue, abs=1e-9)
    for row in found.classes.to_dict("records"):
        f1 = f1_score(a[Predictions.LABEL], a[Predictions.PRED], labels=[row["class"]], average="macro")
        assert row[MethodClasses.F1] == pytest.approx(f1, abs=1e-9)
    assert (found.rows, found.groups) == (30, None)


def test_a_run_against_itself_differs_by_nothing() -> None:
    run = answers("a")
    (pair,) = compared([run, RunAnswers("again", run.table)]).pairs.to_dict("records")
    assert pair[MethodPairs.EFFECT] == pair[MethodPairs.ACCURACY] == 0
    assert pair[MethodPairs.EFFECT_P] == pair[MethodPairs.MCNEMAR_P] == 1


@settings(max_examples=8)
@given(seed=st.integers(0, 50), groups=st.sampled_from([0, 6]))
def test_another_base_turns_every_sign(seed: int, groups: int) -> None:
    runs = [answers("a", seed=seed, groups=groups), answers("b", seed=seed + 1, groups=groups)]
    (forth,), (back,) = (compared(runs, base=base).pairs.to_dict("records") for base in (0, 1))
    assert (forth[MethodPairs.METHOD], back[MethodPairs.METHOD]) == ("b", "a")
    for name in (MethodPairs.EFFECT, MethodPairs.ACCURACY):
        assert forth[name] == pytest.approx(-back[name], abs=1e-9)
        assert forth[name + Methods.LOW] == pytest.approx(-back[name + Methods.HIGH], abs=1e-6)
    assert forth[MethodPairs.EFFECT_P] == back[MethodPairs.EFFECT_P]
    assert forth[MethodPairs.ONLY_METHOD] == back[MethodPairs.ONLY_AGAINST]


def test_groups_are_drawn_where_rows_have_some() -> None:
    found = compared([answers("a", seed=1, groups=9), answers("b", seed=2, groups=9)])
    assert (found.rows, found.groups) == (30, 10)


def test_rows_that_only_some_share_are_left_out_and_counted() -> None:
    found = compared([answers("a"), answers("b", rows=120)])
    assert found.rows == 30
    assert found.notes == ("b: 30 of its 40 test rows are shared by all.",)


def test_rows_of_other_data_are_paired_by_name_and_that_is_said() -> None:
    runs = [dataclasses.replace(answers(name), data=f"{name}.npz") for name in "ab"]
    assert compared(runs).notes == (
        "The runs read other data (a.npz, b.npz): rows of the same name, whose labels agree, are paired.",
    )


def test_runs_without_a_shared_row_are_compared_unpaired() -> None:
    runs = [answers("a", rows=900, right=0.9), answers("b", rows=900, right=0.5, first=900)]
    found = compared(runs, base=1)
    (pair,) = found.pairs.to_dict("records")
    assert found.rows == 0
    assert found.notes == ("No test row is shared: compared unpaired, each run on its own test rows.",)
    assert pair[MethodPairs.EFFECT] == pytest.approx(-np.diff(found.scores[Methods.F1_MACRO])[0])
    assert pair[MethodPairs.EFFECT + Methods.LOW] > 0
    assert pair[MethodPairs.EFFECT_P] < 0.01
    (level,) = compared([runs[0], answers("c", rows=900, right=0.9, first=900)]).pairs.to_dict("records")
    assert level[MethodPairs.EFFECT_P] > 0.05


def test_test_rows_that_another_run_learned_from_are_refused() -> None:
    other = answers("b")
    table = other.table.assign(split=other.table["split"].replace({"train": "test", "test": "train"}))
    with pytest.raises(InputError, match=r"b learned from 30 test rows of a, such as '2\.png'"):
        compared([answers("a"), RunAnswers("b", table)])


def test_another_label_is_refused() -> None:
    other = answers("b")
    changed = other.table.copy()
    changed.loc[2, Predictions.LABEL] = "owl"
    with pytest.raises(InputError, match=r"'2\.png' has the label 'cat' in a and 'owl' in b"):
        compared([answers("a"), RunAnswers("b", changed)])


def test_what_predicts_no_class_and_heads_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="n predicts no single class"):
        answers_of("n", pd.DataFrame({Predictions.NUMBER: [1.0]}), "best")
    with pytest.raises(InputError, match=r"a has no head 'worst'\. Its heads: 'best'"):
        answers_of("a", answers("a").table, "worst")
