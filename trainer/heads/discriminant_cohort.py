"""Linear heads in closed form: discriminants of many shrinkages, fitted in one step."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.heads.cohort import Cohort
from trainer.heads.discriminant import ClassMoments
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Linear


class DiscriminantCohort(Cohort):
    """Discriminants on rows of one scaling. Nothing in them is random: all seeds are one.

    The first epoch fits them; there is no other.
    """

    OF_ROWS_OF_HEADS = (*Cohort.OF_ROWS_OF_HEADS, "weight_kcd", "bias_kc1")

    def _set_up(self, specs: list[HeadSpec]) -> None:
        self.scaled = self.data.scaled(specs[0].scaling)
        x = self.scaled.train_x_nd
        self.weight_kcd = x.new_zeros(len(specs), self.data.classes, x.shape[1])
        self.bias_kc1 = x.new_zeros(len(specs), self.data.classes, 1)

    def _train(self) -> tuple[Tensor, Tensor]:
        x_nd, y_n = self.scaled.train_x_nd, self.data.train.y_n
        every_n = x_nd.new_ones(len(x_nd))
        known: dict[bytes, ClassMoments] = {}  # heads that see the same rows share them
        loss_k = x_nd.new_zeros(len(self.heads))
        for position, head in enumerate(self.heads):
            kept_n = every_n if self.kept_kn is None else self.kept_kn[position]
            key = kept_n.cpu().numpy().tobytes()
            if key not in known:
                known[key] = ClassMoments.of(x_nd, y_n, classes=self.data.classes, kept_n=kept_n)
            spec = self.specs[head]
            weight_cd, bias_c = known[key].discriminant(
                spec.shrinkage, even_priors=spec.class_weight == "balanced"
            )
            linear = Linear(weight_cd.to(x_nd), bias_c.to(x_nd))
            self.weight_kcd[position], self.bias_kc1[position, :, 0] = linear
            loss_n = torch.nn.functional.cross_entropy(linear(x_nd), y_n, reduction="none")
            loss_k[position] = (loss_n * kept_n).sum() / kept_n.sum().clamp_min(1)
        loss_sk = loss_k.expand(len(self.seeds), -1)
        return loss_sk, torch.full_like(loss_sk, torch.nan)

    def _val_logits(self, start: int, stop: int) -> Tensor:
        x_bd = self.scaled.val_x_nd[start:stop]
        return (self.weight_kcd @ x_bd.T + self.bias_kc1).unsqueeze(0)

    def _goes_on(self) -> Tensor:
        return torch.zeros_like(self.active_sk)

    def _weights(self) -> list[Tensor]:
        return [self.weight_kcd.unsqueeze(0), self.bias_kc1.unsqueeze(0)]

    def _named(self, weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
        weight_cd, bias_c1 = weights
        return {"layers.0.weight": weight_cd, "layers.0.bias": bias_c1.squeeze(-1)}
