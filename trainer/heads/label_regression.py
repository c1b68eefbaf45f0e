"""Logistic regressions of every label (one-vs-rest), of many strengths on the same rows, by L-BFGS."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trainer.heads.lbfgs import LogisticPath


class LabelPath(LogisticPath):
    """As `LogisticPath`, with a binary cross-entropy per label in the place of one cross-entropy.

    Each head minimises the mean over rows of the losses of all labels, summed, and l2/2 · ‖W‖². That falls
    apart into a regression per label of the same strength (scikit-learn's C is 1 / (n · l2)), which share
    rows and steps. ``y_n`` is bool [N, C]. Smoothing, class weights and offsets are not used.
    """

    SHIFTS = False

    def _weigh(self, smoothing_k: Tensor, class_weight_kc: Tensor, kept_kn: Tensor) -> None:
        total_k1 = kept_kn.sum(1, keepdim=True).clamp_min(torch.finfo(kept_kn.dtype).tiny)
        self.share_kn = self.mass_kn = kept_kn / total_k1
        self.even_kc, self.even_kn = kept_kn.new_zeros(len(kept_kn), 1), kept_kn.new_zeros(len(kept_kn), 1)

    @property
    def _curved(self) -> float:
        return 1.0  # p·(1 − p) is the curvature of a label by itself

    def _loss(self, logits_acb: Tensor, heads_a: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        mass_a1b = self.mass_kn[heads_a, rows].unsqueeze(1)
        sign_cb = 1 - 2 * self.y_n[rows].T.to(logits_acb)  # -1 where a row has the label
        gap_acb = sign_cb * logits_acb
        loss_a = (softplus(gap_acb) * mass_a1b).sum((1, 2), dtype=torch.float64)
        wrong_acb = gap_acb.sigmoid()
        spread_ac = (wrong_acb * (-gap_acb).sigmoid() * mass_a1b).sum(2)
        return loss_a, sign_cb * wrong_acb * mass_a1b, spread_ac
