"""Linear heads fitted to their optimum: logistic regressions of many strengths at once."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.heads.cohort import Cohort
from trainer.heads.head_config import HeadSpec
from trainer.heads.lbfgs import LogisticPath, Objectives
from trainer.heads.training_data import Linear


class LogisticCohort(Cohort):
    """Logistic regressions on rows of one scaling. Nothing in them is random: all seeds are one.

    An epoch is an iteration of L-BFGS; a head stops when it has converged, whatever its ``patience``.
    """

    def _set_up(self, specs: list[HeadSpec]) -> None:
        data = self.data
        scaled = data.scaled(specs[0].scaling)
        self.start: Linear | None = None
        if specs[0].start == "given":
            if data.start is None:
                raise ValueError("start is 'given'; expected data with a start")
            self.start = scaled.scale.within(data.start)
        self.path = LogisticPath(
            scaled.train_x_nd,
            data.train.y_n,
            Objectives(
                l2_k=self._over_heads([s.l2 for s in specs]),
                smoothing_k=self._over_heads([s.label_smoothing for s in specs]),
                class_weight_kc=self.class_weight_kc,
                kept_kn=self.kept_kn,
            ),
            classes=data.classes,
            offset_cn=None if self.start is None else self.start(scaled.train_x_nd).T,
        )
        self.val_offset_cn = None if self.start is None else self.start(scaled.val_x_nd).T
        self.val_z_nr = self.path.turned(scaled.val_x_nd)

    def _train(self) -> tuple[Tensor, Tensor]:
        loss_sk = self.path.step().expand(len(self.seeds), -1)
        return loss_sk, torch.full_like(loss_sk, torch.nan)

    def _val_logits(self, start: int, stop: int) -> Tensor:
        z_nr = self.val_z_nr[start:stop]
        theta_kcr = self.path.theta_kcr
        logits_skcb = (theta_kcr.flatten(0, 1) @ z_nr.T).view(1, *theta_kcr.shape[:2], -1)
        return logits_skcb if self.val_offset_cn is None else logits_skcb + self.val_offset_cn[:, start:stop]

    def _goes_on(self) -> Tensor:
        return ~self.path.converged_k

    def _weights(self) -> list[Tensor]:
        return [self.path.theta_kcr.unsqueeze(0)]

    def _named(self, weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
        weight_cd, bias_c = self.path.unturned(weights[0])
        if self.start is not None:
            weight_cd, bias_c = weight_cd + self.start.weight_cd, bias_c + self.start.bias_c
        return {"layers.0.weight": weight_cd, "layers.0.bias": bias_c}

    def _keep(self, positions: list[int]) -> None:
        super()._keep(positions)
        self.path.keep(torch.tensor(positions, dtype=torch.int64, device=self.active_sk.device))
