"""Linear heads in closed form: discriminants and ridge regressions of many strengths, fitted in one step."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.heads.cohort import Cohort
from trainer.heads.discriminant import ClassMoments
from trainer.heads.head_config import HeadSpec
from trainer.heads.ridge import RidgePath
from trainer.heads.training_data import Linear

CELLS = 2**24  # rows × classes of one table
INDICATOR_SCALE = 16.0  # of fitted class indicators, 0 to 1, to logits; like every scale it changes no answer


class ClosedFormCohort(Cohort):
    """Heads on rows of one scaling. Nothing in them is random: all seeds are one.

    The first epoch fits them; there is no other.
    """

    OF_ROWS_OF_HEADS = (*Cohort.OF_ROWS_OF_HEADS, "weight_kcd", "bias_kc1")

    @abstractmethod
    def _weight_n(self, position: int, kept_n: Tensor) -> Tensor:
        """Return how much each row counts for the head at a position: [N]."""

    @abstractmethod
    def _moments(self, x_nd: Tensor, y_n: Tensor, weight_n: Tensor) -> Any:
        """Return what heads of all strengths share that weigh the rows alike."""

    @abstractmethod
    def _head(self, moments: Any, spec: HeadSpec) -> Linear:
        """Return one head, float64."""

    def _set_up(self, specs: list[HeadSpec]) -> None:
        self.scaled = self.data.scaled(specs[0].scaling)
        x = self.scaled.train_x_nd
        self.weight_kcd = x.new_zeros(len(specs), self.data.classes, x.shape[1])
        self.bias_kc1 = x.new_zeros(len(specs), self.data.classes, 1)

    def _train(self) -> tuple[Tensor, Tensor]:
        x_nd, y_n = self.scaled.train_x_nd, self._targets()
        every_n = x_nd.new_ones(len(x_nd))
        known: dict[bytes, Any] = {}
        loss_k = x_nd.new_zeros(len(self.heads))
        for position, head in enumerate(self.heads):
            kept_n = every_n if self.kept_kn is None else self.kept_kn[position]
            weight_n = self._weight_n(position, kept_n)
            key = weight_n.cpu().numpy().tobytes()
            if key not in known:
                known[key] = self._moments(x_nd, y_n, weight_n)
            weight_cd, bias_c = self._head(known[key], self.specs[head])
            linear = Linear(weight_cd.to(x_nd), bias_c.to(x_nd))
            self.weight_kcd[position], self.bias_kc1[position, :, 0] = linear
            loss_n = self._losses(linear, x_nd, y_n)
            loss_k[position] = (loss_n * kept_n).sum() / kept_n.sum().clamp_min(1)
        loss_sk = loss_k.expand(len(self.seeds), -1)
        return loss_sk, torch.full_like(loss_sk, torch.nan)

    def _targets(self) -> Tensor:
        """Return what the training rows are to be given: [N]."""
        return self.data.train.y_n

    def _losses(self, linear: Linear, x_nd: Tensor, y_n: Tensor) -> Tensor:
        """Return the loss of each row [N], with a bounded number of logits at a time."""
        at_once = max(1, CELLS // self.data.classes)
        parts = zip(x_nd.split(at_once), y_n.split(at_once), strict=True)
        return torch.cat([cross_entropy(linear(x), y, reduction="none") for x, y in parts])

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


class DiscriminantCohort(ClosedFormCohort):
    """Gaussian discriminants; class weights change their priors, and rows count alike."""

    def _weight_n(self, position: int, kept_n: Tensor) -> Tensor:
        return kept_n

    def _moments(self, x_nd: Tensor, y_n: Tensor, weight_n: Tensor) -> ClassMoments:
        return ClassMoments.of(x_nd, y_n, classes=self.data.classes, kept_n=weight_n)

    def _head(self, moments: ClassMoments, spec: HeadSpec) -> Linear:
        return Linear(*moments.discriminant(spec.shrinkage, even_priors=spec.class_weight == "balanced"))


class RidgeCohort(ClosedFormCohort):
    """Ridge regressions on class indicators; class weights weigh the rows."""

    def _weight_n(self, position: int, kept_n: Tensor) -> Tensor:
        return kept_n * self.class_weight_kc[position][self.data.train.y_n]

    def _moments(self, x_nd: Tensor, y_n: Tensor, weight_n: Tensor) -> RidgePath:
        some = max(1, CELLS // len(x_nd))
        class_c = torch.arange(self.data.classes, device=y_n.device)
        paths = [RidgePath.of(x_nd, y_n[:, None] == block_c, weight_n) for block_c in class_c.split(some)]
        level_c = torch.cat([path.level_c for path in paths])
        return paths[0]._replace(level_c=level_c, along_kc=torch.cat([path.along_kc for path in paths], 1))

    def _head(self, moments: RidgePath, spec: HeadSpec) -> Linear:
        weight_cd, bias_c = moments.head(spec.l2)
        return Linear(INDICATOR_SCALE * weight_cd, INDICATOR_SCALE * bias_c)
