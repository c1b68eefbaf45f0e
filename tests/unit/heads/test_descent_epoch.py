"""Cohorts of the same heads on several parts take their steps together, and come out as each would alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.head_config import HeadSpec
from trainer.heads.minibatch_cohort import MinibatchCohort
from trainer.heads.population import Population
from trainer.heads.training_data import TrainingData, to_training_data

ROWS, SEEDS, EPOCHS = 94, (3, 8), 5
APART = 1.0  # bytes of weights, which no two parts fit into
PLAIN = HeadSpec(hidden=(6,), epochs=EPOCHS, batch_size=21, weights="last", dropout=0.3)
HEADS = [
    PLAIN,
    dataclasses.replace(PLAIN, optimizer="sgd", momentum=0.9, clip_norm=0.5, class_weight="balanced"),
    dataclasses.replace(PLAIN, optimizer="adam", scheduler="plateau", plateau_patience=0, lr=0.5),
    dataclasses.replace(PLAIN, hidden=(), mixup=0.4, output="cosine", scaling="standardise"),
    dataclasses.replace(PLAIN, hidden=(5, 4), augment=True, layer_norm=True, scheduler="onecycle"),
]


def parts(sizes: tuple[int, ...] = (62, 62, 63)) -> list[TrainingData]:
    """Parts that learn from so many rows each: 62 are two batches of 21 and one of 20, 63 are three of 21."""
    source = np.random.default_rng(0)
    y_n = np.arange(ROWS) % 3
    x_nd = source.normal(size=(ROWS, 7)) + np.eye(3, 7)[y_n]
    whole = to_training_data((x_nd, y_n), (x_nd[:0], y_n[:0]), classes=3, views_vnd=x_nd[None] + 0.1)
    order = source.permutation(ROWS)
    return [
        whole.split(np.roll(order, 31 * k)[:size], np.roll(order, 31 * k)[size:])
        for k, size in enumerate(sizes)
    ]


def test_parts_side_by_side_give_bit_for_bit_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    together = []
    as_before = MinibatchCohort.train_epoch_together
    monkeypatch.setattr(
        MinibatchCohort,
        "train_epoch_together",
        staticmethod(lambda cohorts, lanes: together.append(len(cohorts)) or as_before(cohorts, lanes)),
    )
    folded = FoldedPopulation(HEADS, parts(), seeds=SEEDS)
    folded.train(2)
    folded.train(EPOCHS)
    assert set(together) == {3}
    for part, population in zip(parts(), folded.populations, strict=True):
        alone = Population(HEADS, part, seeds=SEEDS)
        alone.train(EPOCHS)
        for head in range(len(HEADS)):
            for name, curve in alone.outcome(head).curves.items():
                np.testing.assert_array_equal(population.outcome(head).curves[name], curve, err_msg=name)
            for one, other in zip(alone.heads(head), population.heads(head), strict=True):
                assert torch.equal(one.logits(part.val.x_nd), other.logits(part.val.x_nd))


def test_parts_whose_weights_do_not_fit_a_slab_are_trained_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MinibatchCohort, "train_epoch_together", None)
    folded = FoldedPopulation(HEADS, parts(), seeds=SEEDS, slab_bytes=APART)
    folded.train(1)
    assert folded.outcome(0).epochs == 1


def test_parts_with_another_number_of_batches_are_trained_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MinibatchCohort, "train_epoch_together", None)
    folded = FoldedPopulation(HEADS, parts((63, 64)), seeds=SEEDS)
    folded.train(1)
    assert folded.outcome(0).epochs == 1


def test_a_head_that_diverges_on_one_part_leaves_the_others_as_they_are() -> None:
    data = parts((63, 63))
    data[1].train.x_nd.mul_(torch.tensor(1e300))  # its scale is found again on these rows
    data[1].train.x_nd[0] = torch.inf
    folded = FoldedPopulation([PLAIN], data, seeds=SEEDS)
    folded.train(EPOCHS)
    assert folded.populations[1].failed == {0}
    alone = Population([PLAIN], data[0], seeds=SEEDS)
    alone.train(EPOCHS)
    epochs = folded.populations[0].outcome(0).epochs
    said = folded.populations[0].outcome(0).curves["train_loss"]
    np.testing.assert_array_equal(said, alone.outcome(0).curves["train_loss"][:, :epochs])
