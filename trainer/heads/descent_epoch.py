"""One epoch of descent: of one cohort, or of several that train the same heads on different rows, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trainer.heads import common_random_numbers
from trainer.heads.optimizer import Optimizer
from trainer.heads.stack import Stack

if TYPE_CHECKING:
    from trainer.heads.minibatch_cohort import MinibatchCohort


class Draws(NamedTuple):
    """What an epoch draws for one cohort."""

    order_bs: tuple[Tensor, ...]  # the rows of each batch, [S, B]
    views_sn: Tensor | None  # which view of each row is shown, [S, N]


class Lanes:
    """Cohorts of P parts whose steps are taken together: their weights are views of one stack [P·S, K, …].

    What a step costs in calls is then paid once, and not for each part: with heads as small as these on a few
    hundred rows, calls are most of it. Each lane computes what it would compute alone.

    Args:
        cohorts: the same heads, seeds and epoch, on parts with as many batches each; they take none of their
            rows out (``kept_kn``) if they are several. See `in_step`.
    """

    def __init__(self, cohorts: Sequence[MinibatchCohort]) -> None:
        self.cohorts = list(cohorts)
        first = self.cohorts[0]
        self.stack, self.optimizer = first.stack, first.optimizer
        if len(self.cohorts) > 1:
            self.stack = Stack.of_parts([one.stack for one in self.cohorts])
            self.optimizer = Optimizer.of_parts([one.optimizer for one in self.cohorts])
        self._weights = [one.stack.layers for one in self.cohorts]

    def hold(self, cohorts: Sequence[MinibatchCohort]) -> bool:
        """Return whether these are the cohorts, and still have their weights here."""
        return len(cohorts) == len(self.cohorts) and all(
            one is mine and one.stack.layers is weights
            for one, mine, weights in zip(cohorts, self.cohorts, self._weights, strict=True)
        )

    def train(self) -> list[Tensor]:
        """Train one epoch. Returns the training loss of each cohort: [S, K]."""
        draws = [_drawn(one) for one in self.cohorts]
        shares_tsk = self.cohorts[0].mixup_shares()
        totals = [torch.zeros_like(one.best_score_sk, dtype=one.smoothing_k.dtype) for one in self.cohorts]
        for within in range(self.cohorts[0].steps_per_epoch):
            share_sk = None if shares_tsk is None else shares_tsk[within]
            sizes = {one.order_bs[within].shape[1] for one in draws}
            if len(sizes) == 1:
                losses = _step(self.cohorts, self.stack, self.optimizer, draws, within, share_sk)
                for one in self.cohorts:
                    one.optimizer.steps = self.optimizer.steps
            else:  # the last batches of an epoch, where parts differ by a row
                losses = [
                    _step([one], one.stack, one.optimizer, [drawn], within, share_sk)[0]
                    for one, drawn in zip(self.cohorts, draws, strict=True)
                ]
                self.optimizer.steps = self.cohorts[0].optimizer.steps
            for total_sk, loss_sk, drawn in zip(totals, losses, draws, strict=True):
                total_sk += loss_sk * drawn.order_bs[within].shape[1]
        return [total_sk / one.data.rows for total_sk, one in zip(totals, self.cohorts, strict=True)]


def in_step(cohorts: Sequence[MinibatchCohort]) -> bool:
    """Return whether several cohorts can be the parts of `Lanes`."""
    first = cohorts[0]
    return all(
        one.kept_kn is None
        and type(one) is type(first)
        and (one.epoch, one.steps_per_epoch, one.seeds) == (first.epoch, first.steps_per_epoch, first.seeds)
        and [one.specs[head] for head in one.heads] == [first.specs[head] for head in first.heads]
        for one in cohorts
    )


def _drawn(cohort: MinibatchCohort) -> Draws:
    rows, device = cohort.data.rows, cohort.data.train.y_n.device
    order_sn = common_random_numbers.sample_order(cohort.seeds, epoch=cohort.epoch, rows=rows).to(device)
    return Draws(order_sn.split(cohort.batch_size, dim=1), cohort.views())


def _step(
    cohorts: Sequence[MinibatchCohort],
    stack: Stack,
    optimizer: Optimizer,
    draws: Sequence[Draws],
    within: int,
    share_sk: Tensor | None,
) -> list[Tensor]:
    """Move all weights by one batch. Returns each cohort's loss before that: [S, K].

    Args:
        within: number of the step within the epoch.
        share_sk: mixup's shares; None where no head mixes.
    """
    step = cohorts[0].epoch * cohorts[0].steps_per_epoch + within
    rows = [drawn.order_bs[within] for drawn in draws]
    kept = [one.kept_of(rows_sb) for one, rows_sb in zip(cohorts, rows, strict=True)]
    shares = [
        None if share_sk is None else mixing_shares(share_sk, kept_skb, rows_sb)
        for kept_skb, rows_sb in zip(kept, rows, strict=True)
    ]
    batches = [
        one.batch(rows_sb, drawn.views_sn) for one, rows_sb, drawn in zip(cohorts, rows, draws, strict=True)
    ]
    parameters = stack.parameters()
    for p in parameters:
        p.requires_grad_(True)
    logits_skcb = stack.forward(
        [joined(of_feed) for of_feed in zip(*batches, strict=True)],
        dropout_step=step,
        share_skb=None if share_sk is None else joined([one for one in shares if one is not None]),
    )
    losses = [
        one.loss(logits, rows_sb, kept_skb, share_skb)
        for one, logits, rows_sb, kept_skb, share_skb in zip(
            cohorts, logits_skcb.chunk(len(cohorts)), rows, kept, shares, strict=True
        )
    ]
    # the sum, not the mean: each head's gradient must not depend on how many others there are
    total = sum(loss_sk.sum() for loss_sk in losses)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)  # type: ignore[arg-type]
    for p in parameters:
        p.requires_grad_(False)
    filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
    optimizer.step(parameters, filled, joined([one.rates_sk(step) for one in cohorts]))
    return [loss_sk.detach() for loss_sk in losses]


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of lanes as one."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def mixing_shares(share_sk: Tensor, kept_skb: Tensor | None, rows_sb: Tensor) -> Tensor:
    """Return mixup's shares [S, K, B] for one batch. A row whose partner a head may not see stays as it
    is."""
    share_skb = share_sk.unsqueeze(2).expand(-1, -1, rows_sb.shape[1])
    return share_skb if kept_skb is None else 1 - (1 - share_skb) * kept_skb.flip(2)
