"""Ridge regression on class indicators: a linear head in closed form whose strength needs no other rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.heads.training_data import Linear

STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-8, 9))  # 1e-4 to 1e4, of the mean eigenvalue


class RidgeFit(NamedTuple):
    """Ridge regressions of N rows at S strengths."""

    heads: list[Linear]  # float64, of each strength
    left_out_snc: Tensor  # what each row is given by the regression on the other rows

    @classmethod
    def of(cls, x_nd: Tensor, target_nc: Tensor, penalty_s: Tensor) -> RidgeFit:
        """Minimise ‖Y - X·W - b‖² + λ·‖W‖² for each λ, b without penalty.

        One row left out changes its residual by the factor 1 / (1 - h), where h is its leverage: the PRESS
        residual, exact for ridge regression too (Allen 1974, "The relationship between variable selection and
        data augmentation and a method for prediction"). So leaving each row out costs no further fit.

        Args:
            x_nd: at least two rows.
            penalty_s: λ, above 0.
        """
        x_nd, target_nc = x_nd.double(), target_nc.double()
        centre_d, level_c = x_nd.mean(0), target_nc.mean(0)
        left_nk, length_k, right_kd = torch.linalg.svd(x_nd - centre_d, full_matrices=False)
        along_kc = left_nk.T @ (target_nc - level_c)
        heads, left_out = [], []
        for penalty in penalty_s.tolist():
            kept_k = length_k.square() / (length_k.square() + penalty)
            shrunk_k1 = (length_k / (length_k.square() + penalty))[:, None]
            weight_cd = (right_kd.T @ (shrunk_k1 * along_kc)).T
            heads.append(Linear(weight_cd, level_c - weight_cd @ centre_d))
            leverage_n = left_nk.square() @ kept_k + 1 / len(x_nd)
            residual_nc = target_nc - level_c - left_nk @ (kept_k[:, None] * along_kc)
            left_out.append(target_nc - residual_nc / (1 - leverage_n).clamp_min(1e-12)[:, None])
        return cls(heads, torch.stack(left_out))


def ridge_head(x_nd: Tensor, y_n: Tensor, *, classes: int) -> tuple[Linear, float, Tensor]:
    """Return the ridge regression with the least squared error on rows left out, its strength in units of the
    mean eigenvalue of X'X, and the scores [N, C] of the rows left out.

    Among equals the strongest. With one row per class no row left out has another of its class, and the
    strongest penalty wins, which compares with class means.
    """
    target_nc = torch.nn.functional.one_hot(y_n, classes).double()
    centred_nd = x_nd.double() - x_nd.double().mean(0)
    unit = float(centred_nd.square().sum() / min(centred_nd.shape)) or 1.0
    fit = RidgeFit.of(x_nd, target_nc, torch.tensor(STRENGTHS) * unit)
    error_s = (fit.left_out_snc - target_nc).square().mean((1, 2))
    best = int(torch.nonzero(error_s <= error_s.min() * (1 + 1e-9))[-1])
    return fit.heads[best], STRENGTHS[best], fit.left_out_snc[best]
