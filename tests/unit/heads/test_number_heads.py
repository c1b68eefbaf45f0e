"""Heads of numbers: their losses against torch, ridge regression against scikit-learn and brute force."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from trainer.heads.ensemble import Ensemble, Member, greedy_weights
from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.folds import assign_folds
from trainer.heads.head_config import HeadSpec
from trainer.heads.losses import number_loss
from trainer.heads.population import Population
from trainer.heads.resampling import crossed
from trainer.heads.ridge import STRENGTHS, RidgePath, ridge_on_targets
from trainer.heads.training_data import to_training_data
from trainer.stats.objective import MAE, R2

ROWS, FEATURES = 60, 5
MSE = HeadSpec(target="number", hidden=(8,), epochs=12, lr=0.01, batch_size=16, dropout=0.1)
HUBER = dataclasses.replace(MSE, loss="huber", huber_delta=0.7)
RIDGE = HeadSpec(target="number", solver="ridge", l2=0.3)


def rows(seed: int = 0, scale: float = 20.0, offset: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x_nd = random.normal(size=(ROWS, FEATURES)).astype(np.float32)
    noise_n = 0.2 * random.normal(size=ROWS)
    return x_nd, offset + scale * (x_nd[:, 0] + 0.5 * x_nd[:, 1] ** 2 + noise_n)


def of_both(target_n: np.ndarray, x_nd: np.ndarray, **options: object) -> object:
    return to_training_data((x_nd[:40], target_n[:40]), (x_nd[40:], target_n[40:]), classes=1, **options)  # type: ignore[arg-type]


def test_losses_are_those_of_torch() -> None:
    random = torch.Generator().manual_seed(0)
    output_skb = 2 * torch.randn(2, 3, 7, generator=random, dtype=torch.float64)
    target_sb = torch.randn(2, 7, generator=random, dtype=torch.float64)
    delta_k = torch.tensor([torch.inf, 0.5, 2.0], dtype=torch.float64)
    found_sk = number_loss(output_skb.requires_grad_(), target_sb, delta_k)
    for s in range(2):
        losses = [
            torch.nn.functional.mse_loss(output_skb[s, 0], target_sb[s]),
            torch.nn.functional.huber_loss(output_skb[s, 1], target_sb[s], delta=0.5),
            torch.nn.functional.huber_loss(output_skb[s, 2], target_sb[s], delta=2.0),
        ]
        torch.testing.assert_close(found_sk[s], torch.stack(losses))
    (slope,) = torch.autograd.grad(found_sk.sum(), output_skb)
    assert torch.isfinite(slope).all()
    kept_skb = torch.ones(2, 3, 7, dtype=torch.float64)
    kept_skb[:, :, 4:] = 0
    some_sk = number_loss(output_skb, target_sb, delta_k, sample_weight_skb=kept_skb)
    torch.testing.assert_close(some_sk, number_loss(output_skb[..., :4], target_sb[:, :4], delta_k))


def test_leaving_each_row_out_in_closed_form_is_leaving_each_row_out() -> None:
    x_nd, y_n = rows()
    x, y = torch.from_numpy(x_nd).double(), torch.from_numpy(y_n)[:, None]
    path = RidgePath.of(x, y, torch.ones(ROWS))
    for penalty in (1e-3, 0.1, 10.0):
        brute = []
        for row in range(ROWS):
            others = np.delete(np.arange(ROWS), row)
            # the penalty of all rows: one that is left out does not count in the mean loss
            model = Ridge(alpha=penalty * ROWS).fit(x_nd[others].astype(float), y_n[others])
            brute.append(model.predict(x_nd[[row]].astype(float))[0])
        found = path.left_out(x, y, penalty)[:, 0].numpy()
        np.testing.assert_allclose(found, brute, atol=1e-6)
    _, strength, left_out_n1 = ridge_on_targets(x, y)
    unit = float((x - x.mean(0)).square().mean(0).sum() / FEATURES)
    errors = [float((path.left_out(x, y, one * unit) - y).square().mean()) for one in STRENGTHS]
    assert strength == STRENGTHS[int(np.argmin(errors))]
    assert float((left_out_n1 - y).square().mean()) == pytest.approx(min(errors))


def test_a_ridge_head_is_that_of_scikit_learn() -> None:
    x_nd, y_n = rows()
    population = Population([RIDGE], of_both(y_n, x_nd).judged_by(R2), seeds=[0])  # type: ignore[attr-defined]
    population.train(1)
    scale = population.data.scaled(RIDGE.scaling).scale
    scaled_nd = scale.apply(torch.from_numpy(x_nd)).double().numpy()
    model = Ridge(alpha=RIDGE.l2 * 40).fit(scaled_nd[:40], y_n[:40])
    found_n = population.head(0, seed_index=0).answers(torch.from_numpy(x_nd))[:, 0]
    np.testing.assert_allclose(found_n, model.predict(scaled_nd), rtol=1e-5)
    outcome = population.outcome(0)
    assert outcome.score == pytest.approx(r2_score(y_n[40:], model.predict(scaled_nd)[40:]), abs=1e-5)


@pytest.mark.parametrize("folds", [1, 3])
def test_recorded_scores_are_those_of_the_answers(folds: int) -> None:
    x_nd, y_n = rows()
    learning = to_training_data((x_nd, y_n), (x_nd[:0], y_n[:0]), classes=1).judged_by(R2)
    by = crossed(learning, assign_folds(y_n, np.arange(ROWS), folds=3, repeats=1, seed=0))
    parts = by.parts if folds > 1 else by.parts[:1]
    judged = by.judged[: len(parts)]
    specs = [by.as_judged(one) for one in (RIDGE, MSE, HUBER)]
    population = FoldedPopulation(specs, parts, seeds=[3])
    population.train(12)
    label_m = y_n[np.unique(np.concatenate(judged))]
    for head in range(len(specs)):
        outcome, said_m = population.outcome(head), population.held_out(head, judged=judged)[:, 0]
        assert outcome.score_of["val_r2"][0] == pytest.approx(r2_score(label_m, said_m), abs=1e-5)
        assert outcome.score_of["val_mae"][0] == pytest.approx(mean_absolute_error(label_m, said_m), rel=1e-5)
        expected = root_mean_squared_error(label_m, said_m)
        assert outcome.score_of["val_rmse"][0] == pytest.approx(expected, rel=1e-5)
        assert np.isfinite(outcome.curves["val_loss"]).all()


def test_the_unit_of_the_numbers_changes_nothing_but_the_unit() -> None:
    answers = []
    for scale, offset in ((1.0, 0.0), (1000.0, -5e4)):
        x_nd, y_n = rows(scale=scale, offset=offset)
        population = Population([RIDGE, MSE, HUBER], of_both(y_n, x_nd).judged_by(R2), seeds=[0])  # type: ignore[attr-defined]
        population.train(12)
        answers.append(
            [
                (population.head(k, seed_index=0).answers(torch.from_numpy(x_nd))[:, 0] - offset) / scale
                for k in range(3)
            ]
        )
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_the_best_epoch_of_a_search_for_a_low_error_has_the_lowest() -> None:
    x_nd, y_n = rows()
    population = Population([MSE], of_both(y_n, x_nd).judged_by(MAE), seeds=[0, 1])  # type: ignore[attr-defined]
    population.train(12)
    outcome = population.outcome(0)
    np.testing.assert_allclose(outcome.score_s, np.nanmin(outcome.curves["val_mae"], axis=1))


def test_an_ensemble_says_the_weighted_mean_of_its_members() -> None:
    x_nd, y_n = rows()
    population = Population([RIDGE, MSE], of_both(y_n, x_nd).judged_by(R2), seeds=[0, 1])  # type: ignore[attr-defined]
    population.train(12)
    members = (Member(0, 0.25, 1.0, population.heads(0)), Member(1, 0.75, 1.0, population.heads(1)))
    x = torch.from_numpy(x_nd)
    means = [torch.stack([one.answers(x) for one in member.heads]).mean(0) for member in members]
    torch.testing.assert_close(Ensemble(members).answers(x), 0.25 * means[0] + 0.75 * means[1])


def test_an_ensemble_is_made_of_numbers_that_together_err_less() -> None:
    random = np.random.default_rng(0)
    y_n = random.normal(size=200)
    answers = np.stack([y_n + random.normal(size=200) for _ in range(4)])[:, :, None]
    weights = greedy_weights(answers, y_n, seed=0)
    assert weights.sum() == pytest.approx(1)
    together = np.tensordot(weights, answers, axes=1)[:, 0]
    assert np.mean((together - y_n) ** 2) < min(np.mean((one[:, 0] - y_n) ** 2) for one in answers)


def test_folds_have_their_share_of_low_and_high_numbers() -> None:
    y_n = np.random.default_rng(0).lognormal(size=200)
    (fold_n,) = assign_folds(y_n, np.arange(200), folds=5, repeats=1, seed=0)
    counts = [
        np.histogram(y_n[fold_n == fold], np.quantile(y_n, [0, 0.25, 0.5, 0.75, 1]))[0] for fold in range(5)
    ]
    assert np.ptp(np.stack(counts), axis=0).max() <= 2


@pytest.mark.parametrize("wrong", [{"solver": "gda"}, {"output": "cosine"}, {"huber_delta": 0.0}])
def test_a_head_that_cannot_say_a_number_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"target is 'number'|huber_delta"):
        HeadSpec(target="number", **wrong)  # type: ignore[arg-type]
