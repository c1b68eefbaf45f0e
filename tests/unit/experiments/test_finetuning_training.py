"""The fine-tuning loop: parts add up to the whole, memory may run out, a kill changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.experiments.finetuning import checkpoint
from trainer.experiments.finetuning.learner import Learner
from trainer.experiments.finetuning.low_rank import add_low_rank
from trainer.experiments.finetuning.training import IndexedRows, Recipe, Splits, Training, rate_factor
from trainer.features.partial_encoder import EncoderParts, TrainableTail
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Scale

WIDTH, CLASSES, TRAIN, VAL = 6, 3, 22, 12
RECIPE = Recipe(
    lr=1e-2,
    head_lr=1e-2,
    layer_decay=0.5,
    weight_decay=0.1,
    warmup=0.2,
    label_smoothing=0.1,
    clip_norm=1.0,
    batch_size=8,
    epochs=4,
    patience=4,
    precision="float32",
)
ANATOMY = EncoderParts(lambda model: [], ("norm",), lambda after, h: after.norm(h.mean(1)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        return h + torch.tanh(self.dense(h))


class Stored:
    """Random activations in three views; ``most``: the rows that memory holds at once."""

    views = 2

    def __init__(self, most: float = math.inf) -> None:
        random = torch.Generator().manual_seed(1)
        self.h_vntw = torch.randn(3, TRAIN + VAL, 4, WIDTH, generator=random)
        self.most, self.calls = most, 0

    def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor:
        self.calls += 1
        if len(rows) > self.most:
            raise torch.OutOfMemoryError("no room")
        views = np.zeros(len(rows), int) if views is None else views
        return self.h_vntw[torch.from_numpy(views), torch.from_numpy(rows)]


def training(
    source: Stored | None = None, *, recipe: Recipe = RECIPE, said: Callable = print, rank: int = 0
) -> Training:
    """One on a small tail; ``rank``: of additions to its linear layers, which learn in their place."""
    torch.manual_seed(0)
    tail = TrainableTail([Block(), Block()], {"norm": nn.LayerNorm(WIDTH)}, ANATOMY, args=(), kwargs={})
    tail.tower_names = {name: name for name, _ in tail.named_parameters()}
    if rank:
        for name, parameter in tail.named_parameters():
            parameter.requires_grad_(name.endswith("dense.weight"))
    linear = {"layers.0.weight": torch.randn(CLASSES, WIDTH), "layers.0.bias": torch.zeros(CLASSES)}
    head = Head(HeadSpec(), Scale(torch.zeros(WIDTH), torch.ones(1)), linear)
    y_n = torch.arange(TRAIN + VAL) % CLASSES
    learner = Learner(tail, head)
    if rank:
        add_low_rank(learner.tail, rank=rank, alpha=4.0, seed=7)
    return Training(
        learner,
        source or Stored(),
        Splits(
            IndexedRows(np.arange(TRAIN), y_n[:TRAIN]),
            IndexedRows(np.arange(TRAIN, TRAIN + VAL), y_n[TRAIN:]),
        ),
        recipe=recipe,
        seed=7,
        said=said,
    )


def weights(one: Training) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in one.learner.learnt()}


def assert_same(one: Training, other: Training) -> None:
    assert one.standing.curves == other.standing.curves
    assert one.standing.best_epoch == other.standing.best_epoch
    assert all(torch.equal(tensor, other.best[name]) for name, tensor in one.best.items())
    mine, theirs = weights(one), weights(other)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


@settings(max_examples=12)
@given(kill_after=st.integers(1, 11), rank=st.integers(0, 2))
def test_a_training_taken_up_at_any_step_ends_as_if_it_had_never_stopped(
    tmp_path_factory: pytest.TempPathFactory, kill_after: int, rank: int
) -> None:
    path = tmp_path_factory.mktemp("kept") / "one.safetensors"
    undisturbed, killed, resumed = (training(rank=rank) for _ in range(3))
    undisturbed.run()

    def save() -> None:
        checkpoint.write(path, killed)
        if killed.standing.step == kill_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(save=save, every_s=0)
    found = checkpoint.read(path)
    assert found is not None
    resumed.restore(*found)
    assert resumed.standing.step == kill_after
    resumed.run()
    assert_same(undisturbed, resumed)


def test_a_training_that_is_done_keeps_its_best_weights_alone(tmp_path: Path) -> None:
    one, again = training(), training()
    one.run(save=lambda: checkpoint.write(tmp_path / "one.safetensors", one))
    found = checkpoint.read(tmp_path / "one.safetensors")
    assert found is not None
    assert all(name.startswith("best.") for name in found[1])
    again.restore(*found)
    assert again.standing.done
    kept, best = weights_of_best(again), one.best
    assert all(torch.equal(tensor, kept[name]) for name, tensor in best.items())


def weights_of_best(one: Training) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in one.take_best().learnt()}


def test_low_rank_additions_change_nothing_at_first_and_are_all_that_learns_of_the_encoder() -> None:
    plain, one = training(), training(rank=2)
    h = Stored().batch(np.arange(5))
    with torch.no_grad():
        assert torch.equal(plain.learner(h), one.learner(h))
    learnt = {name.rpartition(".")[2] for name, _ in one.learner.learnt() if name.startswith("tail.")}
    assert learnt == {"up", "down"}
    before, base = one.learner.tail.tower_parameters(), plain.learner.tail.tower_parameters()
    assert all(torch.equal(before[name], base[name]) for name in base)
    one.run()
    changed = {
        name
        for name, value in one.learner.tail.tower_parameters().items()
        if not torch.equal(value, base[name])
    }
    assert changed == {f"blocks.{block}.dense.weight" for block in (0, 1)}


def test_low_rank_additions_that_are_merged_answer_as_they_did_beside_the_weights() -> None:
    one, merged = training(rank=2), training()
    one.run()
    with torch.no_grad():
        values = one.learner.tail.tower_parameters()
        for name, parameter in merged.learner.tail.named_parameters():
            addition = values[name] - parameter
            assert torch.linalg.matrix_rank(addition) <= 2 if parameter.ndim > 1 else not addition.any()
            parameter.copy_(values[name])
        h = Stored().batch(np.arange(9))
        assert torch.equal(one.learner.tail(h), merged.learner.tail(h))


@pytest.mark.parametrize("micro", [1, 3, 8])
def test_gradients_added_up_in_parts_are_those_of_the_whole_step(micro: int) -> None:
    whole, parts = training(), training()
    parts.standing.micro = micro
    for one in (whole, parts):
        one._step()
    mine, theirs = weights(whole), weights(parts)
    assert all(torch.allclose(tensor, theirs[name], atol=1e-6) for name, tensor in mine.items())


def test_where_memory_runs_out_halves_are_trained_and_steps_stay_the_same() -> None:
    said: list[str] = []
    small, whole = training(Stored(most=2), said=said.append), training()
    small.run()
    whole.run()
    assert small.standing.micro == 2
    assert [line.split(":")[0] for line in said] == [f"Out of memory with {n} images at once" for n in (8, 4)]
    assert small.standing.step == whole.standing.step
    losses = np.array([small.standing.curves["train_loss"], whole.standing.curves["train_loss"]])
    assert np.allclose(losses[0], losses[1], atol=1e-4)


def test_no_memory_for_a_single_image_is_said_with_what_to_do() -> None:
    with pytest.raises(InputError, match="smaller --unfreeze-last"):
        training(Stored(most=0)).run()


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    class Broken(Stored):
        def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor:
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        training(Broken()).run()


def test_blocks_learn_slower_the_earlier_they_come_and_norms_are_not_decayed() -> None:
    one = training()
    rate = {}
    for group in one._optimizer.param_groups:
        for parameter in group["params"]:
            rate[parameter] = group["lr"], group["weight_decay"]
    tail = one.learner.tail
    assert rate[tail.blocks[1].dense.weight] == (1e-2, 0.1)
    assert rate[tail.blocks[0].dense.weight] == (5e-3, 0.1)
    assert rate[tail.blocks[0].dense.bias] == (5e-3, 0.0)
    assert rate[tail.after["norm"].weight] == (1e-2, 0.0)
    assert set(rate) == set(one.learner.parameters())


@given(total=st.integers(1, 400), warmup=st.floats(0, 1))
def test_rates_rise_to_their_height_once_and_then_only_fall(total: int, warmup: float) -> None:
    factors = [rate_factor(step, total=total, warmup=warmup) for step in range(total)]
    top = int(np.argmax(factors))
    assert factors[top] == 1
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_training_stops_when_validation_no_longer_improves_and_keeps_the_best() -> None:
    import dataclasses

    patient = training(recipe=dataclasses.replace(RECIPE, lr=1e-9, head_lr=1e-9, epochs=9, patience=2))
    patient.run()
    scores = patient.standing.curves["val_f1_macro"]
    assert len(scores) == 3
    assert patient.standing.best_epoch == 1


def test_a_loss_that_is_no_number_ends_the_training_as_failed() -> None:
    broken = training()
    with torch.no_grad():
        broken.learner.head.weight.fill_(math.nan)
    broken.run()
    assert broken.standing.failed
    assert broken.standing.done
    assert broken.epoch == 1


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64, b"not a checkpoint at all"])
def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "one.safetensors"
    assert checkpoint.read(path) is None
    path.write_bytes(damage)
    assert checkpoint.read(path) is None
