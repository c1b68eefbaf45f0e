"""Few and wide rows are decomposed by what they span, and heads come out as of the whole covariance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.heads import principal_axes
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import Scaling, TrainingData, to_training_data

ROWS, FEATURES = 20, 30


def data() -> TrainingData:
    random, y = np.random.default_rng(0), np.arange(2 * ROWS) % 3
    x = random.normal(size=(3, FEATURES))[y] + random.normal(size=(2 * ROWS, FEATURES))
    return to_training_data((x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:]), classes=3, dtype=torch.float64)


def test_the_axes_of_wide_rows_are_those_with_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    x_nd = data().train.x_nd
    centred_nd = x_nd - x_nd.mean(0)
    variance_d, axis_dd = principal_axes.principal_axes(centred_nd)
    monkeypatch.setattr(principal_axes, "WIDEST", FEATURES - 1)
    variance_k, axis_dk = principal_axes.principal_axes(centred_nd)
    assert axis_dk.shape == (FEATURES, ROWS)
    torch.testing.assert_close(variance_k, variance_d[-ROWS:])
    torch.testing.assert_close(axis_dk.T @ axis_dk, torch.eye(ROWS, dtype=torch.float64))
    seen = variance_k > 1e-9
    cosine_k = (axis_dk * axis_dd[:, -ROWS:]).sum(0).abs()
    torch.testing.assert_close(cosine_k[seen], torch.ones_like(cosine_k[seen]))


@pytest.mark.parametrize("scaling", ["centre", "standardise", "whiten"])
def test_heads_of_wide_rows_answer_as_heads_of_all_axes(
    scaling: Scaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [
        HeadSpec(solver="lbfgs", l2=0.01, epochs=200, scaling=scaling),
        HeadSpec(solver="gda", shrinkage=0.1, scaling=scaling),
        HeadSpec(solver="ridge", l2=0.1, scaling=scaling),
        HeadSpec(hidden=(4,), epochs=3, scaling=scaling),
    ]
    answers = []
    for widest in (principal_axes.WIDEST, FEATURES - 1):
        monkeypatch.setattr(principal_axes, "WIDEST", widest)
        rows = data()
        population = Population(specs, rows, seeds=[0])
        population.train(200)
        answers.append([population.head(k, seed_index=0).probabilities(rows.val.x_nd) for k in range(3)])
    for narrow, wide in zip(*answers, strict=True):
        torch.testing.assert_close(wide, narrow, rtol=1e-3, atol=1e-4)
