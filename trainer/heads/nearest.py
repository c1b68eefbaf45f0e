"""The two plainest classifiers, by cosine: the nearest class mean, and votes of the nearest rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class NearestMean(NamedTuple):
    """The class whose mean direction is nearest; without rows a class is never chosen."""

    mean_cd: Tensor  # unit rows
    known_c: Tensor  # bool

    @classmethod
    def of(cls, x_nd: Tensor, y_n: Tensor, *, classes: int) -> NearestMean:
        """Average the directions of each class's rows [N, D]."""
        unit_nd = F.normalize(x_nd, dim=1)
        sum_cd = unit_nd.new_zeros(classes, x_nd.shape[1]).index_add_(0, y_n, unit_nd)
        return cls(F.normalize(sum_cd, dim=1), torch.bincount(y_n, minlength=classes) > 0)

    def score(self, x_nd: Tensor) -> Tensor:
        """Return cosines [N, C], below any for a class without rows."""
        return (F.normalize(x_nd, dim=1) @ self.mean_cd.T).masked_fill(~self.known_c, -2.0)


class NearestRows(NamedTuple):
    """The class with the most votes among the k nearest rows; of equally many votes the nearer rows win."""

    unit_nd: Tensor
    vote_nc: Tensor
    k: int

    @classmethod
    def of(cls, x_nd: Tensor, y_n: Tensor, *, classes: int, k: int) -> NearestRows:
        """Keep the rows [N, D]."""
        return cls(F.normalize(x_nd, dim=1), F.one_hot(y_n, classes).to(x_nd), min(k, len(x_nd)))

    def score(self, x_nd: Tensor) -> Tensor:
        """Return shares of the votes [N, C]."""
        near = (F.normalize(x_nd, dim=1) @ self.unit_nd.T).topk(self.k, dim=1)
        vote_nkc = self.vote_nc[near.indices]
        tie = 1 + 1e-3 * near.values / self.k  # less than a vote in all
        return (vote_nkc * tie[..., None]).sum(1) / self.k
