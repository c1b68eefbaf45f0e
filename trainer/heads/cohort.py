"""Heads of one shape, trained together epoch by epoch: scores, best weights and early stopping.

How an epoch is trained is the business of the kinds of cohort: `trainer.heads.minibatch_cohort`,
`trainer.heads.logistic_cohort` and `trainer.heads.closed_form_cohort`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.losses import balanced_class_weights, effective_class_weights
from trainer.heads.metrics import balanced_accuracy_from_counts, class_counts, f1_from_counts
from trainer.heads.outcome import Outcome, curve_metrics, score_columns
from trainer.heads.training_data import TrainingData

EVALUATION_CELLS = 4_000_000  # logits held at once while evaluating, to bound memory


class BestState(NamedTuple):
    """Best epoch and weights of one head."""

    best_weights: list[Tensor]  # [S, …] each
    best_epoch_s: np.ndarray
    ran: int  # epochs of its longest seed


class Cohort(ABC):
    """K heads × S seeds of one shape. Positions on the K axis shrink as heads leave.

    Heads are known by numbers, which need not be 0 … K-1.

    Args:
        specs: the heads by number, in the order of the K axis.
        kept_kn: [K, N] of 0 and 1, which training rows each head may see; None for all.
    """

    OF_HEADS: tuple[str, ...] = (  # tensors whose last axis is K
        *("patience_k", "epochs_k", "takes_last_k", "active_sk", "best_score_sk", "best_epoch_sk", "ran_sk"),
    )
    OF_ROWS_OF_HEADS: tuple[str, ...] = ("class_weight_kc", "kept_kn")  # whose first axis is K

    def __init__(
        self,
        specs: dict[int, HeadSpec],
        data: TrainingData,
        *,
        seeds: tuple[int, ...],
        kept_kn: Tensor | None,
    ) -> None:
        self.data, self.seeds, self.specs = data, seeds, dict(specs)
        self.heads = list(specs)  # the head at each position
        self.epoch = 0
        in_order = list(specs.values())
        x = data.train.x_nd
        self.kept_kn = None if kept_kn is None else kept_kn.to(x.device, x.dtype)
        self.class_weight_kc = self._class_weights(in_order)
        self.patience_k = self._over_heads([s.patience for s in in_order])
        self.epochs_k = self._over_heads([s.epochs for s in in_order])
        self.takes_last_k = torch.tensor([s.weights == "last" for s in in_order], device=x.device)

        shape = (len(seeds), len(specs))
        self.active_sk = torch.ones(shape, dtype=torch.bool, device=x.device)
        self.best_score_sk = torch.full(shape, -torch.inf, dtype=torch.float64, device=x.device)
        self.best_epoch_sk = torch.zeros(shape, dtype=torch.int64, device=x.device)
        self.ran_sk = torch.zeros(shape, dtype=torch.int64, device=x.device)  # epochs trained
        self.failed: set[int] = set()
        # the records below stay whole: curves [S, E], and where those stood who have left
        self.curve_metrics = curve_metrics(data.objective)
        self.curves = {
            head: np.full((len(self.curve_metrics), len(seeds), spec.epochs), np.nan)
            for head, spec in specs.items()
        }
        self.counts: dict[int, list[np.ndarray]] | None = (
            {head: [] for head in specs} if data.pooled else None
        )
        self.departed: dict[int, BestState] = {}
        self._set_up(in_order)
        self.best_weights = [weights.clone() for weights in self._weights()]  # [S, K, …] each

    @abstractmethod
    def _set_up(self, specs: list[HeadSpec]) -> None:
        """Make the weights of these heads, and whatever else their kind of training needs."""

    def _over_heads(self, values: Sequence[float]) -> Tensor:
        x = self.data.train.x_nd
        return torch.tensor(values, dtype=x.dtype, device=x.device)

    def _class_weights(self, specs: list[HeadSpec]) -> Tensor:
        x, y = self.data.train
        kept_kn = self.kept_kn
        if kept_kn is None:
            kept_kn = torch.ones(len(specs), len(x), dtype=x.dtype, device=x.device)
        classes = self.data.classes
        balanced_kc = balanced_class_weights(y, classes=classes, kept_kn=kept_kn)
        beta_k = self._over_heads([spec.class_beta for spec in specs])
        effective_kc = effective_class_weights(y, classes=classes, kept_kn=kept_kn, beta_k=beta_k)
        kinds = [spec.class_weight for spec in specs]
        balanced = torch.tensor([kind == "balanced" for kind in kinds], device=x.device)[:, None]
        effective = torch.tensor([kind == "effective" for kind in kinds], device=x.device)[:, None]
        return torch.where(balanced, balanced_kc, torch.where(effective, effective_kc, 1.0))

    @property
    def running(self) -> list[int]:
        """Heads of which some seed is still training."""
        alive = self.active_sk.any(0).tolist()
        return [head for head, lives in zip(self.heads, alive, strict=True) if lives]

    @property
    def size(self) -> int:
        """Weights and biases of all heads, of all seeds."""
        return sum(weights.numel() for weights in self.best_weights)

    # --- one epoch ----------------------------------------------------------------------------

    @abstractmethod
    def _train(self) -> tuple[Tensor, Tensor]:
        """Train one epoch; returns training loss and learning rate, each [S, K]."""

    @abstractmethod
    def _val_logits(self, start: int, stop: int) -> Tensor:
        """Return the logits [S, K, C, B] of a slice of the validation rows (S may be 1: all seeds alike)."""

    @abstractmethod
    def _weights(self) -> list[Tensor]:
        """Return all weights as they stand, [S, K, …] each."""

    @abstractmethod
    def _named(self, weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
        """Return one head's weights under the names that `Head` uses."""

    def train_epoch(self) -> int:
        """Train one epoch, evaluate, remember the best. Returns how many head-epochs that was."""
        return self._after_epoch(*self._train())

    def _after_epoch(self, train_loss_sk: Tensor, lr_sk: Tensor) -> int:
        """Evaluate what an epoch has come to, remember the best. Returns how many head-epochs it was."""
        trained = int(self.active_sk.sum())
        self.epoch += 1
        self.ran_sk += self.active_sk
        finite_sk = torch.isfinite(train_loss_sk)
        if len(self.data.val.y_n):
            measured = self._validate()
            finite_sk &= torch.isfinite(measured["val_loss"])
        else:  # all rows are learned from
            unknown_sk = torch.full_like(self.best_score_sk, torch.nan)
            measured = dict.fromkeys(self.curve_metrics, unknown_sk)
        measured |= {"train_loss": train_loss_sk, "lr": lr_sk}
        self._record(measured)
        watched_sk = torch.where(self.takes_last_k, train_loss_sk, measured["val_loss"].to(train_loss_sk))
        self._judge(watched_sk, self._score(measured), finite_sk=finite_sk)
        self._let_go()
        return trained

    def _score(self, measured: dict[str, Tensor]) -> Tensor:
        """Return by what the best epoch is chosen, higher is better: [S, K]. An area under a ROC curve is not
        known by epoch; the loss stands in for it."""
        objective = self.data.objective
        if objective.column not in measured:
            return -measured["val_loss"].to(self.best_score_sk)
        score_sk = measured[objective.column].to(self.best_score_sk)
        return score_sk if objective.up else -score_sk

    @torch.no_grad()
    def _validate(self) -> dict[str, Tensor]:
        """Return the values of the validation curves, [S, K] each."""
        y_n = self.data.val.y_n
        seeds, heads = self.active_sk.shape
        chunk = max(1, EVALUATION_CELLS // (seeds * heads * self.data.classes))
        losses, predictions = [], []
        for start in range(0, len(y_n), chunk):
            y = y_n[start : start + chunk]
            logits_skcb = self._val_logits(start, start + len(y))
            predictions.append(logits_skcb.argmax(2))
            target = y.expand(*logits_skcb.shape[:2], 1, -1)
            losses.append(logits_skcb.log_softmax(2).gather(2, target).sum((2, 3)))
        loss_sk = -torch.stack(losses).sum(0) / len(y_n)
        pred_skn = torch.cat(predictions, dim=-1)
        counts_ac = class_counts(pred_skn.flatten(0, 1), y_n, classes=self.data.classes)
        f1_sk = f1_from_counts(*counts_ac).view(loss_sk.shape)
        if self.counts is not None:
            counts_3skc = torch.stack(counts_ac).view(3, *loss_sk.shape, -1).expand(-1, seeds, -1, -1)
            for head, counts_3sc in zip(
                self.heads, counts_3skc.int().cpu().numpy().swapaxes(0, 2), strict=True
            ):
                self.counts[head].append(counts_3sc.swapaxes(0, 1))
        accuracy_sk = (pred_skn == y_n).double().mean(-1)
        found = {"val_loss": loss_sk, "val_f1_macro": f1_sk, "val_accuracy": accuracy_sk}
        if "val_balanced_accuracy" in self.curve_metrics:
            found["val_balanced_accuracy"] = balanced_accuracy_from_counts(*counts_ac).view(loss_sk.shape)
        return {name: value_sk.expand(seeds, -1) for name, value_sk in found.items()}

    def _record(self, measured: dict[str, Tensor]) -> None:
        """Append an epoch's values to the curves."""
        seen_msk = torch.stack([measured[name].double() for name in self.curve_metrics])
        shown = torch.where(self.active_sk, seen_msk, torch.nan).cpu().numpy()
        for position, head in enumerate(self.heads):
            if self.epoch <= self.specs[head].epochs:
                self.curves[head][:, :, self.epoch - 1] = shown[:, :, position]

    def _judge(self, watched_sk: Tensor, score_sk: Tensor, *, finite_sk: Tensor) -> None:
        """Keep the best weights by the score; stop seeds that are out of patience, epochs or numbers.

        ``watched_sk`` is the loss that a scheduler may watch: of a head that keeps its last weights the
        training loss, so that it does the same where there are no validation rows.
        """
        self.failed |= {
            head
            for head, bad in zip(self.heads, (~finite_sk & self.active_sk).any(0).tolist(), strict=True)
            if bad
        }
        better_sk = ((score_sk > self.best_score_sk) | self.takes_last_k) & self.active_sk & finite_sk
        self.best_score_sk = torch.where(better_sk, score_sk, self.best_score_sk)
        self.best_epoch_sk = torch.where(better_sk, self.epoch, self.best_epoch_sk)
        if bool(better_sk.any()):
            choose = better_sk[: len(self.best_weights[0]), :, None, None]
            for best, p in zip(self.best_weights, self._weights(), strict=True):
                torch.where(choose, p, best, out=best)
        self.active_sk = self.active_sk & self._goes_on() & (self.epoch < self.epochs_k) & finite_sk
        if self.failed:
            self.active_sk &= torch.tensor(
                [h not in self.failed for h in self.heads], device=finite_sk.device
            )

    def _goes_on(self) -> Tensor:
        """Return which seeds are not out of patience: [S, K]."""
        return self.epoch - self.best_epoch_sk < self.patience_k

    # --- leaving and joining ------------------------------------------------------------------

    def drop(self, heads: set[int]) -> None:
        """Stop these heads."""
        if heads & set(self.heads):
            self.active_sk &= torch.tensor([h not in heads for h in self.heads], device=self.active_sk.device)
            self._let_go()

    def _let_go(self) -> None:
        """Let heads leave once a quarter have stopped: copying every epoch would cost more than it saves."""
        alive = self.active_sk.any(0).tolist()
        staying = [position for position, lives in enumerate(alive) if lives]
        if (len(alive) - len(staying)) * 4 < max(len(alive), 1):
            return
        for position in set(range(len(alive))) - set(staying):
            self.departed[self.heads[position]] = self._standing(position)
        self._keep(staying)

    def _keep(self, positions: list[int]) -> None:
        """Go on with the heads at these positions, in this order."""
        index = torch.tensor(positions, dtype=torch.int64, device=self.active_sk.device)
        self.heads = [self.heads[position] for position in positions]
        for name in self.OF_HEADS:
            setattr(self, name, getattr(self, name)[..., index])
        for name in self.OF_ROWS_OF_HEADS:
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name)[index])
        self.best_weights = [best[:, index].contiguous() for best in self.best_weights]

    def alone(self, heads: Sequence[int], *, numbers: Sequence[int]) -> Self:
        """Return a cohort of some of the running heads, under new numbers. This one is not to be
        trained any further."""
        part = copy.copy(self)
        part._keep([self.heads.index(head) for head in heads])
        renamed = dict(zip(heads, numbers, strict=True))
        part.heads = list(numbers)
        part.specs = {renamed[head]: self.specs[head] for head in heads}
        part.curves = {renamed[head]: self.curves[head].copy() for head in heads}
        if self.counts is not None:
            part.counts = {renamed[head]: list(self.counts[head]) for head in heads}
        part.failed, part.departed = set(), {}
        return part

    def join(self, others: Sequence[Self]) -> None:
        """Take in the heads of others of the same shape and epoch, after one's own."""
        assert all(other.epoch == self.epoch for other in others)
        everyone = [self, *others]
        for name in self.OF_HEADS:
            setattr(self, name, torch.cat([getattr(one, name) for one in everyone], dim=-1))
        for name in self.OF_ROWS_OF_HEADS:
            if getattr(self, name) is not None:
                setattr(self, name, torch.cat([getattr(one, name) for one in everyone]))
        self.best_weights = [
            torch.cat(same, dim=1) for same in zip(*(one.best_weights for one in everyone), strict=True)
        ]
        for other in others:
            self.heads = [*self.heads, *other.heads]
            self.specs |= other.specs
            self.curves |= other.curves
            if self.counts is not None and other.counts is not None:
                self.counts |= other.counts

    # --- results ------------------------------------------------------------------------------

    def _standing(self, position: int) -> BestState:
        return BestState(
            [best[:, position].clone() for best in self.best_weights],
            self.best_epoch_sk[:, position].cpu().numpy(),
            int(self.ran_sk[:, position].max()),
        )

    def _stands(self, head: int) -> BestState:
        return self.departed.get(head) or self._standing(self.heads.index(head))

    def outcome(self, head: int) -> Outcome:
        """Return what a head has reached so far."""
        _, best_epoch_s, ran = self._stands(head)
        curves = dict(zip(self.curve_metrics, self.curves[head][:, :, :ran], strict=True))

        def at_best(metric: str) -> np.ndarray:
            if best_epoch_s.min() < 1:
                return np.full(len(self.seeds), np.nan)
            return curves[metric][np.arange(len(self.seeds)), best_epoch_s - 1]

        return Outcome(
            best_epoch_s=best_epoch_s,
            score_of={name: at_best(name) for name in score_columns(self.data.objective)},
            failed=head in self.failed,
            curves=curves,
            objective=self.data.objective,
        )

    def head(self, head: int, seed_index: int) -> Head:
        """Return one head of one seed with the weights of its best epoch."""
        spec = self.specs[head]
        weights = [w[min(seed_index, len(w) - 1)] for w in self._stands(head).best_weights]
        return Head(spec, self.data.scaled(spec.scaling).scale, self._named(weights, spec))
