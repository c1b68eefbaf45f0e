"""Heads that take the weights of their last epoch look at no validation score to choose them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from tests.unit.heads.test_reference import blobs, same_curves, zoo
from trainer.heads.head_config import HeadSpec
from trainer.heads.outcome import Outcome
from trainer.heads.population import Population

SEEDS = (3, 4)


def last(spec: HeadSpec, **changes: object) -> HeadSpec:
    return dataclasses.replace(spec, weights="last", **changes)  # type: ignore[arg-type]


def restless() -> list[HeadSpec]:
    """Heads whose validation score goes up and down: with patience 1 they would stop soon."""
    return [
        HeadSpec(hidden=(5,), lr=0.05, epochs=12, patience=1, batch_size=8, scheduler="none"),
        HeadSpec(lr=0.1, epochs=9, patience=1, batch_size=8, scheduler="none", optimizer="adam"),
    ]


def trained(specs: list[HeadSpec], epochs: int = 20) -> Population:
    population = Population(specs, blobs(), seeds=SEEDS)
    population.train(epochs)
    return population


def same_outcome(one: Outcome, other: Outcome) -> None:
    same_curves(one.curves, other.curves)
    np.testing.assert_array_equal(one.best_epoch_s, other.best_epoch_s)
    for name in ("val_f1_macro_s", "val_accuracy_s", "val_loss_s"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)


def test_the_outcome_stands_at_the_last_epoch_whatever_the_patience() -> None:
    specs = restless()
    best, final = trained(specs), trained([last(spec) for spec in specs])
    for head, spec in enumerate(specs):
        outcome = final.outcome(head)
        assert outcome.epochs == spec.epochs
        assert best.outcome(head).epochs < spec.epochs  # patience would have stopped it
        np.testing.assert_array_equal(outcome.best_epoch_s, spec.epochs)
        assert np.isfinite(outcome.curves["val_loss"]).all()
        for name, curve in (("val_f1_macro_s", "val_f1_macro"), ("val_loss_s", "val_loss")):
            np.testing.assert_array_equal(getattr(outcome, name), outcome.curves[curve][:, -1])
        assert (
            outcome.val_f1_macro_s < outcome.curves["val_f1_macro"].max(1)
        ).any()  # the last is not the best


def test_training_itself_is_the_same() -> None:
    patient = [dataclasses.replace(spec, patience=50) for spec in restless()]
    best, final = trained(patient), trained([last(spec) for spec in restless()])
    for head in range(len(patient)):
        same_curves(best.outcome(head).curves, final.outcome(head).curves)
        assert (best.outcome(head).val_f1_macro_s >= final.outcome(head).val_f1_macro_s).all()


def test_the_head_taken_out_has_the_weights_of_the_last_epoch() -> None:
    data = blobs()
    population = trained([last(spec) for spec in restless()])
    for head in range(2):
        for index in range(len(SEEDS)):
            pred = population.head(head, seed_index=index).probabilities(data.val.x_nd).argmax(1)
            f1 = f1_score(data.val.y_n, pred, average="macro", zero_division=0)
            assert f1 == pytest.approx(population.outcome(head).curves["val_f1_macro"][index, -1], abs=1e-12)


def test_heads_that_see_fewer_rows_take_as_many_steps() -> None:
    """So arms of an ablation differ in their rows alone: one rate per step, up to the same last epoch."""
    data, spec = blobs(), last(restless()[0], scheduler="cosine")
    rows = len(data.train.x_nd)
    kept = torch.stack([torch.ones(rows), (torch.arange(rows) % 3 == 0).float()])
    population = Population([spec, spec], data, seeds=SEEDS, kept_kn=kept)
    population.train(spec.epochs)
    every, few = population.outcome(0), population.outcome(1)
    assert every.epochs == few.epochs == spec.epochs
    assert spec.steps(rows) == spec.epochs * -(-rows // spec.batch_size)
    np.testing.assert_array_equal(every.curves["lr"], few.curves["lr"])
    assert (every.curves["train_loss"] != few.curves["train_loss"]).all()


def test_half_way_it_stands_at_the_last_epoch_so_far() -> None:
    population = trained([last(restless()[0])], epochs=4)
    outcome = population.outcome(0)
    np.testing.assert_array_equal(outcome.best_epoch_s, 4)
    np.testing.assert_array_equal(outcome.val_f1_macro_s, outcome.curves["val_f1_macro"][:, 3])
    assert population.running == [0]


def test_best_and_last_side_by_side_equal_each_alone() -> None:
    specs = [*restless(), *zoo()[::37]]
    specs += [last(spec, patience=1) for spec in specs]
    specs += [HeadSpec(solver="lbfgs", l2=0.01), HeadSpec(solver="lbfgs", l2=0.01, weights="last")]
    order = np.random.default_rng(0).permutation(len(specs))
    together = trained([specs[index] for index in order])
    for position, index in enumerate(order):
        same_outcome(together.outcome(position), trained([specs[index]]).outcome(0))


def test_a_head_that_has_ended_stays_at_its_end_while_its_neighbours_go_on() -> None:
    spec = last(restless()[0])
    specs = [dataclasses.replace(spec, epochs=epochs) for epochs in (4, 12, 12, 12, 12, 12)]  # one cohort
    together, alone = trained(specs), trained(specs[:1])
    same_outcome(together.outcome(0), alone.outcome(0))
    np.testing.assert_array_equal(together.outcome(0).best_epoch_s, 4)


def test_joining_and_dropping_keep_who_takes_the_last_weights() -> None:
    data, specs = blobs(), [spec for one in restless() for spec in (one, last(one))]
    specs = [dataclasses.replace(spec, hidden=(5,), epochs=10, patience=6) for spec in specs]
    first, second = (Population(some, data, seeds=SEEDS) for some in (specs, specs[::-1]))
    for population in (first, second):
        population.train(3)
    first.drop([0])
    together = Population.gathered([(second, 3), (first, 1), (second, 1), (first, 3)])
    together.train(10)
    for position, spec in enumerate([specs[0], specs[1], specs[2], specs[3]]):
        alone = Population([spec], data, seeds=SEEDS)
        alone.train(10)
        same_outcome(together.outcome(position), alone.outcome(0))


def test_a_logistic_regression_takes_its_last_iteration() -> None:
    outcome = trained([HeadSpec(solver="lbfgs", l2=0.01, epochs=60, weights="last")]).outcome(0)
    np.testing.assert_array_equal(outcome.best_epoch_s, outcome.epochs)
    np.testing.assert_array_equal(outcome.val_f1_macro_s, outcome.curves["val_f1_macro"][:, -1])


def test_a_head_that_diverges_fails_with_last_weights_too() -> None:
    wild = HeadSpec(hidden=(5,), lr=1e200, epochs=6, optimizer="sgd", scheduler="none", weights="last")
    steady = last(restless()[0])
    population = trained([wild, steady])
    assert population.outcome(0).failed
    assert (population.outcome(0).best_epoch_s < 1).all()  # weights that are no numbers are nobody's last
    assert torch.isnan(torch.tensor(population.outcome(0).score))
    same_outcome(population.outcome(1), trained([steady]).outcome(0))


def test_only_best_and_last_are_known() -> None:
    with pytest.raises(ValueError, match="weights is 'middle'; allowed: best, last"):
        HeadSpec(weights="middle")  # type: ignore[arg-type]
