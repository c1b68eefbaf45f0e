"""What a population trains on: vectors and labels, scaled once, on the device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Scale(NamedTuple):
    """x → (x - centre) · factor. One factor for all dimensions keeps the geometry of the features."""

    centre_d: Tensor  # [D]
    factor: float

    def apply(self, x_nd: Tensor) -> Tensor:
        """Scaled features [N, D]."""
        return (x_nd - self.centre_d) * self.factor


class Split(NamedTuple):
    """Rows with labels."""

    x_nd: Tensor  # [N, D]
    y_n: Tensor  # int64 [N]


class TrainingData(NamedTuple):
    """Training and validation rows, already scaled, and the scale that any later row needs."""

    train: Split
    val: Split
    classes: int
    scale: Scale


def prepare(
    train_x_nd: np.ndarray,
    train_y_n: np.ndarray,
    *,
    val_x_nd: np.ndarray,
    val_y_n: np.ndarray,
    classes: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> TrainingData:
    """Centre on the training mean and scale to a mean variance of one per dimension.

    Encoders differ in scale by orders of magnitude (unit-norm embeddings, pooled activations of
    norm 10 and more); after this, one range of learning rates serves them all.
    """
    wide = torch.as_tensor(train_x_nd, dtype=torch.float64)
    centre_d = wide.mean(0)
    spread = (wide - centre_d).square().mean().sqrt().item()
    scale = Scale(centre_d.to(device, dtype), 1 / spread if spread > 0 else 1.0)

    def split(x_nd: np.ndarray, y_n: np.ndarray) -> Split:
        x = torch.as_tensor(x_nd, dtype=dtype).to(device)
        return Split(scale.apply(x), torch.as_tensor(y_n, dtype=torch.int64).to(device))

    return TrainingData(split(train_x_nd, train_y_n), split(val_x_nd, val_y_n), classes, scale)
