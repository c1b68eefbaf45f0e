"""Common random numbers: every draw is a function of its purpose and its seed, never of its neighbours.

A head draws the same sample order, dropout noise and initial weights whether it is trained alone or
in any slot beside any others, so a comparison between two heads is a paired one, and any trial can
be trained again by itself.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor


def generator(*key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator that starts at a point named by ``key``: a purpose, a seed, a step."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    source = torch.Generator(device=device)
    source.manual_seed(int.from_bytes(digest, "little") >> 1)
    return source


def sample_order(seeds: tuple[int, ...], *, epoch: int, rows: int) -> Tensor:
    """Return the order in which each seed walks through the training rows in one epoch: int64 [S, N]."""
    return torch.stack([torch.randperm(rows, generator=generator(seed, "order", epoch)) for seed in seeds])


def views(seeds: tuple[int, ...], *, epoch: int, rows: int, count: int) -> Tensor:
    """Return which of its ``count`` views each training row shows in one epoch: int64 [S, N], from 0."""
    return torch.stack(
        [torch.randint(count, (rows,), generator=generator(seed, "views", epoch)) for seed in seeds]
    )


def mixup_shares(seeds: tuple[int, ...], *, alpha_k: np.ndarray, epoch: int, steps: int) -> Tensor:
    """Return mixup's share λ ~ Beta(α, α) for each step of one epoch: float64 [T, S, K], 1 where α is 0.

    All heads of a seed share one uniform number per step, turned into λ by their own α.
    """
    uniform_ts = torch.stack(
        [torch.rand(steps, generator=generator(seed, "mixup", epoch), dtype=torch.float64) for seed in seeds],
        dim=1,
    )
    shares = np.ones((steps, len(seeds), len(alpha_k)))
    mixed = alpha_k > 0
    shares[..., mixed] = betaincinv(alpha_k[mixed], alpha_k[mixed], uniform_ts.numpy()[..., None])
    return torch.from_numpy(shares)


def dropout_uniforms(
    seeds: tuple[int, ...], *, step: int, layer: int, shape: tuple[int, int], like: Tensor
) -> Tensor:
    """Return uniform numbers in [0, 1): [S, 1, H, B] for ``shape == (H, B)``.

    All heads of a seed share them: a unit is dropped where its number lies below the head's own rate.
    """
    draws = [
        torch.rand(
            shape,
            generator=generator(seed, "dropout", layer, step, device=like.device),
            device=like.device,
            dtype=like.dtype,
        )
        for seed in seeds
    ]
    return torch.stack(draws).unsqueeze(1)


def initial_linear(
    seeds: tuple[int, ...], *, layer: int, inputs: int, outputs: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the first weights [S, outputs, inputs] and biases [S, outputs, 1], uniform in ±1/√inputs.

    The same range as ``torch.nn.Linear``'s. Drawn in float64 on the CPU, so that every device and
    precision starts from the same point.
    """
    bound = 1 / math.sqrt(inputs)
    draws = [
        torch.rand((outputs, inputs + 1), generator=generator(seed, "initial", layer), dtype=torch.float64)
        for seed in seeds
    ]
    numbers = ((torch.stack(draws) * 2 - 1) * bound).to(dtype)
    return numbers[:, :, :-1].contiguous(), numbers[:, :, -1:].contiguous()
