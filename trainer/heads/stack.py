"""Heads of one shape, as one stack of tensors.

Every tensor carries seeds first and heads second, ``[S, K, …]``, and activations carry units before
rows, ``[S, K, H, B]``. So the first layer of all heads that see the same rows is one matrix product per seed,
``W[K·H, D] @ x[D, B]``, and a head's own weights are the slice ``[s, k]``, in ``torch.nn.Linear``'s layout.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.heads import common_random_numbers
from trainer.heads.head_config import HeadSpec, Scaling

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
NORM_EPSILON = 1e-5
COSINE_EPSILON = 1e-12  # below the square root of a squared norm: a ReLU layer may be all zeros


def gated(z: Tensor, dim: int) -> Tensor:
    """Return three blocks along ``dim``, of one kind of features, of the other, of both → σ(g)·a + (1 −
    σ(g))·b.

    The gated multimodal unit (Arevalo et al. 2017), with the layer's activation after the mixture.
    """
    a, b, g = z.chunk(3, dim)
    return b + torch.sigmoid(g) * (a - b)


def gate_mask(units: int, *, features: int, gate_at: int) -> Tensor:
    """Return [3 · units, features] of 0 and 1: which features each block of `gated` sees."""
    first_d = (torch.arange(features) < gate_at).double()
    return torch.stack([first_d, 1 - first_d, torch.ones(features)]).repeat_interleave(units, 0)


class Layer(NamedTuple):
    """Weights and biases of one layer; gain and shift are LayerNorm's, absent in the last layer."""

    weight: Tensor  # [S, K, H, inputs]
    bias: Tensor  # [S, K, H, 1]
    gain: Tensor | None  # [S, K, H, 1]
    shift: Tensor | None  # [S, K, H, 1]


class InputSlice(NamedTuple):
    """Neighbouring heads that see the same rows, scaled alike."""

    start: int
    stop: int
    scaling: Scaling
    augment: bool


class ActivationRun(NamedTuple):
    """Neighbouring heads that treat their hidden units alike."""

    heads: int
    activation: str
    layer_norm: bool


def sort_key(spec: HeadSpec) -> tuple[bool, str, bool, str, bool]:
    """Return the key whose order forms the fewest feeds and runs, those with a cosine last."""
    return spec.output == "cosine", spec.scaling, spec.augment, spec.activation, spec.layer_norm


class Stack:
    """The weights of S · K heads of one hidden shape, and their forward pass.

    Args:
        specs: K configurations with the same ``hidden`` and ``gate_at``, in the order of `sort_key`.
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
        self.seeds, self.parts = seeds, 1
        self.layers: list[Layer] = []
        self.mask: Tensor | None = None  # of the first layer's weights, where it is gated
        widths = (features, *specs[0].hidden, classes)
        for depth, (inputs, outputs) in enumerate(pairwise(widths)):
            units = outputs
            if depth == 0 and specs[0].gate_at:
                mask = gate_mask(units, features=features, gate_at=specs[0].gate_at)
                self.mask, outputs = mask.to(device, dtype), 3 * units
            weight, bias = common_random_numbers.initial_linear(
                seeds, layer=depth, inputs=inputs, outputs=outputs, dtype=dtype
            )
            if depth == 0 and self.mask is not None:
                weight = weight * self.mask.to(weight)
            per_head = (len(seeds), len(specs), outputs)
            per_unit = (len(seeds), len(specs), units)
            last = depth == len(widths) - 2
            layer = Layer(
                weight=weight.unsqueeze(1).expand(*per_head, inputs).to(device, copy=True).contiguous(),
                bias=bias.unsqueeze(1).expand(*per_head, 1).to(device, copy=True).contiguous(),
                gain=None if last else torch.ones(*per_unit, 1, dtype=dtype, device=device),
                shift=None if last else torch.zeros(*per_unit, 1, dtype=dtype, device=device),
            )
            self.layers.append(layer)
        self._describe(specs)

    @classmethod
    def of_parts(cls, stacks: Sequence[Stack]) -> Stack:
        """Return one stack of P · S seeds, of which the weights of each given one become a part.

        They have the same heads and seeds, which draw the same dropout noise in every part.
        """
        whole = copy.copy(stacks[0])
        whole._rebuild(stacks, torch.cat)
        whole.parts, whole._gradient = len(stacks), None
        for part, stack in enumerate(stacks):
            seeds = slice(part * len(stack.seeds), (part + 1) * len(stack.seeds))
            stack._rebuild([whole], lambda tensors, seeds=seeds: tensors[0][seeds])  # type: ignore[misc]
        return whole

    def _describe(self, specs: Sequence[HeadSpec]) -> None:
        reference = self.layers[0].weight

        def over_heads(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=reference.dtype, device=reference.device)

        self.dropout_k = over_heads([spec.dropout for spec in specs])
        self.any_dropout = any(spec.dropout > 0 for spec in specs)
        self.runs = [
            ActivationRun(len(list(members)), *key)
            for key, members in groupby(specs, key=lambda spec: (spec.activation, spec.layer_norm))
        ]
        self.feeds, start = [], 0
        for key, members in groupby(specs, key=lambda spec: (spec.scaling, spec.augment)):
            stop = start + len(list(members))
            self.feeds.append(InputSlice(start, stop, *key))
            start = stop
        self.linear = sum(spec.output == "linear" for spec in specs)  # the heads after these have a cosine
        self.cosine_scale_k11 = over_heads([spec.cosine_scale for spec in specs])[self.linear :, None, None]
        self.has_bias_k11 = over_heads([float(spec.output == "linear") for spec in specs])[:, None, None]
        self._gradient: Tensor | None = None

    def parameters(self) -> list[Tensor]:
        """Return all tensors, each [S, K, rows, columns]."""
        return [tensor for layer in self.layers for tensor in layer if tensor is not None]

    def forward(
        self, x_fsbd: Sequence[Tensor], *, dropout_step: int | None = None, share_skb: Tensor | None = None
    ) -> Tensor:
        """Return the logits [S, K, C, B].

        Args:
            x_fsbd: the batch [S, B, D] of each of `feeds` (or [1, N, D], the same rows for every seed).
            dropout_step: number of the training step, which names the dropout noise; ``None`` to evaluate.
            share_skb: mixup: how much of itself each row keeps; the rest is row B-1-b of the batch.
        """
        if self._gradient is None or self._gradient.shape != self.layers[0].weight.shape:
            self._gradient = torch.empty_like(self.layers[0].weight)
        inputs = tuple(zip(self.feeds, x_fsbd, strict=True))
        z = _FirstLayer.apply(self.layers[0].weight, self._bias(0), inputs, self._gradient, self.mask)
        if share_skb is not None:
            # the first layer is linear, so mixing what it returns is mixing what it was given
            z = z.flip(3) + share_skb.unsqueeze(2) * (z - z.flip(3))
        if self.mask is not None:
            z = gated(z, 2)
        hidden = None
        for depth, layer in enumerate(self.layers[:-1]):
            hidden = self._hidden(z, layer)
            if dropout_step is not None and self.any_dropout:
                hidden = self._drop(hidden, step=dropout_step, depth=depth)
            z = self.layers[depth + 1].weight @ hidden + self._bias(depth + 1)
        if self.linear == z.shape[1]:
            return z
        dot, cosine = z.split([self.linear, z.shape[1] - self.linear], dim=1)
        length = self._input_norm(x_fsbd, share_skb) if hidden is None else _norm(hidden[:, self.linear :], 2)
        weight_length = _norm(self.layers[-1].weight[:, self.linear :], 3)
        return torch.cat([dot, self.cosine_scale_k11 * cosine / (length * weight_length)], dim=1)

    def _bias(self, depth: int) -> Tensor:
        """Return biases [S, K, H, 1]; those of a cosine do not count."""
        bias = self.layers[depth].bias
        last = depth == len(self.layers) - 1
        return bias * self.has_bias_k11 if last and self.linear < bias.shape[1] else bias

    def _input_norm(self, x_fsbd: Sequence[Tensor], share_skb: Tensor | None) -> Tensor:
        """Return the norm of what the cosine heads without hidden layers are given, mixed or not: [S, K',
        1, B]."""
        pieces = []
        for feed, x_sbd in zip(self.feeds, x_fsbd, strict=True):
            start = max(feed.start, self.linear)
            if start >= feed.stop:
                continue
            square = x_sbd.square().sum(2).unsqueeze(1).expand(-1, feed.stop - start, -1)
            if share_skb is not None:
                own = share_skb[:, start : feed.stop]
                both = (x_sbd * x_sbd.flip(1)).sum(2).unsqueeze(1)
                square = own**2 * square + (1 - own) ** 2 * square.flip(2) + 2 * own * (1 - own) * both
            pieces.append((square + COSINE_EPSILON).sqrt().unsqueeze(2))
        return torch.cat(pieces, dim=1)

    def _hidden(self, z_skhb: Tensor, layer: Layer) -> Tensor:
        assert layer.gain is not None
        assert layer.shift is not None
        sizes = [run.heads for run in self.runs]
        pieces = []
        for run, piece, gain, shift in zip(
            self.runs,
            z_skhb.split(sizes, dim=1),
            layer.gain.split(sizes, dim=1),
            layer.shift.split(sizes, dim=1),
            strict=True,
        ):
            if run.layer_norm:
                piece = piece - piece.mean(2, keepdim=True)  # torch.var_mean is slow over a middle axis
                piece = piece * torch.rsqrt(piece.square().mean(2, keepdim=True) + NORM_EPSILON)
                piece = piece * gain + shift
            pieces.append(ACTIVATIONS[run.activation](piece))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def _drop(self, hidden_skhb: Tensor, *, step: int, depth: int) -> Tensor:
        units, rows = hidden_skhb.shape[2:]
        uniform = common_random_numbers.dropout_uniforms(
            self.seeds, step=step, layer=depth, shape=(units, rows), like=hidden_skhb
        )
        uniform = uniform.repeat(self.parts, 1, 1, 1) if self.parts > 1 else uniform
        rate = self.dropout_k[:, None, None]
        # into floats: a mask of booleans would be divided number by number, in up to twice the time
        kept = torch.ge(uniform, rate, out=torch.empty_like(hidden_skhb))
        return hidden_skhb * kept.div_(1 - rate)

    def keep(self, index_k: Tensor, specs: Sequence[HeadSpec]) -> None:
        """Go on with these heads only, in this order."""
        self._rebuild([self], lambda tensors: tensors[0][:, index_k].contiguous())
        self._describe(specs)

    def join(self, others: Sequence[Stack], specs: Sequence[HeadSpec]) -> None:
        """Take in the heads of others of the same shape, after one's own; to be sorted by `keep`."""
        self._rebuild([self, *others], lambda tensors: torch.cat(tensors, dim=1))
        self._describe(specs)

    def _rebuild(self, stacks: Sequence[Stack], change: Callable[[list[Tensor]], Tensor]) -> None:
        def changed(tensors: tuple[Tensor | None, ...]) -> Tensor | None:
            return None if tensors[0] is None else change(list(tensors))  # type: ignore[arg-type]

        self.layers = [
            Layer(*(changed(tensors) for tensors in zip(*same, strict=True)))  # type: ignore[arg-type]
            for same in zip(*(stack.layers for stack in stacks), strict=True)
        ]


def _norm(values: Tensor, dim: int) -> Tensor:
    return (values.square().sum(dim, keepdim=True) + COSINE_EPSILON).sqrt()


class _FirstLayer(torch.autograd.Function):
    """W x + b of every head, each feed with its own x.

    By hand, because autograd would make a tensor as large as W for every feed, and a new one for every step:
    handing memory of this size back and forth took longer than the products themselves. The gradient of W
    goes into a buffer that is used again in the next step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        inputs: tuple[tuple[InputSlice, Tensor], ...],
        gradient: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        seeds, heads, units, features = weight.shape
        rows = inputs[0][1].shape[1]
        z = weight.new_empty(seeds, heads, units, rows)
        for (start, stop, *_), x_sbd in inputs:
            torch.baddbmm(
                bias[:, start:stop].reshape(seeds, -1, 1),
                weight[:, start:stop].reshape(seeds, -1, features),
                x_sbd.transpose(1, 2).expand(seeds, -1, -1),
                out=z[:, start:stop].view(seeds, -1, rows),
            )
        ctx.inputs, ctx.gradient, ctx.mask = inputs, gradient, mask
        return z

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (dz,) = slopes
        seeds, features = dz.shape[0], ctx.gradient.shape[-1]
        for (start, stop, *_), x_sbd in ctx.inputs:
            torch.bmm(
                dz[:, start:stop].reshape(seeds, -1, dz.shape[-1]),
                x_sbd.expand(seeds, -1, -1),
                out=ctx.gradient[:, start:stop].view(seeds, -1, features),
            )
        if ctx.mask is not None:  # what a block does not see stays zero
            ctx.gradient.mul_(ctx.mask)
        return ctx.gradient, dz.sum(-1, keepdim=True), None, None, None
