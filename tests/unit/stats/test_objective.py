"""Each objective is the score that scikit-learn computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from trainer.stats.objective import ACCURACY, AUROC, BALANCED, F1, NLL, OBJECTIVES, Objective, objective_named

# of numbers: test_regression.py; of several labels: test_multilabel.py
OF_CLASSES = [one for one in OBJECTIVES.values() if one.target == "class"]
Answers = tuple[np.ndarray, np.ndarray]  # labels int64 [N], probabilities float64 [N, C]


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Rows of two to five classes, each with a row; few different probabilities, so that some are equal."""
    classes, rows = draw(st.integers(2, 5)), draw(st.integers(6, 40))
    weights = st.lists(st.integers(1, 6), min_size=classes, max_size=classes)
    weight_nc = np.array(draw(st.lists(weights, min_size=rows, max_size=rows)), dtype=float)
    others = draw(st.lists(st.integers(0, classes - 1), min_size=rows - classes, max_size=rows - classes))
    return np.array([*range(classes), *others]), weight_nc / weight_nc.sum(1, keepdims=True)


@settings(max_examples=40)
@given(answers())
def test_each_objective_is_the_score_of_scikit_learn(given_rows: Answers) -> None:
    label_n, probability_nc = given_rows
    pred_n, two = probability_nc.argmax(1), probability_nc.shape[1] == 2
    area = roc_auc_score(label_n, probability_nc[:, 1] if two else probability_nc, multi_class="ovr")
    expected = {
        F1: f1_score(label_n, pred_n, average="macro", zero_division=0),
        ACCURACY: accuracy_score(label_n, pred_n),
        BALANCED: balanced_accuracy_score(label_n, pred_n),
        AUROC: area,
        NLL: log_loss(label_n, probability_nc, labels=np.arange(probability_nc.shape[1])),
    }
    assert set(expected) == set(OF_CLASSES)
    for objective, value in expected.items():
        assert objective.of(label_n, probability_nc).value == pytest.approx(value, abs=1e-12), objective.name


@settings(max_examples=30)
@given(answers(), st.sampled_from([BALANCED, AUROC, NLL]), st.data())
def test_the_influence_of_a_row_is_what_another_one_like_it_changes(
    given_rows: Answers, objective: Objective, data: st.DataObject
) -> None:
    """With each row many times, one copy more of a row is a small change of its weight."""
    label_n, probability_nc = given_rows
    times, rows = 200, len(label_n)
    row = data.draw(st.integers(0, rows - 1))
    index_m = np.append(np.tile(np.arange(rows), times), row)
    more, score = objective.of(label_n[index_m], probability_nc[index_m]), objective.of(*given_rows)
    # weights are relative to all rows, as those of an influence are
    assert score.influence_n.sum() == pytest.approx(0, abs=1e-9)
    assert (more.value - score.value) * times == pytest.approx(score.influence_n[row], abs=0.02)


@given(answers(), st.sampled_from(OF_CLASSES))
def test_an_interval_lies_where_a_score_can(given_rows: Answers, objective: Objective) -> None:
    score = objective.of(*given_rows)
    interval = objective.interval(score, np.arange(len(given_rows[0])))
    assert 0 <= interval.low <= interval.value <= interval.high <= objective.most
    assert interval.value == pytest.approx(score.value)


def test_classes_without_a_row_do_not_count_and_of_one_class_there_is_no_area() -> None:
    label_n = np.array([0, 0, 2, 2])
    probability_nc = np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.2, 0.1, 0.7], [0.3, 0.3, 0.4]])
    both = [roc_auc_score(label_n == one, probability_nc[:, one]) for one in (0, 2)]
    assert AUROC.of(label_n, probability_nc).value == pytest.approx(np.mean(both))
    assert np.isnan(AUROC.of(label_n[:2], probability_nc[:2]).value)
    assert BALANCED.of(label_n, probability_nc).value == pytest.approx(0.75)


def test_less_is_better_of_a_log_loss_alone_and_an_unknown_name_is_macro_f1() -> None:
    assert [one.name for one in OF_CLASSES if not one.up] == ["nll"]
    assert NLL.utility(0.3) == -0.3
    assert F1.utility(0.3) == 0.3
    assert objective_named("f1+size") is objective_named("of a newer version") is F1
