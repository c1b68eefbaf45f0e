"""Scores and thresholds of several labels against scikit-learn; standard errors against drawn rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, log_loss, precision_recall_curve

from trainer.stats.multilabel import (
    average_precision,
    f1_of_labels,
    judged_labels,
    label_losses,
    of_f1_macro_at,
    of_f1_micro_at,
    strata_of_labels,
    thresholds,
)
from trainer.stats.objective import LABEL_F1, MAP, MICRO_F1


def answered(
    rows: int, labels: int = 4, *, seed: int = 0, decimals: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of shares from rare to frequent, and probabilities with ties that go with them."""
    random = np.random.default_rng(seed)
    label_nc = random.random((rows, labels)) < np.linspace(0.1, 0.7, labels)
    noisy_nc = np.where(label_nc, 0.6, 0.4) + 0.3 * random.normal(size=label_nc.shape)
    return label_nc, np.round(np.clip(noisy_nc, 0, 1), decimals)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 10**6))
def test_average_precision_is_that_of_scikit_learn_also_with_ties(rows: int, seed: int) -> None:
    label_nc, score_nc = answered(rows, seed=seed)
    found_c, judged_c = average_precision(label_nc, score_nc), judged_labels(label_nc)
    assert (np.isfinite(found_c) == judged_c).all()
    for c in np.flatnonzero(judged_c):
        assert found_c[c] == pytest.approx(average_precision_score(label_nc[:, c], score_nc[:, c]))
    if judged_c.any():
        assert MAP.of(label_nc, score_nc).value == pytest.approx(found_c[judged_c].mean())
    else:
        assert np.isnan(MAP.of(label_nc, score_nc).value)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 10**6))
def test_f1_is_that_of_scikit_learn(rows: int, seed: int) -> None:
    label_nc, score_nc = answered(rows, seed=seed)
    said_nc = score_nc >= 0.5
    expected_c = f1_score(label_nc, said_nc, average=None, zero_division=np.nan)
    np.testing.assert_allclose(f1_of_labels(label_nc, said_nc), expected_c)
    if np.isfinite(expected_c).any():
        macro = f1_score(label_nc, said_nc, average="macro", zero_division=np.nan)
        assert LABEL_F1.of(label_nc, score_nc).value == pytest.approx(macro)
        micro = f1_score(label_nc, said_nc, average="micro", zero_division=np.nan)
        assert MICRO_F1.of(label_nc, score_nc).value == pytest.approx(micro)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.integers(0, 10**6))
def test_thresholds_reach_the_best_f1_of_scikit_learns_curve(rows: int, seed: int) -> None:
    label_nc, score_nc = answered(rows, seed=seed)
    threshold_c = thresholds(label_nc, score_nc)
    found_c = f1_of_labels(label_nc, score_nc >= threshold_c)
    for c in range(label_nc.shape[1]):
        if not label_nc[:, c].any():
            assert threshold_c[c] == 0.5
            continue
        precision, recall, _ = precision_recall_curve(label_nc[:, c], score_nc[:, c])
        best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
        assert found_c[c] == pytest.approx(best)


def test_a_threshold_lies_between_two_scores_and_says_the_highest_one_of_equals() -> None:
    label_nc = np.array([[1, 1], [0, 1], [0, 0]], dtype=bool)
    score_nc = np.array([[0.9, 0.4], [0.5, 0.3], [0.1, 0.2]])
    np.testing.assert_allclose(thresholds(label_nc, score_nc), [0.7, 0.25])
    everywhere = thresholds(np.ones((2, 1), dtype=bool), np.array([[0.4], [0.2]]))
    np.testing.assert_allclose(everywhere, [0.1])


def test_labels_without_positive_or_without_negative_rows_are_left_out_of_the_mean() -> None:
    label_nc, score_nc = answered(40)
    wide_nc = np.column_stack([label_nc, np.zeros(40, bool), np.ones(40, bool)])
    scores_nc = np.column_stack([score_nc, score_nc[:, :2]])
    assert MAP.of(wide_nc, scores_nc).value == pytest.approx(MAP.of(label_nc, score_nc).value)
    assert judged_labels(wide_nc).tolist() == [True] * 4 + [False] * 2


def test_standard_errors_are_those_of_rows_drawn_again() -> None:
    label_nc, score_nc = answered(500, decimals=3)
    draws = np.random.default_rng(1).integers(0, 500, (400, 500))
    for objective in (MAP, LABEL_F1, MICRO_F1):
        drawn = [objective.of(label_nc[rows], score_nc[rows]).value for rows in draws]
        error = objective.of(label_nc, score_nc).standard_error(np.arange(500))
        assert error == pytest.approx(np.std(drawn), rel=0.12), objective.name


def test_influences_are_derivatives_by_the_weight_of_a_row() -> None:
    label_nc, score_nc = answered(30, seed=3)
    twice = np.arange(30).repeat(50)
    for of in (
        MAP.of,
        lambda label, score: of_f1_macro_at(label, score >= 0.4),
        lambda label, score: of_f1_micro_at(label, score >= 0.4),
    ):
        found = of(label_nc, score_nc)
        for row in range(0, 30, 5):
            more = np.append(twice, row)  # one more of 1,500 rows
            step = of(label_nc[more], score_nc[more]).value - found.value
            assert step * 50 == pytest.approx(found.influence_n[row], abs=2e-3)
        assert found.influence_n.sum() == pytest.approx(0, abs=1e-9)


def test_copies_of_a_row_are_one_unit() -> None:
    label_nc, score_nc = answered(100)
    twice_n = np.repeat(np.arange(100), 2)
    for objective in (MAP, LABEL_F1, MICRO_F1):
        once, twice = objective.of(label_nc, score_nc), objective.of(label_nc[twice_n], score_nc[twice_n])
        assert twice.standard_error(twice_n) == pytest.approx(once.standard_error(np.arange(100)))
        interval = objective.interval(twice, twice_n)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_the_loss_of_a_row_is_the_sum_of_log_losses_over_labels() -> None:
    label_nc, score_nc = answered(60, decimals=4)
    score_nc = np.clip(score_nc, 0.01, 0.99)
    expected = sum(log_loss(label_nc[:, c], score_nc[:, c], labels=[False, True]) for c in range(4))
    assert label_losses(score_nc, label_nc).mean() == pytest.approx(expected)
    assert np.isfinite(label_losses(1.0 * ~label_nc, label_nc)).all()
    np.testing.assert_array_equal(MAP.losses(score_nc, label_nc), label_losses(score_nc, label_nc))


def test_the_stratum_of_a_row_is_its_rarest_label() -> None:
    label_nc = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
    assert strata_of_labels(label_nc).tolist() == [1, 0, 2, 2, 3]
    assert strata_of_labels(label_nc[:0]).tolist() == []
