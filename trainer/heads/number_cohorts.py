"""Heads of numbers: one output, trained on standardised targets and judged by sums of errors."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.heads.closed_form_cohort import RidgeCohort
from trainer.heads.cohort import EVALUATION_CELLS, Cohort
from trainer.heads.head_config import HeadSpec
from trainer.heads.losses import number_loss
from trainer.heads.metrics import number_scores
from trainer.heads.minibatch_cohort import MinibatchCohort
from trainer.heads.ridge import RidgePath
from trainer.heads.training_data import Linear


class NumberCohort(Cohort):
    """What differs from heads of classes, however they are trained.

    A head that leaves the cohort has the scale of its targets in its last layer: it says the numbers
    themselves. What is kept of each epoch, to be pooled over parts, are the sums of squared and of absolute
    errors.
    """

    def _class_weights(self, specs: list[HeadSpec]) -> Tensor:
        return self.data.train.x_nd.new_ones(len(specs), 1)

    @torch.no_grad()
    def _validate(self) -> dict[str, Tensor]:
        targets = self.data.standardised
        seeds, heads = self.active_sk.shape
        chunk = max(1, EVALUATION_CELLS // (seeds * heads))
        rows = len(targets.val_n)
        sums_2sk = torch.zeros(2, seeds, heads, dtype=torch.float64, device=targets.val_n.device)
        for start in range(0, rows, chunk):
            target_b = targets.val_n[start : start + chunk]
            error_skb = (self._val_logits(start, start + len(target_b)).squeeze(2) - target_b).double()
            sums_2sk += torch.stack([error_skb.square().sum(-1), error_skb.abs().sum(-1)])
        squared_sk, absolute_sk = sums_2sk[0] * targets.spread**2, sums_2sk[1] * targets.spread
        if self.counts is not None:
            kept_k2s = torch.stack([squared_sk, absolute_sk]).permute(2, 0, 1).cpu().numpy()
            for head, kept_2s in zip(self.heads, kept_k2s, strict=True):
                self.counts[head].append(kept_2s[..., None])
        scores = number_scores(squared_sk, absolute_sk, self.data.val.y_n)
        return {"val_loss": sums_2sk[0] / rows, **scores}

    def _named(self, weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
        named, targets = super()._named(weights, spec), self.data.standardised  # type: ignore[safe-super]
        weight, bias = (f"layers.{len(spec.hidden)}.{one}" for one in ("weight", "bias"))
        return named | {
            weight: named[weight] * targets.spread,
            bias: named[bias] * targets.spread + targets.mean,
        }


class NumberDescentCohort(NumberCohort, MinibatchCohort):
    """Heads of one hidden shape and batch size that learn by squared error or Huber's loss."""

    OF_HEADS = (*MinibatchCohort.OF_HEADS, "delta_k")

    def _set_up(self, specs: list[HeadSpec]) -> None:
        super()._set_up(specs)
        self.target_n = self.data.standardised.train_n  # here, not in one of the threads that train
        self.delta_k = self._over_heads(
            [one.huber_delta if one.loss == "huber" else torch.inf for one in specs]
        )

    def loss(
        self, logits_skcb: Tensor, rows_sb: Tensor, kept_skb: Tensor | None, share_skb: Tensor | None
    ) -> Tensor:
        output_skb = logits_skcb.squeeze(2)
        return number_loss(output_skb, self.target_n[rows_sb], self.delta_k, sample_weight_skb=kept_skb)


class NumberRidgeCohort(NumberCohort, RidgeCohort):
    """Ridge regressions of many strengths on the numbers themselves."""

    def _targets(self) -> Tensor:
        return self.data.standardised.train_n

    def _weight_n(self, position: int, kept_n: Tensor) -> Tensor:
        return kept_n

    def _moments(self, x_nd: Tensor, y_n: Tensor, weight_n: Tensor) -> RidgePath:
        return RidgePath.of(x_nd, y_n[:, None], weight_n)

    def _head(self, moments: RidgePath, spec: HeadSpec) -> Linear:
        return moments.head(spec.l2)

    def _losses(self, linear: Linear, x_nd: Tensor, y_n: Tensor) -> Tensor:
        return (linear(x_nd).squeeze(1) - y_n).square()
