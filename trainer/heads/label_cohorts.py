"""Heads of several labels per row: one logit per label, judged by counts and by binary cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trainer.heads.cohort import EVALUATION_CELLS, Cohort
from trainer.heads.head_config import HeadSpec
from trainer.heads.label_regression import LabelPath
from trainer.heads.lbfgs import Objectives
from trainer.heads.logistic_cohort import LogisticCohort
from trainer.heads.losses import LabelLossSettings, asymmetric_loss
from trainer.heads.metrics import f1_from_counts, micro_f1_from_counts
from trainer.heads.minibatch_cohort import MinibatchCohort


class LabelCohort(Cohort):
    """What differs from heads of classes, however they are trained.

    What is kept of each epoch, to be pooled over parts, are the hits, the predictions and the positive rows
    of each label at a probability of 0.5. The mean average precision is not known by epoch, see
    `trainer.heads.folded_population`. Losses are summed over labels.
    """

    def _class_weights(self, specs: list[HeadSpec]) -> Tensor:
        return self.data.train.x_nd.new_ones(len(specs), 1)

    @torch.no_grad()
    def _validate(self) -> dict[str, Tensor]:
        y_nc = self.data.val.y_n
        seeds, heads = self.active_sk.shape
        chunk = max(1, EVALUATION_CELLS // (seeds * heads * self.data.classes))
        losses, counts = [], []
        for start in range(0, len(y_nc), chunk):
            y_cb = y_nc[start : start + chunk].T
            logits_skcb = self._val_logits(start, start + y_cb.shape[1])
            said_skcb = logits_skcb >= 0
            losses.append(softplus(torch.where(y_cb, -logits_skcb, logits_skcb)).sum((2, 3)).double())
            found = (said_skcb & y_cb, said_skcb, y_cb.expand_as(said_skcb))
            counts.append(torch.stack([one.sum(-1) for one in found]))
        loss_sk = torch.stack(losses).sum(0) / len(y_nc)
        counts_3skc = torch.stack(counts).sum(0).expand(-1, seeds, -1, -1)
        if self.counts is not None:
            kept_k3sc = counts_3skc.permute(2, 0, 1, 3).int().cpu().numpy()
            for head, kept_3sc in zip(self.heads, kept_k3sc, strict=True):
                self.counts[head].append(kept_3sc)
        return {
            "val_loss": loss_sk.expand(seeds, -1),
            "val_f1_macro_labels": f1_from_counts(*counts_3skc),
            "val_f1_micro_labels": micro_f1_from_counts(*counts_3skc),
        }


class LabelDescentCohort(LabelCohort, MinibatchCohort):
    """Heads of one hidden shape and batch size that learn by binary cross-entropy, focal or asymmetric
    loss."""

    OF_HEADS = (*MinibatchCohort.OF_HEADS, "gamma_pos_k", "gamma_neg_k", "margin_k")

    def _set_up(self, specs: list[HeadSpec]) -> None:
        super()._set_up(specs)
        powers = [_powers(spec) for spec in specs]
        self.gamma_pos_k, self.gamma_neg_k, self.margin_k = map(
            self._over_heads, zip(*powers, strict=True) if powers else ((), (), ())
        )

    def loss(
        self, logits_skcb: Tensor, rows_sb: Tensor, kept_skb: Tensor | None, share_skb: Tensor | None
    ) -> Tensor:
        return asymmetric_loss(
            logits_skcb,
            self.data.train.y_n[rows_sb].transpose(1, 2),
            LabelLossSettings(self.gamma_pos_k, self.gamma_neg_k, self.margin_k),
            sample_weight_skb=kept_skb,
        )


def _powers(spec: HeadSpec) -> tuple[float, float, float]:
    """Return the powers of positive and of negative rows and the margin: the other losses are cases of the
    asymmetric one."""
    if spec.loss == "asymmetric":
        return spec.gamma_pos, spec.gamma_neg, spec.margin
    if spec.loss == "focal":
        return spec.focal_gamma, spec.focal_gamma, 0.0
    return 0.0, 0.0, 0.0


class LabelLogisticCohort(LabelCohort, LogisticCohort):
    """Logistic regressions of each label (one-vs-rest), fitted to their optimum."""

    def _set_up(self, specs: list[HeadSpec]) -> None:
        data, scaled = self.data, self.data.scaled(specs[0].scaling)
        self.start = self.val_offset_cn = None
        self.path = LabelPath(
            scaled.train_x_nd,
            data.train.y_n,
            Objectives(l2_k=self._over_heads([s.l2 for s in specs]), kept_kn=self.kept_kn),
            classes=data.classes,
        )
        self.val_z_nr = self.path.turned(scaled.val_x_nd)
