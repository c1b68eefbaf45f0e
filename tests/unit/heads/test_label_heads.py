"""Heads of several labels: losses against their formulas, regressions and scores against scikit-learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, log_loss
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.heads.ensemble import Ensemble, Member, greedy_weights
from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.folds import assign_folds
from trainer.heads.head_config import HeadSpec
from trainer.heads.label_regression import LabelPath
from trainer.heads.lbfgs import Objectives
from trainer.heads.losses import LabelLossSettings, asymmetric_loss
from trainer.heads.population import Population
from trainer.heads.resampling import crossed
from trainer.heads.training_data import TrainingData, to_training_data
from trainer.stats.objective import MAP

ROWS, FEATURES, LABELS = 90, 5, 4
BCE = HeadSpec(target="labels", loss="bce", hidden=(8,), epochs=10, lr=0.01, batch_size=16, dropout=0.1)
ASYMMETRIC = dataclasses.replace(BCE, loss="asymmetric", gamma_neg=2.5, margin=0.05)
FOCAL = dataclasses.replace(BCE, loss="focal", focal_gamma=1.5)
LOGISTIC = HeadSpec(target="labels", solver="lbfgs", l2=0.05, epochs=200, weights="last")


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x_nd = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    score_nc = x_nd @ random.normal(size=(FEATURES, LABELS)) + random.normal(size=(ROWS, LABELS))
    return x_nd, score_nc > np.array([0.0, 0.5, 1.5, -1.0])


def of_both(x_nd: np.ndarray, label_nc: np.ndarray) -> TrainingData:
    train, val = (x_nd[:60], label_nc[:60]), (x_nd[60:], label_nc[60:])
    return to_training_data(train, val, classes=LABELS).judged_by(MAP)


def settings(*powers: tuple[float, float, float]) -> LabelLossSettings:
    return LabelLossSettings(*torch.tensor(powers, dtype=torch.float64).T)


def logits_and_targets() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits_skcb = 3 * torch.randn(2, 3, LABELS, 7, generator=random, dtype=torch.float64)
    return logits_skcb, torch.rand(2, LABELS, 7, generator=random) < 0.4


def test_losses_are_those_of_their_formulas() -> None:
    logits_skcb, target_scb = logits_and_targets()
    found_sk = asymmetric_loss(logits_skcb, target_scb, settings((0, 0, 0), (2, 2, 0), (1, 4, 0.05)))
    for s in range(2):
        y = target_scb[s].double()
        plain = binary_cross_entropy_with_logits(logits_skcb[s, 0], y, reduction="none").sum(0).mean()
        p = logits_skcb[s, 1].sigmoid()
        focal = -(y * (1 - p) ** 2 * p.log() + (1 - y) * p**2 * (1 - p).log()).sum(0).mean()
        p = logits_skcb[s, 2].sigmoid()
        shifted = (p - 0.05).clamp_min(0)
        asymmetric = -(y * (1 - p) * p.log() + (1 - y) * shifted**4 * (1 - shifted).log()).sum(0).mean()
        torch.testing.assert_close(found_sk[s], torch.stack([plain, focal, asymmetric]))


def test_losses_leave_rows_out_and_their_slopes_are_finite_however_certain_a_head_is() -> None:
    logits_skcb, target_scb = logits_and_targets()
    powers = settings((0, 0, 0), (0.5, 0.5, 0), (1, 3, 0.1))
    kept_skb = torch.ones(2, 3, 7, dtype=torch.float64)
    kept_skb[:, :, 4:] = 0
    some_sk = asymmetric_loss(logits_skcb, target_scb, powers, sample_weight_skb=kept_skb)
    torch.testing.assert_close(some_sk, asymmetric_loss(logits_skcb[..., :4], target_scb[..., :4], powers))
    certain = (1000 * logits_skcb).float().requires_grad_()
    loss_sk = asymmetric_loss(certain, target_scb, LabelLossSettings(*(one.float() for one in powers)))
    (slope,) = torch.autograd.grad(loss_sk.sum(), certain)
    assert torch.isfinite(loss_sk).all()
    assert torch.isfinite(slope).all()


def test_a_loss_of_a_head_does_not_depend_on_its_neighbours() -> None:
    x_nd, label_nc = rows()
    specs = [BCE, ASYMMETRIC, FOCAL, LOGISTIC, dataclasses.replace(LOGISTIC, l2=1.0)]
    together = Population(specs, of_both(x_nd, label_nc), seeds=[0, 1])
    together.train(200)
    for number, spec in enumerate(specs):
        alone = Population([spec], of_both(x_nd, label_nc), seeds=[0, 1])
        alone.train(200)
        for metric, curve in alone.outcome(0).curves.items():
            np.testing.assert_allclose(together.outcome(number).curves[metric], curve, atol=2e-6)


def test_regressions_of_each_label_are_those_of_scikit_learn() -> None:
    x_nd, label_nc = rows()
    strengths = [1e-3, 0.05, 1.0]
    x, y = torch.from_numpy(x_nd).double(), torch.from_numpy(label_nc)
    path = LabelPath(
        x, y, Objectives(torch.tensor(strengths, dtype=torch.float64)), classes=LABELS, tolerance=1e-14
    )
    for _ in range(500):
        path.step()
        if bool(path.converged_k.all()):
            break
    weight_kcd, bias_kc = path.unturned(path.theta_kcr)
    for k, l2 in enumerate(strengths):
        for c in range(LABELS):
            model = LogisticRegression(C=1 / (ROWS * l2), tol=1e-12, max_iter=5000)
            model.fit(x.numpy(), label_nc[:, c])
            np.testing.assert_allclose(weight_kcd[k, c], model.coef_[0], atol=2e-5)
            assert float(bias_kc[k, c]) == pytest.approx(model.intercept_[0], abs=2e-5)


def test_regressions_leave_out_rows_and_bear_a_label_that_no_row_has() -> None:
    x_nd, label_nc = rows()
    label_nc[:, 2] = False
    x, y = torch.from_numpy(x_nd).double(), torch.from_numpy(label_nc)
    kept_kn = torch.zeros(1, ROWS, dtype=torch.float64)
    kept_kn[:, :60] = 1
    l2_k = torch.tensor([0.1], dtype=torch.float64)
    path = LabelPath(x, y, Objectives(l2_k, kept_kn=kept_kn), classes=LABELS)
    for _ in range(300):
        path.step()
    assert bool(path.converged_k.all())
    weight_kcd, bias_kc = path.unturned(path.theta_kcr)
    model = LogisticRegression(C=1 / (60 * 0.1), tol=1e-10).fit(x_nd[:60], label_nc[:60, 0])
    np.testing.assert_allclose(weight_kcd[0, 0], model.coef_[0], atol=5e-3)
    assert float(bias_kc[0, 2]) < -3
    assert torch.isfinite(weight_kcd).all()


@pytest.mark.parametrize("folds", [1, 3])
def test_recorded_scores_are_those_of_the_answers(folds: int) -> None:
    x_nd, label_nc = rows()
    learning = to_training_data((x_nd, label_nc), (x_nd[:0], label_nc[:0]), classes=LABELS).judged_by(MAP)
    by = crossed(learning, assign_folds(label_nc, np.arange(ROWS), folds=3, repeats=1, seed=0))
    parts = by.parts if folds > 1 else by.parts[:1]
    judged = by.judged[: len(parts)]
    specs = [by.as_judged(one) for one in (BCE, ASYMMETRIC, FOCAL, LOGISTIC)]
    population = FoldedPopulation(specs, parts, seeds=[3])
    population.train(200)
    label_mc = label_nc[np.unique(np.concatenate(judged))]
    for head in range(len(specs)):
        outcome, said_mc = population.outcome(head), population.held_out(head, judged=judged)
        assert said_mc.dtype == np.float16
        p_mc = 1 / (1 + np.exp(-said_mc.astype(float)))
        of = outcome.score_of
        expected = np.mean([average_precision_score(label_mc[:, c], p_mc[:, c]) for c in range(LABELS)])
        assert of["val_map"][0] == outcome.score == pytest.approx(expected, abs=2e-3)
        for average in ("macro", "micro"):
            expected = f1_score(label_mc, p_mc >= 0.5, average=average)
            assert of[f"val_f1_{average}_labels"][0] == pytest.approx(expected, abs=0.02)
        expected = sum(log_loss(label_mc[:, c], p_mc[:, c]) for c in range(LABELS))
        assert of["val_loss"][0] == pytest.approx(expected, abs=5e-3)
        assert np.isfinite(outcome.curves["val_loss"]).all()


def test_seeds_and_members_are_averaged_as_probabilities() -> None:
    x_nd, label_nc = rows()
    population = Population([BCE, LOGISTIC], of_both(x_nd, label_nc), seeds=[0, 1])
    population.train(200)
    x = torch.from_numpy(x_nd)
    first, second = (Member(k, w, 1.0, population.heads(k)) for k, w in ((0, 0.25), (1, 0.75)))
    p_nc = torch.stack([head.answers(x) for head in first.heads]).mean(0)
    torch.testing.assert_close(Ensemble((first,)).answers(x), p_nc)
    q_nc = second.heads[0].answers(x)
    torch.testing.assert_close(Ensemble((first, second)).answers(x), 0.25 * p_nc + 0.75 * q_nc)
    assert len(second.heads) == 1
    assert Ensemble((first,)).labels
    assert not Ensemble((first,)).numbers


def test_an_ensemble_of_labels_lowers_their_log_loss() -> None:
    random = np.random.default_rng(0)
    label_nc = random.random((200, 3)) < 0.4
    truth_nc = np.where(label_nc, 0.7, 0.3)
    p_mnc = np.clip(truth_nc + 0.3 * random.normal(size=(4, 200, 3)), 0.02, 0.98).astype(np.float32)
    p_mnc[3] = 1 - truth_nc  # knows nothing
    weight_m = greedy_weights(p_mnc, label_nc, seed=0)
    assert weight_m.sum() == pytest.approx(1)
    assert (weight_m > 0)[:3].all()
    assert weight_m[3] == 0

    def loss(p_nc: np.ndarray) -> float:
        return float(MAP.losses(p_nc, label_nc).mean())

    assert loss(np.tensordot(weight_m, p_mnc, axes=1)) < min(map(loss, p_mnc))
    assert np.isfinite(greedy_weights(np.round(p_mnc), label_nc, seed=0)).all()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"solver": "ridge"}, "expected solver descent or lbfgs"),
        ({"output": "cosine"}, "a linear output"),
        ({"loss": "huber"}, "loss is 'huber'; expected bce, asymmetric, focal of labels"),
        ({"margin": 1.0}, "0 ≤ margin < 1"),
        ({"gamma_neg": -1.0}, "gamma_neg ≥ 0"),
    ],
)
def test_heads_of_labels_refuse_what_is_of_other_heads(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        HeadSpec(**{"target": "labels", "loss": "bce", **fields})  # type: ignore[arg-type]


def test_folds_spread_every_label() -> None:
    random = np.random.default_rng(0)
    label_nc = random.random((200, 5)) < np.array([0.06, 0.1, 0.2, 0.4, 0.7])
    (fold_n,) = assign_folds(label_nc, np.arange(200) // 2, folds=5, repeats=1, seed=0)
    assert (fold_n[::2] == fold_n[1::2]).all()
    for fold in range(5):
        assert label_nc[fold_n == fold].any(0).all()


def test_one_label_and_labels_that_no_training_row_has_are_borne() -> None:
    x_nd, label_nc = rows()
    alone, lacking = label_nc[:, :1], label_nc.copy()
    lacking[:60, 1] = False
    for has_nc in (alone, lacking):
        train, val = (x_nd[:60], has_nc[:60]), (x_nd[60:], has_nc[60:])
        data = to_training_data(train, val, classes=has_nc.shape[1]).judged_by(MAP)
        population = FoldedPopulation([BCE, ASYMMETRIC, LOGISTIC], [data], seeds=[0])
        population.train(200)
        outcomes = [population.outcome(head) for head in range(3)]
        assert not any(one.failed for one in outcomes)
        assert all(0 < one.score <= 1 for one in outcomes)
