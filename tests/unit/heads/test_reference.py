"""The batched trainer against plain PyTorch: what is fast must first be the same."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv
from sklearn.metrics import f1_score
from torch import nn
from torch.optim import lr_scheduler

from trainer.heads import common_random_numbers
from trainer.heads.head_config import HeadSpec
from trainer.heads.losses import LossSettings, balanced_class_weights, cross_entropy
from trainer.heads.metrics import f1_macro
from trainer.heads.optimizer import Optimizer
from trainer.heads.population import Population, Precision
from trainer.heads.schedules import Plateau, lr_table, milestone_epochs, warmup_steps
from trainer.heads.training_data import Split, TrainingData, to_training_data

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
SCHEDULERS = ("none", "step", "multistep", "exponential", "cosine", "onecycle", "warmup_cosine", "plateau")


# --- schedules --------------------------------------------------------------------------------


def torch_scheduler(
    spec: HeadSpec, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> tuple[lr_scheduler.LRScheduler | lr_scheduler.ReduceLROnPlateau, str]:
    """PyTorch's own scheduler for a spec, and when it moves: after every "step" or every "epoch"."""
    total = spec.epochs * steps_per_epoch
    match spec.scheduler:
        case "none":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0), "epoch"
        case "step":
            return lr_scheduler.StepLR(optimizer, spec.step_size, gamma=spec.gamma), "epoch"
        case "multistep":
            return lr_scheduler.MultiStepLR(optimizer, milestone_epochs(spec), gamma=spec.gamma), "epoch"
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, gamma=spec.decay), "epoch"
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=spec.epochs), "epoch"
        case "onecycle":
            cycle = lr_scheduler.OneCycleLR(
                optimizer, spec.lr, total_steps=total, pct_start=spec.warmup, cycle_momentum=False
            )
            return cycle, "step"
        case "warmup_cosine":
            rise = warmup_steps(spec, steps_per_epoch)
            warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=rise)
            cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - rise)
            return lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[rise]), "step"
        case "plateau":
            plateau = lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=spec.gamma, patience=spec.plateau_patience
            )
            return plateau, "epoch"


def torch_rates(spec: HeadSpec, steps_per_epoch: int, losses: list[float]) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=spec.lr)
    scheduler, moves = torch_scheduler(spec, optimizer, steps_per_epoch)
    rates = []
    for epoch in range(spec.epochs):
        for within in range(steps_per_epoch):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            last = epoch == spec.epochs - 1 and within == steps_per_epoch - 1
            if moves == "step" and not last:
                scheduler.step()  # type: ignore[call-arg]
        if moves == "epoch":
            scheduler.step(*([losses[epoch]] if spec.scheduler == "plateau" else []))
    return rates


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.filterwarnings("ignore:.*")
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_scheduler_equals_torch_step_for_step(scheduler: str, data: st.DataObject) -> None:
    spec = HeadSpec(
        scheduler=scheduler,  # type: ignore[arg-type]
        lr=data.draw(st.floats(1e-4, 1.0)),
        epochs=data.draw(st.integers(2, 30)),
        gamma=data.draw(st.floats(0.1, 0.99)),
        decay=data.draw(st.floats(0.1, 0.99)),
        step_size=data.draw(st.integers(1, 12)),
        warmup=data.draw(st.floats(0.05, 0.6)),
        plateau_patience=data.draw(st.integers(0, 4)),
    )
    steps_per_epoch = data.draw(st.integers(1, 5))
    if scheduler == "onecycle":  # PyTorch's own divides by zero where the rise ends at the first step
        assume(abs(spec.warmup * spec.epochs * steps_per_epoch - 1) > 1e-6)
    losses = data.draw(
        st.lists(st.floats(0.1, 2.0), min_size=spec.epochs, max_size=spec.epochs), label="validation losses"
    )
    table = lr_table([spec], steps_per_epoch=steps_per_epoch)[:, 0]
    plateau = Plateau([spec], seeds=1)
    ours = []
    for epoch in range(spec.epochs):
        factor = plateau.factor_sk.item()
        ours += [rate * factor for rate in table[epoch * steps_per_epoch :][:steps_per_epoch].tolist()]
        plateau.step(torch.tensor([[losses[epoch]]], dtype=torch.float64))
    np.testing.assert_allclose(
        ours, torch_rates(spec, steps_per_epoch, losses), rtol=1e-9, atol=1e-12 * spec.lr
    )


# --- loss and metrics -------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 7), rows=st.integers(1, 20))
def test_loss_equals_torch_cross_entropy_for_each_head(seed: int, classes: int, rows: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, classes, rows, generator=random, dtype=torch.float64) * 3
    target = torch.randint(classes, (2, rows), generator=random)
    smoothing = torch.tensor([0.0, 0.1, 0.4], dtype=torch.float64)
    weight = torch.rand(3, classes, generator=random, dtype=torch.float64) + 0.1
    ours = cross_entropy(logits, target, LossSettings(smoothing, weight))
    for s, k in itertools.product(range(2), range(3)):
        reference = F.cross_entropy(
            logits[s, k].T, target[s], weight=weight[k], label_smoothing=smoothing[k].item()
        )
        assert ours[s, k].item() == pytest.approx(reference.item(), rel=1e-12)


def test_a_masked_row_counts_as_absent() -> None:
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 1, 4, 10, generator=random, dtype=torch.float64)
    target = torch.randint(4, (1, 10), generator=random)
    kept = (torch.arange(10) % 3 != 0).double()
    loss = LossSettings(torch.tensor([0.2], dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
    masked = cross_entropy(logits, target, loss, sample_weight_skb=kept.view(1, 1, -1))
    absent = cross_entropy(logits[..., kept.bool()], target[:, kept.bool()], loss)
    torch.testing.assert_close(masked, absent, rtol=1e-12, atol=0)


def test_balanced_weights_equal_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 7 + [1] * 2 + [2] * 5)
    ours = balanced_class_weights(torch.tensor(labels), classes=3, kept_kn=torch.ones(1, 14).double())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(ours[0].numpy(), expected)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 9), rows=st.integers(1, 60))
def test_macro_f1_equals_scikit_learns(seed: int, classes: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    target, pred = random.integers(classes, size=rows), random.integers(classes, size=(4, rows))
    ours = f1_macro(torch.tensor(pred), torch.tensor(target), classes=classes)
    expected = [f1_score(target, row, average="macro", zero_division=0) for row in pred]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


# --- the whole training loop ------------------------------------------------------------------


def blobs(
    *, rows: int = 46, features: int = 6, classes: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64
) -> TrainingData:
    """Overlapping clouds of points, each with two views: hard enough that curves keep moving."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(classes, features))
    y = np.minimum(np.arange(rows + 31) % (classes + 1), classes - 1)  # the last class has twice the rows
    x = centres[y] + random.normal(size=(len(y), features)) * 1.3
    views = x[:rows] + random.normal(size=(2, rows, features)) * 0.3
    return to_training_data(
        (x[:rows], y[:rows]),
        (x[rows:], y[rows:]),
        classes=classes,
        views_vnd=views,
        dtype=dtype,
    )


class PlainHead(nn.Module):
    """The head as anybody would write it."""

    def __init__(self, spec: HeadSpec, *, seed: int, features: int, classes: int) -> None:
        super().__init__()
        self.spec, self.seed = spec, seed
        widths = (features, *spec.hidden, classes)
        self.linears = nn.ModuleList()
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            outputs *= 3 if layer == 0 and spec.gate_at else 1
            linear = nn.Linear(inputs, outputs, dtype=torch.float64)
            weight, bias = common_random_numbers.initial_linear(
                (seed,), layer=layer, inputs=inputs, outputs=outputs, dtype=torch.float64
            )
            linear.weight.data, linear.bias.data = weight[0], bias[0, :, 0]
            self.linears.append(linear)
        norm = nn.LayerNorm if spec.layer_norm else nn.Identity
        self.norms = nn.ModuleList(
            norm(width, dtype=torch.float64) if spec.layer_norm else norm() for width in spec.hidden
        )
        self.activation = ACTIVATIONS[spec.activation]()

    def first(self, x: torch.Tensor) -> torch.Tensor:
        """The first layer; where it is gated, from a layer on each kind of features and a gate on all."""
        weight, bias, at = self.linears[0].weight, self.linears[0].bias, self.spec.gate_at
        if not at:
            return self.linears[0](x)
        units = self.spec.hidden[0]
        one = x[:, :at] @ weight[:units, :at].T + bias[:units]
        other = x[:, at:] @ weight[units : 2 * units, at:].T + bias[units : 2 * units]
        share = torch.sigmoid(x @ weight[2 * units :].T + bias[2 * units :])
        return share * one + (1 - share) * other

    def forward(self, x: torch.Tensor, step: int | None = None) -> torch.Tensor:
        x = self.hidden(x, step)
        if self.spec.output == "linear":
            return self.linears[-1](x)
        return self.spec.cosine_scale * F.cosine_similarity(
            x[:, None], self.linears[-1].weight[None], dim=2, eps=1e-6
        )

    def hidden(self, x: torch.Tensor, step: int | None) -> torch.Tensor:
        for layer, norm in enumerate(self.norms):
            x = self.activation(norm(self.linears[layer](x) if layer else self.first(x)))
            if step is not None and self.spec.dropout > 0:
                uniform = common_random_numbers.dropout_uniforms(
                    (self.seed,), step=step, layer=layer, shape=(x.shape[1], x.shape[0]), like=x
                )[0, 0].T
                x = torch.where(uniform < self.spec.dropout, 0, x / (1 - self.spec.dropout))
        return x


def torch_optimizer(spec: HeadSpec, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if spec.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)
    kind = torch.optim.Adam if spec.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=spec.lr, weight_decay=spec.weight_decay)


def plain_class_weights(spec: HeadSpec, y: torch.Tensor, classes: int) -> torch.Tensor | None:
    count = torch.bincount(y, minlength=classes).double()
    if spec.class_weight == "balanced":
        return len(y) / (classes * count)
    if spec.class_weight == "effective":
        raw = (1 - spec.class_beta) / (1 - spec.class_beta**count)
        return raw / raw.mean()
    return None


def plain_loss(
    spec: HeadSpec, logits: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the rows' losses, and of their weights."""
    rows = F.cross_entropy(logits, y, weight=weight, reduction="none")
    smooth = F.cross_entropy(logits, y, weight=weight, reduction="none", label_smoothing=1.0)
    p = logits.softmax(1).gather(1, y[:, None]).squeeze(1)
    total = (1 - spec.label_smoothing) * ((1 - p) ** spec.focal_gamma * rows).sum()
    total = total + spec.label_smoothing * smooth.sum()
    return total, torch.ones_like(rows).sum() if weight is None else weight[y].sum()


def plain_training(spec: HeadSpec, data: TrainingData, *, seed: int) -> dict[str, list[float]]:
    """One head, one seed, one loop: PyTorch's modules, optimisers, schedulers and losses."""
    y, val_y = data.train.y_n, data.val.y_n
    scaled = data.scaled(spec.scaling)
    views = scaled.views_x_nd.view(-1, *scaled.train_x_nd.shape)
    model = PlainHead(spec, seed=seed, features=data.features, classes=data.classes)
    optimizer = torch_optimizer(spec, list(model.parameters()))
    steps_per_epoch = math.ceil(len(y) / spec.batch_size)
    scheduler, moves = torch_scheduler(spec, optimizer, steps_per_epoch)
    weight = plain_class_weights(spec, y, data.classes)
    curves: dict[str, list[float]] = {
        name: [] for name in ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")
    }
    best, best_epoch = -1.0, 0
    for epoch in range(spec.epochs):
        curves["lr"].append(optimizer.param_groups[0]["lr"])
        total = 0.0
        order = common_random_numbers.sample_order((seed,), epoch=epoch, rows=len(y))[0]
        view = common_random_numbers.views((seed,), epoch=epoch, rows=len(y), count=len(views))[0]
        uniform = torch.rand(
            steps_per_epoch,
            generator=common_random_numbers.generator(seed, "mixup", epoch),
            dtype=torch.float64,
        )
        for within, rows in enumerate(order.split(spec.batch_size)):
            step = epoch * steps_per_epoch + within
            x = views[view[rows], rows] if spec.augment else scaled.train_x_nd[rows]
            share = 1.0
            if spec.mixup:
                share = float(betaincinv(spec.mixup, spec.mixup, uniform[within].item()))
            logits = model(share * x + (1 - share) * x.flip(0), step)
            own, partner = (plain_loss(spec, logits, t, weight) for t in (y[rows], y[rows].flip(0)))
            loss = (share * own[0] + (1 - share) * partner[0]) / (share * own[1] + (1 - share) * partner[1])
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():  # what a cosine does not use counts as a slope of zero
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            if spec.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
            optimizer.step()
            total += loss.item() * len(rows)
            if moves == "step" and step < spec.epochs * steps_per_epoch - 1:
                scheduler.step()  # type: ignore[call-arg]
        with torch.no_grad():
            logits = model(scaled.val_x_nd)
        val_loss, pred = F.cross_entropy(logits, val_y).item(), logits.argmax(1)
        f1 = float(f1_score(val_y, pred, average="macro", zero_division=0))
        curves["train_loss"].append(total / len(y))
        curves["val_loss"].append(val_loss)
        curves["val_f1_macro"].append(f1)
        curves["val_accuracy"].append((pred == val_y).double().mean().item())
        if moves == "epoch":
            scheduler.step(*([val_loss] if spec.scheduler == "plateau" else []))
        if f1 > best:
            best, best_epoch = f1, epoch
        elif epoch - best_epoch >= spec.patience:
            break
    return curves


LOSSES: tuple[dict[str, Any], ...] = (
    {},
    {"label_smoothing": 0.1},
    {"class_weight": "balanced"},
    {"class_weight": "effective", "class_beta": 0.9, "label_smoothing": 0.2},
    {"focal_gamma": 2.0},
    {"focal_gamma": 0.5, "class_weight": "balanced", "label_smoothing": 0.1},
    {"mixup": 0.4},
    {"mixup": 1.0, "focal_gamma": 1.0, "class_weight": "balanced"},
)


def zoo() -> list[HeadSpec]:
    """Every optimiser × scheduler × loss, over shapes, outputs and scalings that take turns."""
    variants = itertools.cycle(
        [
            {"hidden": (), "scaling": "standardise"},
            {"hidden": (5,), "activation": "relu", "dropout": 0.3, "augment": True},
            {"hidden": (5,), "activation": "gelu", "layer_norm": True, "scaling": "whiten"},
            {"hidden": (7, 4), "activation": "silu", "dropout": 0.2, "clip_norm": 0.5},
            {"hidden": (5,), "activation": "tanh", "weight_decay": 0.05, "batch_size": 10},
            {"hidden": (), "weight_decay": 0.1, "output": "cosine", "scaling": "unit_norm"},
            {"hidden": (7, 4), "layer_norm": True, "activation": "tanh", "weight_decay": 0.02},
            {"hidden": (5,), "activation": "silu", "output": "cosine", "cosine_scale": 8.0, "augment": True},
            {"hidden": (), "clip_norm": 0.3, "augment": True, "output": "cosine"},
            {"hidden": (5,), "gate_at": 2, "activation": "tanh", "dropout": 0.2, "layer_norm": True},
            {"hidden": (7, 4), "gate_at": 4, "weight_decay": 0.1, "clip_norm": 0.5, "augment": True},
        ]
    )
    return [
        HeadSpec(
            optimizer=optimizer,  # type: ignore[arg-type]
            scheduler=scheduler,  # type: ignore[arg-type]
            lr=0.01,
            epochs=6,
            patience=4,
            plateau_patience=0,
            step_size=3,
            warmup=0.3,
            **{"batch_size": 16, **next(variants), **loss},  # type: ignore[arg-type]
        )
        for optimizer in ("adam", "adamw", "sgd")
        for scheduler in SCHEDULERS
        for loss in LOSSES
    ]


def representatives() -> list[HeadSpec]:
    """Of the zoo, every optimiser × scheduler once; the losses take turns, and all shapes are there."""
    return [zoo()[len(LOSSES) * pair + 5 * pair % len(LOSSES)] for pair in range(3 * len(SCHEDULERS))]


@pytest.mark.parametrize(
    "kept", [representatives, pytest.param(zoo, marks=pytest.mark.slow)], ids=lambda kept: kept.__name__
)
@pytest.mark.filterwarnings("ignore:.*")
def test_a_population_in_float64_equals_plain_torch_loops(kept: Callable[[], list[HeadSpec]]) -> None:
    data, specs, seeds = blobs(), kept(), (11, 12)
    population = Population(specs, data, seeds=seeds)
    population.train(6)
    for head, spec in enumerate(specs):
        outcome = population.outcome(head)
        for index, seed in enumerate(seeds):
            expected = plain_training(spec, data, seed=seed)
            for metric, values in expected.items():
                ours = outcome.curves[metric][index]
                ours = ours[np.isfinite(ours)]
                np.testing.assert_allclose(ours, values, rtol=1e-9, atol=1e-9, err_msg=f"{metric} of {spec}")


def test_both_ways_of_moving_heads_give_the_same_numbers() -> None:
    specs = [
        HeadSpec(optimizer=optimizer, weight_decay=decay, clip_norm=clip, momentum=0.8)  # type: ignore[arg-type]
        for optimizer in ("adam", "adamw", "sgd")
        for decay in (0.0, 0.1)
        for clip in (None, 0.3)
    ]
    random = torch.Generator().manual_seed(0)

    def draw(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(2, len(specs), rows, columns, generator=random, dtype=torch.float64)

    start = [draw(3, 4), draw(3, 1)]
    each, together = [p.clone() for p in start], [p.clone() for p in start]
    ways = [
        (each, Optimizer(specs, each, per_head=True)),
        (together, Optimizer(specs, together, per_head=False)),
    ]
    lr_sk = torch.rand(2, len(specs), generator=random, dtype=torch.float64) * 0.1
    lr_sk[0, 0] = 0
    for _ in range(6):
        gradients = [draw(3, 4), draw(3, 1)]
        for parameters, optimizer in ways:
            optimizer.step(parameters, gradients, lr_sk)
    for a, b, first in zip(each, together, start, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        assert torch.equal(a[0, 0], first[0, 0])


def same_curves(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float = 1e-9) -> None:
    for metric in a:
        np.testing.assert_allclose(a[metric], b[metric], rtol=tolerance, atol=tolerance, err_msg=metric)


@pytest.mark.parametrize(
    ("dtype", "precision", "features", "tolerance"),
    [
        (torch.float64, "float32", 6, 1e-9),
        pytest.param(torch.float32, "float32", 6, 1e-6, marks=pytest.mark.slow),
        pytest.param(torch.float32, "float32", 96, 1e-6, marks=pytest.mark.slow),
        pytest.param(torch.float32, "bfloat16", 6, 1e-6, marks=pytest.mark.slow),
        pytest.param(torch.float32, "bfloat16", 96, 1e-6, marks=pytest.mark.slow),
    ],
)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_head_is_the_same_alone_in_any_slot_and_after_its_neighbours_left(
    dtype: torch.dtype, precision: Precision, features: int, tolerance: float, data: st.DataObject
) -> None:
    """Slots, neighbours, who is dropped when, slabs, and joining with heads of another population."""
    rows = blobs(dtype=dtype, features=features, rows=46 if features == 6 else 200)
    how: dict[str, Any] = {"seeds": (5, 6), "precision": precision}
    wide = [dataclasses.replace(spec, hidden=(64,) * len(spec.hidden)) for spec in zoo()[3::23]]
    pool = [*zoo()[::7], *wide, *(HeadSpec(solver="lbfgs", l2=l2) for l2 in (0.003, 0.1))]
    chosen = data.draw(st.lists(st.sampled_from(range(len(pool))), min_size=2, max_size=12, unique=True))
    watched = data.draw(st.sampled_from(chosen))
    slab_bytes = data.draw(st.sampled_from([None, 1, 4_000]))
    alone = Population([pool[watched]], rows, **how)
    alone.train(6)
    first = Population([pool[head] for head in chosen], rows, slab_bytes=slab_bytes, **how)
    second = Population([pool[head] for head in reversed(chosen)], rows, **how)
    slot, epoch = chosen.index(watched), data.draw(st.integers(1, 5))
    for population in (first, second):
        population.train(epoch)
    first.drop(data.draw(st.lists(st.sampled_from(range(len(chosen))), unique=True).map(set)) - {slot})
    if slot in first.running:
        others = [(second, head) for head in second.running]
        position = data.draw(st.integers(0, len(others)))
        together = Population.gathered([*others[:position], (first, slot), *others[position:]])
        together.train(6)
        outcome = together.outcome(position)
    else:
        outcome = first.outcome(slot)
    same_curves(alone.outcome(0).curves, outcome.curves, tolerance)
    np.testing.assert_array_equal(alone.outcome(0).best_epoch_s, outcome.best_epoch_s)


def test_cohorts_trained_side_by_side_give_what_they_give_one_after_another() -> None:
    data, specs, curves = blobs(), zoo()[::5], []
    before = torch.get_num_threads()
    try:
        for cores in (1, 2):
            torch.set_num_threads(cores)
            population = Population(specs, data, seeds=(5, 6), slab_bytes=4_000)
            population.train(6)
            assert torch.get_num_threads() == cores
            curves.append([population.outcome(head).curves for head in range(len(specs))])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*curves, strict=True):
        same_curves(one, other, tolerance=1e-12)


def test_a_dropped_head_keeps_what_it_reached() -> None:
    data, specs = blobs(), zoo()[:4]
    population = Population(specs, data, seeds=(1,))
    population.train(3)
    before = population.outcome(2)
    population.drop([2])
    population.train(8)
    after = population.outcome(2)
    assert 2 not in population.running
    assert after.epochs == 3
    same_curves(before.curves, after.curves)


def test_a_head_that_diverges_fails_alone() -> None:
    data = blobs()
    steady = HeadSpec(hidden=(5,), lr=0.01, epochs=6)
    wild = dataclasses.replace(steady, lr=1e200, optimizer="sgd", scheduler="none")
    population = Population([steady, wild], data, seeds=(0, 1))
    population.train(6)
    alone = Population([steady], data, seeds=(0, 1))
    alone.train(6)
    assert population.outcome(1).failed
    assert math.isnan(population.outcome(1).score)
    assert not population.outcome(0).failed
    same_curves(alone.outcome(0).curves, population.outcome(0).curves)


def test_a_head_that_sees_some_rows_trains_on_those_alone() -> None:
    """A mask with batches as large as the data equals training on the kept rows."""
    data = blobs()
    spec = HeadSpec(hidden=(5,), lr=0.01, epochs=5, batch_size=64, class_weight="balanced")
    kept = torch.arange(len(data.train.x_nd)) % 4 != 0
    masked = Population([spec], data, seeds=(3,), kept_kn=kept.double().unsqueeze(0))
    masked.train(5)
    few = TrainingData(Split(data.train.x_nd[kept], data.train.y_n[kept]), data.val, classes=data.classes)
    few._scaled["centre"] = data.scaled("centre")._replace(
        train_x_nd=data.scaled("centre").train_x_nd[kept]
    )  # a mask leaves the scale alone
    alone = Population([spec], few, seeds=(3,))
    alone.train(5)
    for metric in ("val_loss", "val_f1_macro"):
        np.testing.assert_allclose(
            masked.outcome(0).curves[metric], alone.outcome(0).curves[metric], rtol=1e-9
        )


def test_the_head_taken_out_scores_what_training_reported() -> None:
    data = blobs()
    specs = [*zoo()[::5], HeadSpec(solver="lbfgs", l2=0.01, scaling="whiten")]
    population = Population(specs, data, seeds=(0, 1))
    population.train(8)
    for head in range(len(specs)):
        outcome = population.outcome(head)
        for seed_index in range(2):
            probabilities = population.head(head, seed_index=seed_index).probabilities(data.val.x_nd)
            pred = probabilities.argmax(1)
            f1 = f1_score(data.val.y_n, pred, average="macro", zero_division=0)
            assert f1 == pytest.approx(outcome.val_f1_macro_s[seed_index], abs=1e-12)
            np.testing.assert_allclose(probabilities.sum(1), 1)


def test_a_seed_that_runs_out_of_patience_stops_and_the_other_goes_on() -> None:
    data = blobs()
    specs = [HeadSpec(lr=0.05, epochs=40, patience=3), HeadSpec(lr=0.003, epochs=40, patience=3)]
    population = Population(specs, data, seeds=tuple(range(6)))
    population.train(40)
    for head in range(2):
        outcome = population.outcome(head)
        ran = np.isfinite(outcome.curves["val_loss"]).sum(1)
        np.testing.assert_array_equal(ran, np.minimum(outcome.best_epoch_s + 3, 40))
    assert (
        len({int(r) for h in range(2) for r in np.isfinite(population.outcome(h).curves["val_loss"]).sum(1)})
        > 1
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("dropout", 1.0), ("lr", 0.0), ("optimizer", "lion"), ("hidden", (0,)), ("epochs", 0), ("gamma", 0.0)],
)
def test_a_value_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        HeadSpec(**{field: value})  # type: ignore[arg-type]
