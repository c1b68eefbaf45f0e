"""Adam, AdamW and SGD with momentum, side by side in one update rule."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.heads.spec import HeadSpec

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Optimizer:
    """One update for heads with different optimisers and settings: all of them are vectors over heads.

    Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019) and SGD with momentum, in PyTorch's
    arithmetic, share one form: a moving sum of gradients, divided by a root mean square where the
    head is adaptive. Gradients are clipped by each head's own norm.
    """

    def __init__(self, specs: Sequence[HeadSpec], parameters: Sequence[Tensor]) -> None:
        self.steps = 0
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self._describe(specs, like=parameters[0])

    def _describe(self, specs: Sequence[HeadSpec], like: Tensor) -> None:
        def over_heads(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]

        adaptive = [spec.optimizer != "sgd" for spec in specs]
        self.adaptive = torch.tensor(adaptive, device=like.device)[:, None, None]
        self.all_adaptive = all(adaptive)
        self.any_adaptive = any(adaptive)
        self.keep_rate = over_heads(
            [BETA1 if a else s.momentum for a, s in zip(adaptive, specs, strict=True)]
        )
        self.take_rate = over_heads([1 - BETA1 if a else 1.0 for a in adaptive])
        # adamw shrinks the weights themselves; adam and sgd add the decay to the gradient
        self.shrink = over_heads([s.weight_decay if s.optimizer == "adamw" else 0.0 for s in specs])
        self.l2 = over_heads([s.weight_decay if s.optimizer != "adamw" else 0.0 for s in specs])
        self.any_shrink = bool(self.shrink.any())
        self.any_l2 = bool(self.l2.any())
        self.clip = over_heads([torch.inf if s.clip_norm is None else s.clip_norm for s in specs])
        self.any_clip = any(s.clip_norm is not None for s in specs)

    @torch.no_grad()
    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], lr_sk: Tensor) -> None:
        """Move ``parameters`` ([S, K, …] each) in place; a rate of 0 leaves a head exactly as it is."""
        self.steps += 1
        lr = lr_sk[:, :, None, None].to(parameters[0].dtype)
        if self.any_clip:
            gradients = self._clipped(gradients)
        for p, g, m, v in zip(parameters, gradients, self.first, self.second, strict=True):
            if self.any_l2:
                g = torch.addcmul(g, self.l2, p)
            if self.any_shrink:
                p.mul_(1 - lr * self.shrink)
            m.mul_(self.keep_rate).addcmul_(g, self.take_rate)
            if self.any_adaptive:
                v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
                p.sub_(m * (lr / self._bias1()) / self._root(v))
            else:
                p.sub_(m * lr)

    def _bias1(self) -> Tensor | float:
        bias1 = 1 - BETA1**self.steps
        return bias1 if self.all_adaptive else torch.where(self.adaptive, bias1, 1.0)

    def _root(self, v: Tensor) -> Tensor:
        root = v.sqrt().div_((1 - BETA2**self.steps) ** 0.5).add_(EPSILON)
        return root if self.all_adaptive else torch.where(self.adaptive, root, 1.0)

    def _clipped(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        square = torch.stack([g.square().sum((2, 3), keepdim=True) for g in gradients]).sum(0)
        factor = (self.clip / (square.sqrt() + 1e-6)).clamp(max=1)  # [S, K, 1, 1]
        return [g * factor for g in gradients]

    def keep(self, index_k: Tensor, specs: Sequence[HeadSpec]) -> None:
        """Go on with these heads only."""
        self.first = [m[:, index_k].contiguous() for m in self.first]
        self.second = [v[:, index_k].contiguous() for v in self.second]
        self._describe(specs, like=self.first[0])
