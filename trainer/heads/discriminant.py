"""Gaussian discriminant analysis in closed form: linear heads of many shrinkages at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.heads.principal_axes import principal_axes
from trainer.stats.vectors import LEAST_SHARE, ROUNDING

LEAST_COUNT = 0.5  # rows that a class without any is taken to have, for its prior


class ClassMoments(NamedTuple):
    """What a discriminant knows of the rows, in float64."""

    mean_cd: Tensor  # [C, D]; of a class without rows, the mean of all rows
    prior_c: Tensor  # [C]
    variance_k: Tensor  # [K], eigenvalues of the covariance within classes, not below 0; others are 0
    axis_dk: Tensor  # [D, K], its eigenvectors; K is D, or less of few and wide rows

    @classmethod
    def of(cls, x_nd: Tensor, y_n: Tensor, *, classes: int, kept_n: Tensor) -> ClassMoments:
        """Measure the rows [N, D] of which ``kept_n`` is 1."""
        rows = kept_n > 0
        x_nd, y_n = x_nd[rows].double(), y_n[rows]
        count_c = torch.bincount(y_n, minlength=classes).double()
        sum_cd = x_nd.new_zeros(classes, x_nd.shape[1]).index_add_(0, y_n, x_nd)
        mean_cd = torch.where(count_c[:, None] > 0, sum_cd / count_c.clamp_min(1)[:, None], x_nd.mean(0))
        centred_nd = x_nd - mean_cd[y_n]
        variance_k, axis_dk = principal_axes(centred_nd)
        count_c = count_c.clamp_min(LEAST_COUNT)
        return cls(mean_cd, count_c / count_c.sum(), variance_k.clamp_min(0), axis_dk)

    def discriminant(self, shrinkage: float, *, even_priors: bool = False) -> tuple[Tensor, Tensor]:
        """Return weights [C, D] and biases [C], float64, of one linear discriminant.

        Every class is a Gaussian, all with one covariance S, shrunk towards a sphere:
        (1 - s) · S + s · tr(S) / D · I, as by scikit-learn's ``LinearDiscriminantAnalysis(solver="eigen",
        shrinkage=s)``. With s = 1 the nearest class mean decides. As a head on CLIP features: Wang et al.,
        "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR 2024.

        Args:
            shrinkage: s, above 0 and at most 1.
            even_priors: take all classes to be equally frequent.
        """
        least, share = self._least_spread(), self.axis_dk.shape[1] / self.axis_dk.shape[0]
        sphere = shrinkage * (self.variance_k.mean() * share)
        spread_k = (1 - shrinkage) * self.variance_k + sphere
        along_ck = self.mean_cd @ self.axis_dk
        weight_cd = along_ck / spread_k.clamp_min(least) @ self.axis_dk.T
        if share < 1:
            weight_cd += (self.mean_cd - along_ck @ self.axis_dk.T) / sphere.clamp_min(least)
        bias_c = -(weight_cd * self.mean_cd).sum(1) / 2
        return weight_cd, bias_c if even_priors else bias_c + self.prior_c.log()

    def _least_spread(self) -> float:
        """Return the least variance to divide by, for rows that are alike within their classes: small beside
        that of the class means, and not below the square of what rounding to float32 leaves."""
        between = self.prior_c @ (self.mean_cd - self.prior_c @ self.mean_cd).square().mean(1)
        rounding = (ROUNDING * self.mean_cd).square().mean()
        return max(LEAST_SHARE * float(between), float(rounding), torch.finfo(between.dtype).tiny ** 0.5)
