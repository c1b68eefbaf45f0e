"""Heads that learn batch by batch: one tensor program in which every setting is a vector over heads."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trainer.heads import common_random_numbers
from trainer.heads.cohort import Cohort
from trainer.heads.descent_epoch import Lanes
from trainer.heads.head_config import HeadSpec
from trainer.heads.losses import LossSettings, cross_entropy
from trainer.heads.optimizer import Optimizer
from trainer.heads.schedules import Plateau, lr_table
from trainer.heads.stack import Layer, Stack, sort_key


class MinibatchCohort(Cohort):
    """Heads of one hidden shape and batch size."""

    OF_HEADS = (*Cohort.OF_HEADS, "lr_tk", "smoothing_k", "focal_gamma_k")

    def _set_up(self, specs: list[HeadSpec]) -> None:
        data, x = self.data, self.data.train.x_nd
        for spec in specs:
            data.scaled(spec.scaling)  # here, not in one of the threads that train
        self.batch_size = specs[0].batch_size
        self.steps_per_epoch = math.ceil(data.rows / self.batch_size)
        self.stack = Stack(
            specs,
            seeds=self.seeds,
            features=data.features,
            classes=data.classes,
            dtype=x.dtype,
            device=x.device,
        )
        self.optimizer = Optimizer(specs, self.stack.parameters())
        self.plateau = Plateau(specs, seeds=len(self.seeds), device=x.device)
        self.lr_tk = lr_table(specs, steps_per_epoch=self.steps_per_epoch, device=x.device)
        self.smoothing_k = self._over_heads([s.label_smoothing for s in specs])
        self.focal_gamma_k = self._over_heads([s.focal_gamma for s in specs])

    # --- one epoch ----------------------------------------------------------------------------

    def _train(self) -> tuple[Tensor, Tensor]:
        lr_sk = self.rates_sk(self.epoch * self.steps_per_epoch, active=False)
        return Lanes([self]).train()[0], lr_sk

    @staticmethod
    def train_epoch_together(cohorts: Sequence[MinibatchCohort], lanes: Lanes | None) -> tuple[int, Lanes]:
        """Train an epoch of cohorts that are `in_step`, as `train_epoch` does each.

        Args:
            lanes: what this returned before, if it was called before.

        Returns:
            How many head-epochs that was, and the lanes.
        """
        if lanes is None or not lanes.hold(cohorts):
            lanes = Lanes(cohorts)
        rates = [one.rates_sk(one.epoch * one.steps_per_epoch, active=False) for one in cohorts]
        losses = lanes.train()
        together = zip(cohorts, losses, rates, strict=True)
        return sum(one._after_epoch(loss_sk, lr_sk) for one, loss_sk, lr_sk in together), lanes

    def rates_sk(self, step: int, *, active: bool = True) -> Tensor:
        """Return the learning rates of a step: float64 [S, K]; those of heads that have stopped are 0, if
        ``active``."""
        rates_sk = self.lr_tk[step] * self.plateau.factor_sk
        return rates_sk * self.active_sk if active else rates_sk

    def kept_of(self, rows_sb: Tensor) -> Tensor | None:
        """Return which rows of a batch each head may see: [S, K, B]; None for all."""
        return None if self.kept_kn is None else self.kept_kn[:, rows_sb].transpose(0, 1)

    def loss(
        self, logits_skcb: Tensor, rows_sb: Tensor, kept_skb: Tensor | None, share_skb: Tensor | None
    ) -> Tensor:
        """Return the loss of a batch of training rows: [S, K]."""
        return cross_entropy(
            logits_skcb,
            self.data.train.y_n[rows_sb],
            LossSettings(self.smoothing_k, self.class_weight_kc, self.focal_gamma_k),
            sample_weight_skb=kept_skb,
            share_skb=share_skb,
        )

    def mixup_shares(self) -> Tensor | None:
        """Return this epoch's shares [T, S, K]; None where no head mixes."""
        alpha_k = np.array([self.specs[head].mixup for head in self.heads])
        if not alpha_k.any():
            return None
        shares = common_random_numbers.mixup_shares(
            self.seeds, alpha_k=alpha_k, epoch=self.epoch, steps=self.steps_per_epoch
        )
        return shares.to(self.smoothing_k)

    def views(self) -> Tensor | None:
        """Return which view of each row this epoch shows to the heads that augment: [S, N]."""
        views_vnd = self.data.views_vnd
        if views_vnd is None or not any(feed.augment for feed in self.stack.feeds):
            return None
        count = 1 + len(views_vnd)
        drawn = common_random_numbers.views(self.seeds, epoch=self.epoch, rows=self.data.rows, count=count)
        return drawn.to(views_vnd.device)

    def batch(self, rows_sb: Tensor, views_sn: Tensor | None) -> list[Tensor]:
        """Return the batch as each feed sees it: [S, B, D] each."""
        batches = []
        for feed in self.stack.feeds:
            scaled = self.data.scaled(feed.scaling)
            if feed.augment and views_sn is not None:
                at_sb = views_sn.gather(1, rows_sb) * self.data.rows + rows_sb
                batches.append(_rows_of(scaled.views_x_nd, at_sb))
            else:
                batches.append(_rows_of(scaled.train_x_nd, rows_sb))
        return batches

    def _val_logits(self, start: int, stop: int) -> Tensor:
        scaled = [self.data.scaled(feed.scaling) for feed in self.stack.feeds]
        return self.stack.forward([one.val_x_nd[start:stop].unsqueeze(0) for one in scaled])

    def _judge(self, watched_sk: Tensor, score_sk: Tensor, *, finite_sk: Tensor) -> None:
        self.plateau.step(watched_sk)
        super()._judge(watched_sk, score_sk, finite_sk=finite_sk)

    # --- weights, leaving and joining ---------------------------------------------------------

    def _weights(self) -> list[Tensor]:
        return self.stack.parameters()

    def _named(self, weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
        per_layer = len(Layer._fields)
        named: dict[str, Tensor] = {}
        for layer in range(len(spec.hidden) + 1):
            weight, bias, *norm = weights[layer * per_layer : (layer + 1) * per_layer]
            named[f"layers.{layer}.weight"] = weight.clone()
            named[f"layers.{layer}.bias"] = bias.squeeze(-1).clone()
            if spec.layer_norm and norm:
                named[f"norms.{layer}.weight"] = norm[0].squeeze(-1).clone()
                named[f"norms.{layer}.bias"] = norm[1].squeeze(-1).clone()
        return named

    def _keep(self, positions: list[int]) -> None:
        super()._keep(positions)
        self.stack, self.optimizer = copy.copy(self.stack), copy.copy(self.optimizer)
        self.plateau = copy.copy(self.plateau)
        index = torch.tensor(positions, dtype=torch.int64, device=self.active_sk.device)
        if positions:
            specs = [self.specs[head] for head in self.heads]
            self.stack.keep(index, specs)
            self.optimizer.keep(index, specs)
        self.plateau.keep(index)

    def join(self, others: Sequence[Self]) -> None:
        longest = max(len(one.lr_tk) for one in (self, *others))
        for one in (self, *others):  # rates after a head's last epoch are zero
            one.lr_tk = torch.nn.functional.pad(one.lr_tk, (0, 0, 0, longest - len(one.lr_tk)))
        super().join(others)
        specs = [self.specs[head] for head in self.heads]
        self.stack.join([other.stack for other in others], specs)
        self.optimizer.join([other.optimizer for other in others], specs)
        self.plateau.join([other.plateau for other in others])
        order = sorted(range(len(specs)), key=lambda position: sort_key(specs[position]))
        self._keep(order)


def _rows_of(x_nd: Tensor, at_sb: Tensor) -> Tensor:
    """Return rows [S, B, D]. ``x_nd[at_sb]`` takes 1.4 times as long."""
    return x_nd.index_select(0, at_sb.flatten()).view(*at_sb.shape, -1)
