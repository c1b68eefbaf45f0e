"""Heads of one shape, as one stack of tensors.

Every tensor carries seeds first and heads second, ``[S, K, …]``, and activations carry units before
rows, ``[S, K, H, B]``. So the first layer of all heads of a seed is one matrix product,
``W[K·H, D] @ x[D, B]``, and a head's own weights are the slice ``[s, k]``, in ``torch.nn.Linear``'s layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.heads import streams
from trainer.heads.spec import HeadSpec

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
NORM_EPSILON = 1e-5


class Layer(NamedTuple):
    """Weights and biases of one layer; gain and shift are LayerNorm's, absent in the last layer."""

    weight: Tensor  # [S, K, H, inputs]
    bias: Tensor  # [S, K, H, 1]
    gain: Tensor | None  # [S, K, H, 1]
    shift: Tensor | None  # [S, K, H, 1]


class Run(NamedTuple):
    """Neighbouring heads that treat their hidden units alike."""

    start: int
    stop: int
    activation: str
    layer_norm: bool


def sort_key(spec: HeadSpec) -> tuple[str, bool]:
    """Heads sorted by this form the fewest runs."""
    return spec.activation, spec.layer_norm


class Stack:
    """The weights of S · K heads of one hidden shape, and their forward pass.

    Args:
        specs: K configurations with the same ``hidden``.
        seeds: S seeds; each has its own initial weights and dropout noise.
    """

    def __init__(
        self,
        specs: Sequence[HeadSpec],
        *,
        seeds: tuple[int, ...],
        features: int,
        classes: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.seeds = seeds
        self.layers: list[Layer] = []
        widths = (features, *specs[0].hidden, classes)
        for depth, (inputs, outputs) in enumerate(pairwise(widths)):
            weight, bias = streams.initial_linear(
                seeds, layer=depth, inputs=inputs, outputs=outputs, dtype=dtype
            )
            per_head = (len(seeds), len(specs), outputs)
            last = depth == len(widths) - 2
            layer = Layer(
                weight=weight.unsqueeze(1).expand(*per_head, inputs).to(device, copy=True).contiguous(),
                bias=bias.unsqueeze(1).expand(*per_head, 1).to(device, copy=True).contiguous(),
                gain=None if last else torch.ones(*per_head, 1, dtype=dtype, device=device),
                shift=None if last else torch.zeros(*per_head, 1, dtype=dtype, device=device),
            )
            self.layers.append(layer)
        self._describe(specs)

    def _describe(self, specs: Sequence[HeadSpec]) -> None:
        reference = self.layers[0].weight
        self.dropout_k = torch.tensor(
            [spec.dropout for spec in specs], dtype=reference.dtype, device=reference.device
        )
        self.any_dropout = any(spec.dropout > 0 for spec in specs)
        self.runs, start = [], 0
        for (activation, layer_norm), members in groupby(specs, key=sort_key):
            stop = start + len(list(members))
            self.runs.append(Run(start, stop, activation, layer_norm))
            start = stop

    def parameters(self) -> list[Tensor]:
        """All tensors, each [S, K, rows, columns]."""
        return [tensor for layer in self.layers for tensor in layer if tensor is not None]

    def forward(self, x_sbd: Tensor, *, dropout_step: int | None = None) -> Tensor:
        """Logits [S, K, C, B] of a batch x [S, B, D] (or [1, N, D], the same rows for every seed).

        Args:
            dropout_step: number of the training step, which names the dropout noise; ``None`` to evaluate.
        """
        first = self.layers[0]
        seeds, heads, units, inputs = first.weight.shape
        x_sdb = x_sbd.transpose(1, 2).expand(seeds, -1, -1)
        z = torch.baddbmm(
            first.bias.reshape(seeds, heads * units, 1),
            first.weight.reshape(seeds, heads * units, inputs),
            x_sdb,
        ).view(seeds, heads, units, -1)
        for depth, (layer, following) in enumerate(pairwise(self.layers)):
            hidden = self._hidden(z, layer)
            if dropout_step is not None and self.any_dropout:
                hidden = self._drop(hidden, step=dropout_step, depth=depth)
            z = following.weight @ hidden + following.bias
        return z

    def _hidden(self, z_skhb: Tensor, layer: Layer) -> Tensor:
        assert layer.gain is not None
        assert layer.shift is not None
        pieces = []
        for start, stop, activation, layer_norm in self.runs:
            piece = z_skhb[:, start:stop]
            if layer_norm:
                piece = piece - piece.mean(2, keepdim=True)  # torch.var_mean is slow over a middle axis
                piece = piece * torch.rsqrt(piece.square().mean(2, keepdim=True) + NORM_EPSILON)
                piece = piece * layer.gain[:, start:stop] + layer.shift[:, start:stop]
            pieces.append(ACTIVATIONS[activation](piece))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _drop(self, hidden_skhb: Tensor, *, step: int, depth: int) -> Tensor:
        units, rows = hidden_skhb.shape[2:]
        uniform = streams.dropout_uniforms(
            self.seeds, step=step, layer=depth, shape=(units, rows), like=hidden_skhb
        )
        rate = self.dropout_k[:, None, None]
        return hidden_skhb * ((uniform >= rate) / (1 - rate))

    def keep(self, index_k: Tensor, specs: Sequence[HeadSpec]) -> None:
        """Go on with these heads only."""

        def kept(tensor: Tensor) -> Tensor:
            return tensor[:, index_k].contiguous()

        self.layers = [
            Layer(
                weight=kept(layer.weight),
                bias=kept(layer.bias),
                gain=None if layer.gain is None else kept(layer.gain),
                shift=None if layer.shift is None else kept(layer.shift),
            )
            for layer in self.layers
        ]
        self._describe(specs)
