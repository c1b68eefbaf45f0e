"""Heads that need no descent, behind one interface: from rows and a strength to the scores of other rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainer.heads.discriminant import ClassMoments
from trainer.heads.nearest import NearestMean, NearestRows
from trainer.heads.ridge import ridge_head
from trainer.stats.few_shot import fitted_scale

ClosedForm = Literal["gda", "ridge", "mean", "neighbours"]

# What is tried on validation rows: shrinkages, numbers of neighbours. 0: nothing is; ridge regression chooses
# its strength on the rows that it learns from.
CHOICES: dict[ClosedForm, tuple[float, ...]] = {
    "gda": (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0),
    "ridge": (0.0,),
    "mean": (0.0,),
    "neighbours": (1.0, 3.0, 5.0, 10.0, 20.0),
}
MEAN_SCALE = 100.0  # of cosines to logits, as CLIP's; it changes no answer


@dataclass(frozen=True)
class ClosedHead:
    """A fitted head, in float64."""

    score: Callable[[Tensor], Tensor]

    def logits(self, x_nd: Tensor) -> Tensor:
        """Return the logits [N, C] of features [N, D]."""
        return self.score(x_nd.double())

    def probabilities(self, x_nd: Tensor) -> Tensor:
        """Return class probabilities [N, C] of features [N, D]."""
        return self.logits(x_nd).softmax(-1).float()


def fit(
    kind: ClosedForm, x_nd: Tensor, y_n: Tensor, choices: Sequence[float], classes: int
) -> list[ClosedHead]:
    """Return the head of the rows [N, D] for each choice (see `CHOICES`)."""
    x_nd = x_nd.double()
    if kind == "gda":
        every_n = torch.ones_like(y_n)
        moments = ClassMoments.of(x_nd, y_n, classes=classes, kept_n=every_n)
        return [ClosedHead(_linear(*moments.discriminant(one))) for one in choices]
    if kind == "ridge":
        head, _, left_out_nc = ridge_head(x_nd, y_n, classes=classes)
        scale = fitted_scale(left_out_nc.cpu().numpy(), y_n.cpu().numpy())
        return [ClosedHead(_linear(scale * head.weight_cd, scale * head.bias_c)) for _ in choices]
    if kind == "mean":
        means = NearestMean.of(x_nd, y_n, classes=classes)
        return [ClosedHead(lambda rows_nd: MEAN_SCALE * means.score(rows_nd)) for _ in choices]
    return [ClosedHead(NearestRows.of(x_nd, y_n, classes=classes, k=int(one)).score) for one in choices]


def _linear(weight_cd: Tensor, bias_c: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda rows_nd: rows_nd @ weight_cd.T + bias_c
