"""Platt scaling of several labels: the optimum, its limits, and what it does to a head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

from tests.unit.heads.test_label_heads import LABELS, LOGISTIC, of_both, rows
from trainer.heads.ensemble import Ensemble
from trainer.heads.platt import FLATTEST, LabelScale, fit_label_scale
from trainer.heads.population import Population
from trainer.serving.predictor import read_head, write_head


def test_the_scale_is_the_optimum_that_scipy_finds_of_each_label() -> None:
    random = np.random.default_rng(0)
    z_nc = 3 * random.normal(size=(200, 3)) + np.array([0.0, 2.0, -4.0])
    label_nc = random.random((200, 3)) < expit(0.4 * z_nc - np.array([0.5, 1.0, 0.0]))
    scale = fit_label_scale(z_nc, label_nc)
    for c in range(3):
        has_n, z_n = label_nc[:, c], z_nc[:, c]
        positives, others = has_n.sum(), (~has_n).sum()
        target_n = np.where(has_n, (positives + 1) / (positives + 2), 1 / (others + 2))

        def loss(weight_2: np.ndarray, z_n: np.ndarray = z_n, target_n: np.ndarray = target_n) -> float:
            own_n = weight_2[0] * z_n + weight_2[1]
            return float((np.logaddexp(0, own_n) - target_n * own_n).sum())

        best = minimize(loss, [1.0, 0.0], tol=1e-12).x
        assert (float(scale.slope_c[c]), float(scale.offset_c[c])) == pytest.approx(tuple(best), abs=2e-4)


def test_rows_that_are_all_right_or_all_wrong_do_not_make_a_head_certain_or_turn_it_round() -> None:
    label_nc = np.repeat([[True, True], [False, False]], 10, axis=0)
    z_nc = np.where(label_nc, 5.0, -5.0) * np.array([1.0, -1.0])
    scale = fit_label_scale(z_nc, label_nc)
    assert expit(5 * float(scale.slope_c[0])) == pytest.approx(11 / 12, abs=1e-6)
    assert float(scale.slope_c[1]) == pytest.approx(FLATTEST)


def test_a_label_without_rows_of_both_kinds_stays_as_it_is() -> None:
    z_nc = np.random.default_rng(1).normal(size=(9, 2))
    scale = fit_label_scale(z_nc, np.array([[True, False]] * 9))
    assert scale.slope_c.tolist() == [1.0, 1.0]
    assert scale.offset_c.tolist() == [0.0, 0.0]


def test_a_recorded_head_says_calibrated_probabilities() -> None:
    population = Population([LOGISTIC], of_both(*rows()), seeds=[0])
    population.train(200)
    x_nd = torch.from_numpy(rows()[0])
    scale = LabelScale(torch.linspace(0.5, 2, LABELS), torch.linspace(-1, 3, LABELS))
    calibrated = Ensemble(Ensemble.of(population.heads(0)[0], trial=3).members, label_scale=scale)
    plain_nc = calibrated.uncalibrated.answers(x_nd)
    expected_nc = torch.sigmoid(torch.logit(plain_nc) * scale.slope_c + scale.offset_c)
    torch.testing.assert_close(calibrated.answers(x_nd), expected_nc)
    described: dict[str, Any] = {"classes": [], "trial": 3, "seed": 0}
    labels = {"names": [f"{c}" for c in range(LABELS)], "thresholds": [0.5] * LABELS, "separator": "|"}
    described |= {"encoder": "features", "encoder_folder": None, "labels": labels}
    read = read_head(*write_head(calibrated, described))
    assert np.array_equal(read.answers(x_nd.numpy()), calibrated.answers(x_nd).numpy())
