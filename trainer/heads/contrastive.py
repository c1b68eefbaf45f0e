"""A linear map under which photos of one class lie close: supervised contrastive learning on frozen features.

The loss is that of Khosla et al. 2020 ("Supervised contrastive learning", eq. 2, the sum outside the
logarithm). The map begins as the principal axes of the training rows, so that it begins with the cosine of
centred features and departs from it only as far as the classes teach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.heads.common_random_numbers import generator
from trainer.heads.training_data import Scale, find_scale

LARGEST_BATCH = 512  # rows; all of them where they are no more
PER_CLASS = 4  # rows of a class in a batch that is drawn


@dataclass(frozen=True, kw_only=True)
class ContrastiveSpec:
    """One configuration.

    Raises:
        ValueError: a value outside its range.
    """

    width: int = 128  # dimensions of the embedding; fewer where the features, or the rows, have fewer
    scaling: Literal["centre", "whiten"] = "centre"
    temperature: float = 0.1
    dropout: float = 0.2  # share of the features set to zero while training
    lr: float = 1e-3
    weight_decay: float = 1e-4
    steps: int = 100

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.steps >= 1 and self.temperature > 0 and self.lr > 0):
            raise ValueError(f"width, steps, temperature and lr must be above 0: {self}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; expected 0 ≤ dropout < 1")


@dataclass(frozen=True)
class LinearMap:
    """What was learned."""

    scale: Scale
    weight: Tensor  # [W, D]

    @torch.inference_mode()
    def embedding(self, x_nd: Tensor) -> Tensor:
        """Return [N, W] of raw features [N, D]."""
        return self.scale.apply(x_nd) @ self.weight.T


def supcon(z_bw: Tensor, y_b: Tensor, *, temperature: float) -> Tensor:
    """Return the loss of a batch of embeddings of length 1; rows without a partner of their class do not
    count."""
    itself = torch.eye(len(y_b), dtype=torch.bool, device=y_b.device)
    partner = (y_b[:, None] == y_b) & ~itself
    similarity = (z_bw @ z_bw.T / temperature).masked_fill(itself, -torch.inf)
    log_p = similarity - similarity.logsumexp(1, keepdim=True)
    partners = partner.sum(1)
    each = -log_p.masked_fill(~partner, 0).sum(1) / partners.clamp_min(1)
    return each.sum() / (partners > 0).sum().clamp_min(1)


def train(x_nd: Tensor, y_n: Tensor, spec: ContrastiveSpec, *, seed: int) -> LinearMap:
    """Learn the map by AdamW with a cosine schedule.

    Args:
        x_nd: raw features [N, D], on the device that trains. ``y_n``: int64 [N].
        seed: draws batches and dropout; the start is not random.
    """
    scale = find_scale(x_nd, spec.scaling)
    scaled = scale.apply(x_nd)
    width = min(spec.width, *scaled.shape)
    axes = torch.linalg.svd(scaled.double(), full_matrices=False).Vh[:width].to(scaled)
    weight = axes.clone().requires_grad_()
    optimizer = torch.optim.AdamW([weight], lr=spec.lr, weight_decay=spec.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.steps)
    for step in range(spec.steps):
        rows = _batch(y_n, seed=seed, step=step)
        inputs, labels = (scaled, y_n) if rows is None else (scaled[rows], y_n[rows])
        if spec.dropout:
            noise = torch.rand(inputs.shape, generator=generator(seed, "contrastive dropout", step))
            inputs = inputs * (noise >= spec.dropout).to(inputs) / (1 - spec.dropout)
        loss = supcon(F.normalize(inputs @ weight.T, dim=1), labels, temperature=spec.temperature)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return LinearMap(scale, weight.detach())


def _batch(y_n: Tensor, *, seed: int, step: int) -> Tensor | None:
    """Return rows of a batch: some classes, `PER_CLASS` rows of each; None for all rows."""
    if len(y_n) <= LARGEST_BATCH:
        return None
    source = generator(seed, "contrastive batch", step)
    mixed = torch.randperm(len(y_n), generator=source).to(y_n.device)
    classes = torch.randperm(int(y_n.max()) + 1, generator=source)[: LARGEST_BATCH // PER_CLASS]
    chosen = mixed[torch.isin(y_n[mixed], classes.to(y_n.device))]
    order = torch.argsort(y_n[chosen], stable=True)
    sorted_y = y_n[chosen][order]
    place = torch.arange(len(order), device=y_n.device) - torch.searchsorted(sorted_y, sorted_y)
    return chosen[order][place < PER_CLASS]
