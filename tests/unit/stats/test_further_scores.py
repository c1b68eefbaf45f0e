"""Scores beside macro-F1 are scikit-learn's, and their intervals hold them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from trainer.stats.further_scores import (
    BALANCED_ACCURACY,
    F1_POSITIVE,
    F1_WEIGHTED,
    MCC,
    further_scores,
)
from trainer.stats.influence import Linearised, of_f1_second, of_f1_weighted, of_mcc

CLASSES = 4
Rows = list[tuple[int, int]]
several = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=2, max_size=40
)
two = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40)


@given(several)
def test_they_are_the_scores_of_scikit_learn(rows: Rows) -> None:
    label_n, pred_n = np.array(rows).T
    found = further_scores(label_n, pred_n, np.arange(len(rows)), classes=CLASSES)
    assert found[F1_WEIGHTED].value == pytest.approx(f1_score(label_n, pred_n, average="weighted"))
    assert found[MCC].value == pytest.approx(matthews_corrcoef(label_n, pred_n), abs=1e-9)
    recall_c = [np.mean(pred_n[label_n == one] == one) for one in np.unique(label_n)]
    assert found[BALANCED_ACCURACY].value == pytest.approx(np.mean(recall_c))
    if len(recall_c) == CLASSES:
        assert found[BALANCED_ACCURACY].value == pytest.approx(balanced_accuracy_score(label_n, pred_n))
    assert F1_POSITIVE not in found


@given(two)
def test_of_two_classes_there_is_the_f1_of_the_second(rows: Rows) -> None:
    label_n, pred_n = np.array(rows).T
    found = further_scores(label_n, pred_n, np.arange(len(rows)), classes=2)
    assert found[F1_POSITIVE].value == pytest.approx(f1_score(label_n, pred_n, zero_division=0))
    for low_end, (value, low, high) in ((-1 if name == MCC else 0, one) for name, one in found.items()):
        assert low_end <= low <= value + 1e-12 <= high + 2e-12 <= 1 + 2e-12 or np.isnan(low)


@given(two, st.sampled_from([of_f1_weighted, of_f1_second, of_mcc]), st.data())
def test_the_influence_of_a_row_is_what_another_one_like_it_changes(
    rows: Rows, of: Callable[..., Linearised], data: st.DataObject
) -> None:
    """With each row many times, one copy more of a row is a small change of its weight."""
    label_n, pred_n = np.array(rows).T
    times, row = 2_000, data.draw(st.integers(0, len(rows) - 1))
    index_m = np.append(np.tile(np.arange(len(rows)), times), row)
    score = of(label_n, pred_n, classes=2)
    more = of(label_n[index_m], pred_n[index_m], classes=2)
    assert score.influence_n.sum() == pytest.approx(0, abs=1e-9)
    assert (more.value - score.value) * times == pytest.approx(score.influence_n[row], abs=0.02)


def test_of_no_rows_there_are_none() -> None:
    assert further_scores(np.array([], int), np.array([], int), np.array([], int), classes=3) == {}
