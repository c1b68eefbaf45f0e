"""Heads that begin at given weights, and heads that gate two kinds of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import Linear, Scale, TrainingData, to_training_data


def clouds(*, rows: int = 60, features: int = 5, classes: int = 3) -> TrainingData:
    random = np.random.default_rng(0)
    y = np.arange(rows + 30) % classes
    x = random.normal(size=(classes, features))[y] + random.normal(size=(len(y), features)) + 2
    return to_training_data((x[:rows], y[:rows]), (x[rows:], y[rows:]), classes=classes, dtype=torch.float64)


def start(features: int = 5, classes: int = 3) -> Linear:
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(classes, features, generator=random, dtype=torch.float64)
    return Linear(weight, torch.randn(classes, generator=random, dtype=torch.float64))


def trained(spec: HeadSpec, data: TrainingData, **how: torch.Tensor) -> Population:
    population = Population([spec], data, seeds=[0], **how)
    population.train(spec.epochs)
    return population


@pytest.mark.parametrize("scaling", ["centre", "standardise"])
def test_a_strong_pull_leaves_a_head_where_it_started_and_a_weak_one_lets_it_forget(scaling: str) -> None:
    data = clouds()
    data.start = start()
    x = data.val.x_nd
    how = {"solver": "lbfgs", "scaling": scaling, "epochs": 400, "weights": "last"}
    held = trained(HeadSpec(start="given", l2=1e6, **how), data).head(0, seed_index=0).logits(x)
    at_start = data.start(x)
    # the bias is free of the penalty: it may move all rows alike
    moved = held - at_start
    assert (moved - moved.mean(0)).abs().max() < 1e-3
    assert moved.mean(0).std() > 0.01
    free, own = (
        trained(HeadSpec(start=begin, l2=1e-5, **how), data).head(0, seed_index=0).probabilities(x)
        for begin in ("given", "own")
    )
    assert (free - own).abs().max() < 0.1
    assert (free - at_start.softmax(1)).abs().max() > 0.5


def test_the_optimum_is_that_of_the_loss_with_a_penalty_on_the_way_from_the_start() -> None:
    data, l2 = clouds(), 0.05
    data.start = start()
    kept = torch.arange(data.rows) % 3 != 0
    spec = HeadSpec(solver="lbfgs", start="given", l2=l2, epochs=400, weights="last")
    ours = trained(spec, data, kept_kn=kept[None].double()).head(0, seed_index=0)
    scaled = data.scaled("centre")
    x, y = scaled.train_x_nd[kept].numpy(), data.train.y_n[kept].numpy()
    weight_0, bias_0 = (one.numpy() for one in scaled.scale.within(data.start))

    def objective(flat: np.ndarray) -> float:
        weight, bias = flat[:15].reshape(3, 5), flat[15:]
        logits = x @ weight.T + bias
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return float(-log_p[np.arange(len(y)), y].mean() + l2 / 2 * ((weight - weight_0) ** 2).sum())

    best = minimize(objective, np.r_[weight_0.ravel(), bias_0], tol=1e-12)
    found = np.r_[ours.tensors["layers.0.weight"].numpy().ravel(), ours.tensors["layers.0.bias"].numpy()]
    assert objective(found) == pytest.approx(best.fun, abs=1e-5)
    np.testing.assert_allclose(found[:15], best.x[:15], atol=2e-2)


@pytest.mark.parametrize("matrix", [torch.tensor([0.5]), torch.tensor([0.5, 2.0, 0.25])])
def test_a_linear_map_within_a_scale_is_the_same_map(matrix: torch.Tensor) -> None:
    scale = Scale(torch.tensor([1.0, -2.0, 3.0]), matrix)
    given = Linear(torch.randn(4, 3), torch.randn(4))
    x = torch.randn(7, 3)
    torch.testing.assert_close(scale.within(given)(scale.apply(x)), given(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="one factor per dimension"):
        Scale(torch.zeros(3), torch.eye(3)).within(given)


def test_a_start_wants_a_logistic_regression_and_data_that_have_one() -> None:
    with pytest.raises(ValueError, match="solver 'lbfgs'"):
        HeadSpec(start="given")
    with pytest.raises(ValueError, match="data with a start"):
        Population([HeadSpec(solver="lbfgs", start="given")], clouds(), seeds=[0])
    with pytest.raises(ValueError, match="hidden layer"):
        HeadSpec(gate_at=3)


def test_a_gated_head_taken_out_answers_as_it_did_in_its_population_and_counts_what_it_learns() -> None:
    data = clouds()
    spec = HeadSpec(hidden=(8,), gate_at=2, epochs=20, lr=0.02, layer_norm=True, weights="last")
    population = trained(spec, data)
    head = population.head(0, seed_index=0)
    accuracy = (head.logits(data.val.x_nd).argmax(1) == data.val.y_n).double().mean().item()
    assert accuracy == pytest.approx(population.outcome(0).val_accuracy_s[0])
    weight = head.tensors["layers.0.weight"]
    assert not weight[:8, 2:].any()  # the one kind's layer never sees the other kind
    assert not weight[8:16, :2].any()
    learnt = sum(int((tensor != 0).sum()) for tensor in head.tensors.values())
    assert learnt == spec.parameters(features=5, classes=3)
