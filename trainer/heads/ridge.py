"""Ridge regression on class indicators or on numbers: a linear head in closed form whose strength needs no
other rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.heads.training_data import Linear

STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-8, 9))  # 1e-4 to 1e4, of the mean eigenvalue


class RidgePath(NamedTuple):
    """Ridge regressions of weighted rows at any strength, in float64.

    They minimise Σ w·½·‖y - W·x - b‖² + λ/2·‖W‖². The weights w of the rows sum to 1; b has no penalty.
    """

    centre_d: Tensor  # [D], weighted mean of the rows
    level_c: Tensor  # [C], and of the targets
    variance_k: Tensor  # [K], eigenvalues of the rows' weighted covariance, all that can be above 0
    axis_dk: Tensor  # [D, K], their eigenvectors
    along_kc: Tensor  # [K, C], weighted covariance of the rows along the axes with the targets

    @classmethod
    def of(cls, x_nd: Tensor, target_nc: Tensor, weight_n: Tensor) -> RidgePath:
        """Measure the rows [N, D].

        Args:
            weight_n: at least 0, of any sum above 0.
        """
        x_nd, target_nc = x_nd.double(), target_nc.double()
        share_n1 = (weight_n.double() / weight_n.double().sum())[:, None]
        centre_d, level_c = (share_n1 * x_nd).sum(0), (share_n1 * target_nc).sum(0)
        centred_nd = x_nd - centre_d
        if len(x_nd) > x_nd.shape[1]:
            variance_k, axis_dk = torch.linalg.eigh(centred_nd.T @ (share_n1 * centred_nd))
        else:  # few rows: their span is enough
            _, length_k, right_kd = torch.linalg.svd(share_n1.sqrt() * centred_nd, full_matrices=False)
            variance_k, axis_dk = length_k.square(), right_kd.T
        along_kc = axis_dk.T @ (centred_nd.T @ (share_n1 * (target_nc - level_c)))
        return cls(centre_d, level_c, variance_k.clamp_min(0), axis_dk, along_kc)

    def head(self, penalty: float) -> Linear:
        """Return the regression with λ = ``penalty``, above 0."""
        weight_cd = (self.axis_dk @ (self.along_kc / (self.variance_k + penalty)[:, None])).T
        return Linear(weight_cd, self.level_c - weight_cd @ self.centre_d)

    def left_out(self, x_nd: Tensor, target_nc: Tensor, penalty: float) -> Tensor:
        """Return what each of the N rows, weighted alike, is given by the regression on the others: [N, C].

        One row left out changes its residual by the factor 1 / (1 - h), where h is its leverage: the PRESS
        residual, exact for ridge regression too (Allen 1974, "The relationship between variable selection and
        data augmentation and a method for prediction"). So leaving each row out costs no further fit.
        """
        x_nd, target_nc = x_nd.double(), target_nc.double()
        along_nk = (x_nd - self.centre_d) @ self.axis_dk
        leverage_n = (1 + along_nk.square() @ (1 / (self.variance_k + penalty))) / len(x_nd)
        residual_nc = target_nc - self.head(penalty)(x_nd)
        return target_nc - residual_nc / (1 - leverage_n).clamp_min(1e-12)[:, None]


def ridge_head(x_nd: Tensor, y_n: Tensor, *, classes: int) -> tuple[Linear, float, Tensor]:
    """Return `ridge_on_targets` of class indicators.

    With one row per class no row left out has another of its class, and the strongest penalty wins, which
    compares with class means.
    """
    return ridge_on_targets(x_nd, torch.nn.functional.one_hot(y_n, classes).double())


def ridge_on_targets(x_nd: Tensor, target_nc: Tensor) -> tuple[Linear, float, Tensor]:
    """Return the ridge regression with the least squared error on rows left out, its strength in units of the
    mean eigenvalue of X'X, and the answers [N, C] to the rows left out. Among equals the strongest."""
    target_nc = target_nc.double()
    centred_nd = x_nd.double() - x_nd.double().mean(0)
    unit = float(centred_nd.square().mean(0).sum() / min(centred_nd.shape)) or 1.0
    path = RidgePath.of(x_nd, target_nc, torch.ones(len(x_nd), device=x_nd.device))
    left_out = [path.left_out(x_nd, target_nc, strength * unit) for strength in STRENGTHS]
    error_s = torch.stack([(one_nc - target_nc).square().mean() for one_nc in left_out])
    best = int(torch.nonzero(error_s <= error_s.min() * (1 + 1e-9))[-1])
    return path.head(STRENGTHS[best] * unit), STRENGTHS[best], left_out[best]
