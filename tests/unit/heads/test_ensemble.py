"""Several heads answer together as their formulas say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from trainer.heads import ensemble
from trainer.heads.ensemble import Ensemble, Member, fit_temperature, greedy_weights
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Scale
from trainer.stats.calibration import row_losses

CLASSES, FEATURES = 4, 5


def linear(seed: int) -> Head:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(CLASSES, FEATURES, generator=random)
    scale = Scale(torch.zeros(FEATURES), torch.ones(1))
    return Head(HeadSpec(), scale, {"layers.0.weight": weight, "layers.0.bias": torch.zeros(CLASSES)})


def test_it_is_the_weighted_mean_of_calibrated_means_over_seeds() -> None:
    heads = [linear(seed) for seed in range(3)]
    members = (Member(7, 0.75, 2.0, (heads[0], heads[1])), Member(9, 0.25, 0.5, (heads[2],)))
    x = torch.randn(6, FEATURES, generator=torch.Generator().manual_seed(9))
    z = [head.logits(x).numpy().astype(float) for head in heads]
    first = softmax(np.log((softmax(z[0], axis=1) + softmax(z[1], axis=1)) / 2) / 2.0, axis=1)
    mixed = 0.75 * first + 0.25 * softmax(z[2] / 0.5, axis=1)
    expected = softmax(np.log(mixed) / 1.5, axis=1)
    together = Ensemble(members, 1.5)
    np.testing.assert_allclose(together.probabilities(x).numpy(), expected, atol=1e-6)
    assert together.shares == {7: 0.75, 9: 0.25}


def test_a_head_alone_answers_as_before() -> None:
    x = torch.randn(6, FEATURES, generator=torch.Generator().manual_seed(9))
    alone = Ensemble.of(linear(0), trial=3)
    np.testing.assert_allclose(alone.probabilities(x), linear(0).probabilities(x), atol=1e-6)


@given(seed=st.integers(0, 10_000), heat=st.floats(0.1, 8.0))
def test_the_temperature_is_where_the_labels_are_likeliest(seed: int, heat: float) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(60, CLASSES)) * 2
    label = np.array([random.choice(CLASSES, p=p) for p in softmax(logits, axis=1)])
    given_logits = logits * heat
    ours = fit_temperature(torch.from_numpy(given_logits), torch.from_numpy(label))

    def loss(log_t: float) -> float:
        log_p = log_softmax(given_logits / np.exp(log_t), axis=1)
        return -(log_p[np.arange(60), label].mean() * 60 + log_p.mean()) / 61

    bounds = (np.log(ensemble.COLDEST), np.log(ensemble.HOTTEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    assert loss(np.log(ours)) <= best.fun + 1e-8


def test_a_head_that_was_right_in_all_of_few_rows_is_not_certain() -> None:
    logits, label = torch.eye(CLASSES).repeat(5, 1), torch.arange(CLASSES).repeat(5)
    temperature = fit_temperature(logits, label)
    confidence = (logits / temperature).softmax(1).max(1).values
    assert confidence.max() == pytest.approx(1 - 1 / 21 * (CLASSES - 1) / CLASSES, abs=1e-6)


def reference(probability_mnc: np.ndarray, label_n: np.ndarray, seed: int) -> np.ndarray:
    """Caruana et al. 2004, bagged, in plain loops."""
    rows = range(len(label_n))
    given = [[float(p[n][label_n[n]]) for n in rows] for p in probability_mnc]

    def loss(picks: list[int]) -> float:
        return -np.mean([np.log(np.mean([given[m][n] for m in picks])) for n in rows])

    best = min(range(len(given)), key=lambda m: loss([m]))
    random, counts = np.random.default_rng(seed), np.zeros(len(given))
    for _ in range(ensemble.BAGS):
        bag = sorted({*random.permutation(len(given))[: -(-len(given) // 2)].tolist(), best})
        picks: list[int] = []
        while len(picks) < ensemble.PICKS:
            chosen = min(bag, key=lambda m: loss([*picks, m]))
            if picks and loss([*picks, chosen]) >= loss(picks):
                break
            picks.append(chosen)
        for m in picks:
            counts[m] += 1
    return counts / counts.sum()


@given(seed=st.integers(0, 500), candidates=st.integers(1, 7))
def test_greedy_picks_are_those_of_plain_loops(seed: int, candidates: int) -> None:
    random = np.random.default_rng(seed)
    label = random.integers(0, CLASSES, size=20)
    signal = np.eye(CLASSES)[label] * 1.5
    probability = softmax(random.normal(size=(candidates, 20, CLASSES)) + signal, axis=2)
    np.testing.assert_allclose(
        greedy_weights(probability, label, seed=seed), reference(probability, label, seed), atol=1e-12
    )


def test_an_ensemble_is_never_less_likely_than_its_best_candidate() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, CLASSES, size=50)
    probability = softmax(random.normal(size=(6, 50, CLASSES)) + np.eye(CLASSES)[label], axis=2)
    weights = greedy_weights(probability, label, seed=0)
    together = ensemble.mean_of(probability, weights)
    assert row_losses(together, label).mean() <= min(row_losses(p, label).mean() for p in probability)
    assert weights.sum() == pytest.approx(1)
