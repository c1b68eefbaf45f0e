"""What learns: unfrozen parameters of an encoder's last blocks, and a linear head."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainer.features.partial_encoder import TrainableTail
from trainer.heads.head import Head
from trainer.heads.training_data import Scale


class Learner(nn.Module):
    """Activations → logits. It begins as the frozen encoder with the head that was fitted on its vectors.

    The head sees vectors scaled as they were for that head, so that one learning rate serves all encoders.
    """

    centre: Tensor
    factor: Tensor

    def __init__(self, tail: TrainableTail, head: Head) -> None:
        super().__init__()
        self.tail = copy.deepcopy(tail)
        weight_cd, bias_c = head.tensors["layers.0.weight"], head.tensors["layers.0.bias"]
        device = next(tail.parameters()).device
        self.head = nn.Linear(weight_cd.shape[1], weight_cd.shape[0], device=device)
        with torch.no_grad():
            self.head.weight.copy_(weight_cd)
            self.head.bias.copy_(bias_c)
        self.register_buffer("centre", head.scale.centre_d.to(device))
        self.register_buffer("factor", head.scale.matrix.to(device))
        self.eval()

    def forward(self, h: Tensor) -> Tensor:
        """Return logits float32 [B, C] of what arrives at the blocks, [B, tokens, width]."""
        return self.logits(self.tail(h))

    def logits(self, x_bd: Tensor) -> Tensor:
        """Return the logits float32 [B, C] of the tail's vectors [B, D]."""
        with torch.autocast(x_bd.device.type, enabled=False):
            return self.head(Scale(self.centre, self.factor).apply(x_bd.float()))

    def groups(
        self, *, lr: float, head_lr: float, decay: float, weight_decay: float
    ) -> list[dict[str, object]]:
        """Return parameters for an optimiser, each group with its highest rate as ``lr``.

        The last block and what follows it learn with ``lr``, each block before it with ``decay`` times the
        rate of the next (Clark et al. 2020, ELECTRA, sec. 3.1). Biases and norms are not decayed.
        """
        blocks = list(self.tail.blocks)
        depth = [(lr * decay**up, block) for up, block in enumerate(reversed(blocks))]
        parts: list[tuple[float, nn.Module]] = [(head_lr, self.head), (lr, self.tail.after), *depth]
        return [
            {"params": params, "lr": rate, "weight_decay": shrink}
            for rate, module in parts
            for learnt in ([p for p in module.parameters() if p.requires_grad],)
            for shrink, params in (
                (weight_decay, [p for p in learnt if p.ndim > 1]),
                (0.0, [p for p in learnt if p.ndim <= 1]),
            )
            if params
        ]

    def learnt(self) -> Iterator[tuple[str, Tensor]]:
        """Return what learns, by name."""
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)


def parameters(learner: nn.Module) -> int:
    """Return how many weights and biases learn."""
    return sum(p.numel() for p in learner.parameters() if p.requires_grad)
