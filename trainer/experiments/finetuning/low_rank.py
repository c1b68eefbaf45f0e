"""LoRA: a frozen weight and a low-rank addition that is trained (Hu et al. 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainer.core.errors import InputError


class LowRank(nn.Module):
    """W + alpha / rank · up · down: [out, in] of any W [out, in]; W itself at first, since ``up`` is zero."""

    def __init__(self, weight_oi: Tensor, *, rank: int, alpha: float, random: torch.Generator) -> None:
        super().__init__()
        out, width = weight_oi.shape
        bound = 1 / math.sqrt(width)
        down = (2 * torch.rand(rank, width, generator=random) - 1) * bound
        self.down = nn.Parameter(down.to(weight_oi.device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=weight_oi.device))
        self._scale = alpha / rank

    def forward(self, weight_oi: Tensor) -> Tensor:
        """Return the sum, in float32 also under autocast, as it is saved."""
        with torch.autocast(weight_oi.device.type, enabled=False):
            return weight_oi + self._scale * (self.up @ self.down)


def check_rank(model: nn.Module, rank: int) -> None:
    """Raise InputError for a rank that is larger than a side of a weight that requires gradients."""
    most = min(min(parameter.shape) for parameter in model.parameters() if parameter.requires_grad)
    if rank > most:
        raise InputError(f"--lora is {rank}; the attention projections allow a rank of at most {most}.")


def add_low_rank(model: nn.Module, *, rank: int, alpha: float, seed: int) -> None:
    """Give each weight that requires gradients an addition that is trained in its place."""
    random = torch.Generator().manual_seed(seed)
    for name in [name for name, parameter in model.named_parameters() if parameter.requires_grad]:
        path, _, own = name.rpartition(".")
        layer = model.get_submodule(path)
        weight_oi = getattr(layer, own).requires_grad_(False)
        addition = LowRank(weight_oi, rank=rank, alpha=alpha, random=random)
        parametrize.register_parametrization(layer, own, addition)
