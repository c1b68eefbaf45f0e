"""Calibration of many classes and selective answers, against short references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from trainer.heads.ensemble import fit_temperature
from trainer.stats import calibration as t
from trainer.stats.selective import accuracy_kept, aurc

CLASSES = 4


def answers(rows: int = 200, *, seed: int = 0, heat: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, C] whose logits are true but for a factor ``heat``, and labels."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(rows, CLASSES))
    label = np.array([random.choice(CLASSES, p=p) for p in softmax(logits, axis=1)])
    return softmax(heat * logits, axis=1), label


def reference_ece(probability: np.ndarray, label: np.ndarray) -> float:
    confidence, right = probability.max(1), probability.argmax(1) == label
    cuts = np.quantile(confidence, np.linspace(0, 1, 11)[1:-1])
    bins = [np.sum(cuts <= one) for one in confidence]
    total = 0.0
    for one in set(bins):
        inside = [i for i, at in enumerate(bins) if at == one]
        total += len(inside) / len(label) * abs(right[inside].mean() - confidence[inside].mean())
    return total


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), rows=st.integers(12, 150))
def test_figures_are_those_of_their_definitions(seed: int, rows: int) -> None:
    probability, label = answers(rows, seed=seed)
    found = t.evaluate_calibration(probability, label, np.arange(rows), seed=0, draws=20)
    assert found.ece.value == pytest.approx(reference_ece(probability, label))
    assert found.log_loss.value == pytest.approx(log_loss(label, probability, labels=range(CLASSES)))
    brier = ((probability - np.eye(CLASSES)[label]) ** 2).sum(1).mean()
    assert found.brier.value == pytest.approx(brier)
    assert all(one.low <= one.value <= one.high for one in found)


def test_true_probabilities_have_little_error_and_overconfident_ones_much() -> None:
    errors = [
        t.evaluate_calibration(*answers(4000, heat=heat), np.arange(4000), seed=0, draws=50).ece
        for heat in (1.0, 3.0)
    ]
    assert errors[0].value < 0.03
    assert errors[1].low > 0.1


def test_intervals_over_units_are_wider_than_over_rows() -> None:
    probability, label = (np.repeat(one, 4, axis=0) for one in answers(100))
    alone, together = (
        t.evaluate_calibration(probability, label, unit, seed=0, draws=300).log_loss
        for unit in (np.arange(400), np.repeat(np.arange(100), 4))
    )
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_the_interval_of_a_temperature_is_about_that_of_the_bootstrap() -> None:
    import torch

    probability, label = answers(300, heat=2.0)
    z, y = torch.from_numpy(np.log(probability)), torch.from_numpy(label)
    temperature = fit_temperature(z, y)
    found = t.temperature_interval(z.numpy(), label, np.arange(300), temperature=temperature)
    random = np.random.default_rng(0)
    drawn = [fit_temperature(z[rows], y[rows]) for rows in random.integers(300, size=(200, 300))]
    assert found.low < 2.0 < found.high
    assert found[1:] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.06)
    twice = t.temperature_interval(  # copies of a row are no new rows
        np.repeat(z.numpy(), 2, 0), np.repeat(label, 2), np.repeat(np.arange(300), 2), temperature=temperature
    )
    assert twice == pytest.approx(found)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_accuracy_of_the_most_confident_is_that_of_all_orders_of_ties(rows: list[tuple[int, bool]]) -> None:
    confidence, right = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    random, found = np.random.default_rng(0), accuracy_kept(confidence, right)
    orders = [np.lexsort((random.random(len(rows)), -confidence)) for _ in range(400)]
    mean = np.mean([np.cumsum(right[order]) for order in orders], axis=0) / np.arange(1, len(rows) + 1)
    np.testing.assert_allclose(found, mean, atol=0.15)
    assert found[-1] == pytest.approx(right.mean())
    area = aurc(confidence, right, np.arange(len(rows)), seed=0, draws=50)
    assert area.value == pytest.approx(1 - found.mean())
    assert 0 <= area.low <= area.high <= 1


def test_a_head_that_knows_what_it_does_not_know_has_the_smaller_area() -> None:
    right = np.arange(100) % 5 > 0
    knows = aurc(right + 0.0, right, np.arange(100), seed=0, draws=20)
    guesses = aurc(np.zeros(100), right, np.arange(100), seed=0, draws=20)
    assert knows.value < 0.03
    assert guesses.value == pytest.approx(0.2)


def test_log_losses_are_finite_where_a_label_was_held_impossible() -> None:
    assert np.isfinite(t.row_losses(np.array([[1.0, 0.0]]), np.array([1]))).all()
    loss = -log_softmax([[0.3, -1.0]], axis=1)[0, 1]
    assert t.row_losses(softmax([[0.3, -1.0]], axis=1), np.array([1]))[0] == pytest.approx(loss)
