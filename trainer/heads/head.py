"""One trained head: its configuration, its weights, its answers. No files: tensors in, tensors out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.heads.head_config import HeadSpec
from trainer.heads.stack import ACTIVATIONS, COSINE_EPSILON, NORM_EPSILON, gated
from trainer.heads.training_data import Scale

ROWS_AT_ONCE, CELLS_AT_ONCE = 8192, 2**24  # rows, and logits, that are computed at once


@dataclass(frozen=True)
class Head:
    """A head taken out of its population.

    ``tensors`` are named like a ``torch.nn.Module``'s: ``layers.0.weight`` [H, D], ``layers.0.bias`` [H],
    ``norms.0.weight`` [H], …
    """

    spec: HeadSpec
    scale: Scale
    tensors: dict[str, Tensor]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.scale.centre_d.device

    def to(self, device: torch.device) -> Head:
        """Return the same head on a device."""
        scale = self.scale._replace(
            centre_d=self.scale.centre_d.to(device), matrix=self.scale.matrix.to(device)
        )
        return Head(self.spec, scale, {name: tensor.to(device) for name, tensor in self.tensors.items()})

    def logits(self, x_nd: Tensor) -> Tensor:
        """Return the logits [N, C] of raw (unscaled) features [N, D], or the numbers [N, 1]."""
        depth = len(self.spec.hidden)
        h = self._last_input(x_nd)
        weight = self.tensors[f"layers.{depth}.weight"]
        if self.spec.output == "linear":
            return F.linear(h, weight, self.tensors[f"layers.{depth}.bias"])
        length, weight_length = ((t.square().sum(1) + COSINE_EPSILON).sqrt() for t in (h, weight))
        return self.spec.cosine_scale * (h @ weight.T) / (length[:, None] * weight_length)

    def _last_input(self, x_nd: Tensor) -> Tensor:
        """Return what the last layer sees of raw features [N, D]."""
        h = self.scale.apply(x_nd)
        for layer in range(len(self.spec.hidden)):
            h = F.linear(h, self.tensors[f"layers.{layer}.weight"], self.tensors[f"layers.{layer}.bias"])
            if layer == 0 and self.spec.gate_at:
                h = gated(h, 1)
            if self.spec.layer_norm:
                gain, shift = self.tensors[f"norms.{layer}.weight"], self.tensors[f"norms.{layer}.bias"]
                h = F.layer_norm(h, (h.shape[-1],), gain, shift, eps=NORM_EPSILON)
            h = ACTIVATIONS[self.spec.activation](h)
        return h

    @torch.inference_mode()
    def embedding(self, x_nd: Tensor) -> Tensor:
        """Return where raw features [N, D] lie for this head: what an MLP's last layer sees [N, H]; of a
        linear head the map itself, without its bias [N, C]."""
        h = self._last_input(x_nd)
        return h if self.spec.hidden else h @ self.tensors["layers.0.weight"].T

    @property
    def numbers(self) -> bool:
        """Whether it says numbers, and not classes."""
        return self.spec.target == "number"

    @property
    def labels(self) -> bool:
        """Whether it says several labels per row, and not one class."""
        return self.spec.target == "labels"

    @torch.inference_mode()
    def answers(self, x_nd: Tensor) -> Tensor:
        """Return probabilities [N, C] of classes or of labels, of raw (unscaled) features [N, D], or numbers
        [N, 1]."""
        if not (self.numbers or self.labels):
            return self.probabilities(x_nd)
        said = torch.cat([self.logits(x) for x in x_nd.split(self.rows_at_once)])
        return said.sigmoid() if self.labels else said

    @torch.inference_mode()
    def probabilities(self, x_nd: Tensor) -> Tensor:
        """Return class probabilities [N, C] of raw (unscaled) features [N, D]."""
        return torch.cat([self.logits(x).softmax(-1) for x in x_nd.split(self.rows_at_once)])

    @property
    def rows_at_once(self) -> int:
        """Rows whose logits are held at once, to bound memory."""
        classes = len(self.tensors[f"layers.{len(self.spec.hidden)}.weight"])
        return min(ROWS_AT_ONCE, max(1, CELLS_AT_ONCE // classes))
