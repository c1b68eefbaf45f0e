"""What a population trains on: vectors and labels on the device, scaled in the ways that heads ask for."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainer.heads.head_config import Scaling
from trainer.heads.principal_axes import principal_axes
from trainer.stats.objective import F1, Objective
from trainer.stats.vectors import is_constant

LEAST_VARIANCE = 1e-4  # whitening: directions with less than this share of the largest variance are left out


class Scale(NamedTuple):
    """x → (x - centre) · matrix, after each row was divided by its norm where ``unit_norm``."""

    centre_d: Tensor  # [D]
    matrix: Tensor  # [1]: one factor; [D]: one per dimension; [D, D]: a linear map
    unit_norm: bool = False

    def apply(self, x_nd: Tensor) -> Tensor:
        """Return scaled features [..., D]."""
        if self.unit_norm:
            x_nd = torch.nn.functional.normalize(x_nd, dim=-1)
        centred = x_nd - self.centre_d
        return centred @ self.matrix if self.matrix.ndim == 2 else centred * self.matrix

    def within(self, linear: Linear) -> Linear:
        """Return the same map, of scaled features.

        Raises:
            ValueError: this scale is no factor per dimension, and cannot be undone.
        """
        if self.unit_norm or self.matrix.ndim == 2:
            raise ValueError("expected a scale of one factor per dimension")
        weight_cd, bias_c = linear
        return Linear(weight_cd * _inverse(self.matrix), bias_c + weight_cd @ self.centre_d)


class Linear(NamedTuple):
    """x → weight · x + bias."""

    weight_cd: Tensor  # [C, D]
    bias_c: Tensor  # [C]

    def __call__(self, x_nd: Tensor) -> Tensor:
        """Return the outputs [N, C] of rows [N, D]."""
        return torch.nn.functional.linear(x_nd, self.weight_cd, self.bias_c)


class Split(NamedTuple):
    """Rows with labels."""

    x_nd: Tensor  # [N, D]
    y_n: Tensor  # int64 [N]; float64 where a number is predicted, bool [N, C] of several labels


class Standardised(NamedTuple):
    """Numbers to predict, of mean 0 and variance 1 over the training rows."""

    mean: float
    spread: float
    train_n: Tensor  # [N], of the features' type
    val_n: Tensor


class Scaled(NamedTuple):
    """The rows under one scaling, which was found on training rows (not on their augmented views)."""

    train_x_nd: Tensor  # [N, D]
    views_x_nd: Tensor  # [(1 + V) · N, D]: the training rows, then their first views, then their second …
    val_x_nd: Tensor
    scale: Scale


class TrainingData:
    """Training and validation rows as they came, and on demand scaled.

    Args:
        train, val: rows on the device that trains, unscaled.
        views_vnd: [V, N, D], augmented views of the training rows, or None.
        start: where heads begin that ask for it (``HeadSpec.start``), on unscaled features.
        pooled: the validation rows are one part of several, and scores are of all of them together: heads
            keep the counts of their classes.

    Attributes:
        objective: the score that the validation rows are judged by, see `judged_by`.
    """

    def __init__(
        self,
        train: Split,
        val: Split,
        *,
        classes: int,
        views_vnd: Tensor | None = None,
        start: Linear | None = None,
        pooled: bool = False,
    ) -> None:
        self.train, self.val, self.classes, self.views_vnd = train, val, classes, views_vnd
        self.start, self.pooled = start, pooled
        self.objective: Objective = F1
        self._scaled: dict[str, Scaled] = {}

    @property
    def rows(self) -> int:
        """Training rows N."""
        return len(self.train.y_n)

    @property
    def features(self) -> int:
        """Dimensions D."""
        return self.train.x_nd.shape[1]

    @property
    def numbers(self) -> bool:
        """Whether numbers are predicted, and not classes; ``classes`` is 1 then."""
        return self.train.y_n.is_floating_point()

    @property
    def labels(self) -> bool:
        """Whether a row may have several labels; ``classes`` is their number then."""
        return self.train.y_n.ndim == 2

    @cached_property
    def standardised(self) -> Standardised:
        """The numbers to predict, standardised."""
        y_n = self.train.y_n
        mean = float(y_n.mean())
        spread = float((y_n - mean).square().mean().sqrt()) or 1.0
        train_n, val_n = (((one - mean) / spread).to(self.train.x_nd) for one in (y_n, self.val.y_n))
        return Standardised(mean, spread, train_n, val_n)

    def split(self, train: np.ndarray, val: np.ndarray) -> TrainingData:
        """Return one part: some of the training rows to learn from, others to be judged on."""
        x_nd, y_n = self.train
        rows_t, rows_v = (torch.from_numpy(rows).to(y_n.device) for rows in (train, val))
        part = TrainingData(
            Split(x_nd[rows_t], y_n[rows_t]),
            Split(x_nd[rows_v], y_n[rows_v]),
            classes=self.classes,
            views_vnd=None if self.views_vnd is None else self.views_vnd[:, rows_t],
            start=self.start,
            pooled=True,
        )
        return part.judged_by(self.objective)

    def judged_by(self, objective: Objective) -> TrainingData:
        """Return the same rows, for a search by another score than macro-F1."""
        same = copy.copy(self)
        same.objective = objective
        return same

    def scaled(self, scaling: Scaling) -> Scaled:
        """Return the rows under a scaling; computed once."""
        if scaling not in self._scaled:
            scale = find_scale(self.train.x_nd, scaling)
            train_x_nd = scale.apply(self.train.x_nd)
            views_x_nd = train_x_nd
            if self.views_vnd is not None:
                views_x_nd = torch.cat([train_x_nd, scale.apply(self.views_vnd).flatten(0, 1)])
            self._scaled[scaling] = Scaled(train_x_nd, views_x_nd, scale.apply(self.val.x_nd), scale)
        return self._scaled[scaling]


def to_training_data(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    *,
    classes: int,
    views_vnd: np.ndarray | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> TrainingData:
    """Put arrays on the device that trains.

    Args:
        train, val: features [N, D] and labels [N] of either split; float labels are numbers to predict, bool
            [N, C] several labels per row.
        views_vnd: [V, N, D], augmented views of the training rows.
    """

    def tensor(x: np.ndarray) -> Tensor:
        return torch.as_tensor(x, dtype=dtype).to(device)

    def split(x_nd: np.ndarray, y_n: np.ndarray) -> Split:
        kind = {"f": torch.float64, "b": torch.bool}.get(np.asarray(y_n).dtype.kind, torch.int64)
        return Split(tensor(x_nd), torch.as_tensor(y_n, dtype=kind).to(device))

    return TrainingData(
        split(*train),
        split(*val),
        classes=classes,
        views_vnd=None if views_vnd is None or len(views_vnd) == 0 else tensor(views_vnd),
    )


def find_scale(x_nd: Tensor, scaling: Scaling) -> Scale:
    """Return the scale that brings these rows to a mean of 0 and a mean variance of 1 per dimension.

    Encoders differ in scale by orders of magnitude (unit-norm embeddings, pooled activations of norm 10 and
    more); after this, one range of learning rates serves them all. ``centre`` keeps the geometry: one factor
    for all dimensions. ``unit_norm`` is the same after dividing each row by its norm. ``standardise`` has a
    factor for each dimension. ``whiten`` turns to the principal axes and gives each the same variance; axes
    with next to none, or beyond the rank of the rows, become 0, as does what `is_constant`. In float64.
    """
    wide = x_nd.double()
    if scaling == "unit_norm":
        wide = torch.nn.functional.normalize(wide, dim=1)
    centre_d = wide.mean(0)
    centred = wide - centre_d
    spread_d = centred.square().mean(0).sqrt()
    constant_d = is_constant(centre_d, spread_d)
    if bool(constant_d.all()):  # the mean of equal numbers may be rounded, and their spread not be 0
        matrix = torch.zeros_like(spread_d)
    elif scaling == "standardise":
        matrix = _inverse(spread_d.masked_fill(constant_d, 0))
    elif scaling == "whiten":
        variance_k, axis_dk = principal_axes(centred)
        used = variance_k > LEAST_VARIANCE * variance_k.max()
        spread = torch.where(used, variance_k.clamp_min(0).sqrt(), 0)
        matrix = axis_dk * _inverse(spread) * (x_nd.shape[1] / used.sum().clamp_min(1)).sqrt()
        matrix = torch.nn.functional.pad(matrix, (x_nd.shape[1] - len(used), 0))
    else:
        matrix = _inverse(centred.square().mean().sqrt().unsqueeze(0))
    return Scale(centre_d.to(x_nd), matrix.to(x_nd), scaling == "unit_norm")


def _inverse(spread: Tensor) -> Tensor:
    """Return 1 / spread, and 0 where there is none: a constant dimension carries nothing."""
    return torch.where(spread > 0, 1 / spread.clamp_min(torch.finfo(spread.dtype).tiny), 0)
