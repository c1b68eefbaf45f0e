"""Learning rates, step by step. Equal to ``torch.optim.lr_scheduler``, as one table for many heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainer.heads.head_config import HeadSpec


def lr_table(
    specs: Sequence[HeadSpec], *, steps_per_epoch: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the learning rate of every head at every step: float64 [T, K], T = longest head's epochs ·
    steps_per_epoch.

    StepLR, MultiStepLR, ExponentialLR and CosineAnnealingLR move once an epoch, OneCycleLR and
    warm-up + cosine at every step, as in PyTorch's own documentation. ``plateau`` is constant here:
    `Plateau` multiplies it by what the validation loss has asked for. Rates after a head's last
    epoch are zero.
    """
    total = max(spec.epochs for spec in specs) * steps_per_epoch
    columns = [
        [
            _rate(spec, step, steps_per_epoch) if step < spec.epochs * steps_per_epoch else 0.0
            for step in range(total)
        ]
        for spec in specs
    ]
    return torch.tensor(columns, dtype=torch.float64, device=device).T.contiguous()


def _rate(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    return spec.lr * FACTORS[spec.scheduler](spec, step, steps_per_epoch)


def _constant(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    return 1.0


def _step(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    return spec.gamma ** (step // steps_per_epoch // spec.step_size)


def milestone_epochs(spec: HeadSpec) -> list[int]:
    """Return the whole epochs after which ``multistep`` drops the rate."""
    return [round(share * spec.epochs) for share in spec.milestones]


def _multistep(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    epoch = step // steps_per_epoch
    return spec.gamma ** sum(epoch >= milestone for milestone in milestone_epochs(spec))


def _exponential(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    return spec.decay ** (step // steps_per_epoch)


def _cosine(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    return _half_cosine(1.0, 0.0, (step // steps_per_epoch) / spec.epochs)


def _onecycle(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    # Smith & Topin 2018 as PyTorch has it: from 1/25 of the top up to it, then down to 1/10,000 of the start.
    total = spec.epochs * steps_per_epoch
    start, end = 1 / 25, 1 / 25 / 1e4
    top = spec.warmup * total - 1
    if top > 0 and step <= top:
        return _half_cosine(start, 1.0, step / top)
    return _half_cosine(1.0, end, (step - top) / (total - 1 - top)) if total - 1 > top else end


def warmup_steps(spec: HeadSpec, steps_per_epoch: int) -> int:
    """Return the steps in which ``warmup_cosine`` rises; at least one, and at least one is left to fall."""
    total = spec.epochs * steps_per_epoch
    return min(max(1, round(spec.warmup * total)), max(1, total - 1))


def _warmup_cosine(spec: HeadSpec, step: int, steps_per_epoch: int) -> float:
    rise = warmup_steps(spec, steps_per_epoch)
    if step < rise:
        return 0.01 + 0.99 * step / rise  # from 1 % of the top, in a straight line
    return _half_cosine(1.0, 0.0, (step - rise) / max(1, spec.epochs * steps_per_epoch - rise))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


FACTORS: dict[str, Callable[[HeadSpec, int, int], float]] = {
    "none": _constant,
    "step": _step,
    "multistep": _multistep,
    "exponential": _exponential,
    "cosine": _cosine,
    "onecycle": _onecycle,
    "warmup_cosine": _warmup_cosine,
    "plateau": _constant,
}


class Plateau:
    """ReduceLROnPlateau for [S, K] heads at once (heads of other schedulers keep 1).

    It watches the validation loss; of heads that keep their last weights the training loss.

    PyTorch's rule: a loss counts as better when it is below (1 - 1e-4) of the best; after more than
    ``plateau_patience`` epochs in a row without one, the factor is multiplied by ``gamma``, unless
    that would move the rate by no more than 1e-8.
    """

    OF_HEADS = ("applies_k", "gamma_k", "lr_k", "patience_k", "factor_sk", "best_sk", "bad_sk")

    def __init__(self, specs: Sequence[HeadSpec], *, seeds: int, device: torch.device | str = "cpu") -> None:
        heads = len(specs)
        self.applies_k = torch.tensor([s.scheduler == "plateau" for s in specs], device=device)
        self.gamma_k = torch.tensor([s.gamma for s in specs], dtype=torch.float64, device=device)
        self.lr_k = torch.tensor([s.lr for s in specs], dtype=torch.float64, device=device)
        self.patience_k = torch.tensor([s.plateau_patience for s in specs], device=device)
        self.factor_sk = torch.ones(seeds, heads, dtype=torch.float64, device=device)
        self.best_sk = torch.full((seeds, heads), math.inf, dtype=torch.float64, device=device)
        self.bad_sk = torch.zeros(seeds, heads, dtype=torch.int64, device=device)

    def step(self, loss_sk: Tensor) -> None:
        """Take the watched loss of one epoch."""
        loss_sk = loss_sk.to(torch.float64)
        better = loss_sk < self.best_sk * (1 - 1e-4)
        self.best_sk = torch.where(better, loss_sk, self.best_sk)
        self.bad_sk = torch.where(better, 0, self.bad_sk + 1)
        reduced = self.factor_sk * self.gamma_k
        drop = (self.bad_sk > self.patience_k) & self.applies_k
        moves = (self.factor_sk - reduced) * self.lr_k > 1e-8
        self.factor_sk = torch.where(drop & moves, reduced, self.factor_sk)
        self.bad_sk = torch.where(drop, 0, self.bad_sk)

    def keep(self, index_k: Tensor) -> None:
        """Go on with these heads only, in this order."""
        for name in self.OF_HEADS:
            setattr(self, name, getattr(self, name)[..., index_k])

    def join(self, others: Sequence[Plateau]) -> None:
        """Take in the heads of others, after one's own."""
        for name in self.OF_HEADS:
            setattr(self, name, torch.cat([getattr(one, name) for one in (self, *others)], dim=-1))
