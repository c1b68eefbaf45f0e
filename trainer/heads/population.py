"""K heads × S seeds, trained together.

A `Population` sorts its heads into `_Cohort`s of one shape and batch size; a cohort is one tensor
program in which every setting is a vector over heads. The caller trains up to a rung, looks at the
scores, drops the losers and goes on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.heads import streams
from trainer.heads.data import TrainingData
from trainer.heads.head import Head
from trainer.heads.losses import balanced_class_weights, cross_entropy
from trainer.heads.metrics import f1_macro
from trainer.heads.optimizer import Optimizer
from trainer.heads.schedules import Plateau, lr_table
from trainer.heads.spec import HeadSpec
from trainer.heads.stack import Layer, Stack, sort_key

CURVE_METRICS = ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")
EVALUATION_CELLS = 4_000_000  # logits held at once while evaluating, to bound memory


@dataclass(frozen=True)
class Outcome:
    """What training one configuration returned; arrays over its S seeds.

    ``val_*`` stand at each seed's best epoch (the first with its highest validation macro-F1).
    ``curves`` maps each of `CURVE_METRICS` to [S, E], NaN after a seed has stopped. Validation loss
    is plain cross-entropy, whatever the training loss, so that configurations can be compared.
    """

    best_epoch_s: np.ndarray  # int, from 1
    val_f1_macro_s: np.ndarray
    val_accuracy_s: np.ndarray
    val_loss_s: np.ndarray
    failed: bool  # the loss of some seed stopped being a number
    curves: dict[str, np.ndarray]

    @property
    def epochs(self) -> int:
        """Epochs run by the longest seed."""
        return int(self.curves["val_loss"].shape[1])

    @property
    def score(self) -> float:
        """Mean over seeds of the best validation macro-F1; NaN where a seed failed."""
        return math.nan if self.failed else float(self.val_f1_macro_s.mean())


class Population:
    """Heads to train on the same rows.

    Args:
        specs: K configurations, in any mixture.
        data: scaled rows, see `trainer.heads.data.prepare`.
        seeds: S integers; every configuration is trained once for each.
        kept_kn: optional [K, N] of 0 and 1: which training rows each head may see.
    """

    def __init__(
        self,
        specs: Sequence[HeadSpec],
        data: TrainingData,
        *,
        seeds: Sequence[int],
        kept_kn: Tensor | None = None,
    ) -> None:
        self.specs = list(specs)
        self._cohorts: list[_Cohort] = []
        self._home: dict[int, _Cohort] = {}
        members = defaultdict(list)
        for head, spec in enumerate(self.specs):
            members[spec.stack_key].append(head)
        for heads in members.values():
            heads.sort(key=lambda head: sort_key(self.specs[head]))
            kept = None if kept_kn is None else kept_kn[heads]
            cohort = _Cohort({h: self.specs[h] for h in heads}, data, seeds=tuple(seeds), kept_kn=kept)
            self._cohorts.append(cohort)
            self._home.update(dict.fromkeys(heads, cohort))

    @property
    def running(self) -> list[int]:
        """Heads of which some seed is still training."""
        return sorted(head for cohort in self._cohorts for head in cohort.running)

    def train(self, until_epoch: int, *, progress: Callable[[int], None] | None = None) -> None:
        """Train every running head up to ``until_epoch`` epochs, or to its own end.

        Args:
            progress: told, epoch by epoch, how many head-epochs (one head, one seed) were added.
        """
        for cohort in self._cohorts:
            while cohort.epoch < until_epoch and cohort.running:
                trained = cohort.train_epoch()
                if progress is not None:
                    progress(trained)

    def drop(self, heads: Sequence[int]) -> None:
        """Stop training these heads; the others shrink together. What they reached is kept."""
        for cohort in self._cohorts:
            cohort.drop(set(heads))

    def outcome(self, head: int) -> Outcome:
        """What configuration ``head`` has reached so far."""
        return self._home[head].outcome(head)

    def head(self, head: int, *, seed_index: int) -> Head:
        """Configuration ``head`` of one seed with the weights of its best epoch."""
        return self._home[head].head(head, seed_index)


class _Cohort:
    """Heads of one hidden shape and batch size. Positions on the K axis shrink as heads leave."""

    def __init__(
        self,
        specs: dict[int, HeadSpec],
        data: TrainingData,
        *,
        seeds: tuple[int, ...],
        kept_kn: Tensor | None,
    ) -> None:
        self.data, self.seeds, self.all_specs = data, seeds, specs
        self.heads = list(specs)  # which head stands at each position
        self.epoch = 0
        x = data.train.x_nd
        in_order = list(specs.values())
        self.batch_size = in_order[0].batch_size
        self.steps_per_epoch = math.ceil(len(x) / self.batch_size)
        self.stack = Stack(
            in_order, seeds=seeds, features=x.shape[1], classes=data.classes, dtype=x.dtype, device=x.device
        )
        self.optimizer = Optimizer(in_order, self.stack.parameters())
        self.plateau = Plateau(in_order, seeds=len(seeds), device=x.device)
        self.lr_tk = lr_table(in_order, steps_per_epoch=self.steps_per_epoch, device=x.device)
        self.kept_kn = None if kept_kn is None else kept_kn.to(x.device, x.dtype)
        self.class_weight_kc = self._class_weights(in_order)
        self.smoothing_k = self._over_heads([s.label_smoothing for s in in_order])
        self.patience_k = self._over_heads([s.patience for s in in_order])
        self.epochs_k = self._over_heads([s.epochs for s in in_order])

        shape = (len(seeds), len(specs))
        self.active_sk = torch.ones(shape, dtype=torch.bool, device=x.device)
        self.best_f1_sk = torch.full(shape, -1.0, dtype=torch.float64, device=x.device)
        self.best_epoch_sk = torch.zeros(shape, dtype=torch.int64, device=x.device)
        self.best_weights = [p.clone() for p in self.stack.parameters()]
        self.failed: set[int] = set()
        # the records below stay whole: [heads that ever were, S, E] and the best weights of those who left
        self.column = {head: position for position, head in enumerate(self.heads)}
        longest = max(spec.epochs for spec in in_order)
        self.curves = {metric: np.full((len(specs), len(seeds), longest), np.nan) for metric in CURVE_METRICS}
        self.departed: dict[int, list[Tensor]] = {}
        self.departed_best: dict[int, Tensor] = {}

    def _over_heads(self, values: list[float]) -> Tensor:
        x = self.data.train.x_nd
        return torch.tensor(values, dtype=x.dtype, device=x.device)

    def _class_weights(self, specs: list[HeadSpec]) -> Tensor:
        x, y = self.data.train
        kept_kn = torch.ones(len(specs), len(x), dtype=x.dtype, device=x.device)
        balanced_kc = balanced_class_weights(
            y, classes=self.data.classes, kept_kn=kept_kn if self.kept_kn is None else self.kept_kn
        )
        wanted = torch.tensor([s.class_weight == "balanced" for s in specs], device=x.device)
        return torch.where(wanted[:, None], balanced_kc, 1.0)

    @property
    def running(self) -> list[int]:
        alive = self.active_sk.any(0).tolist()
        return [head for head, lives in zip(self.heads, alive, strict=True) if lives]

    # --- one epoch ----------------------------------------------------------------------------

    def train_epoch(self) -> int:
        """Train one epoch, evaluate, remember the best. Returns how many head-epochs that was."""
        trained = int(self.active_sk.sum())
        lr_sk = self.lr_tk[self.epoch * self.steps_per_epoch] * self.plateau.factor_sk
        train_loss_sk = self._train_steps()
        self.epoch += 1
        val_loss_sk, val_f1_sk, val_accuracy_sk = self._validate()
        measured = (train_loss_sk, val_loss_sk, val_f1_sk, val_accuracy_sk, lr_sk)
        self._record(dict(zip(CURVE_METRICS, measured, strict=True)))
        self.plateau.step(val_loss_sk)
        self._judge(val_f1_sk, finite_sk=torch.isfinite(train_loss_sk) & torch.isfinite(val_loss_sk))
        self._compact()
        return trained

    def _train_steps(self) -> Tensor:
        x_nd, y_n = self.data.train
        order_sn = streams.sample_order(self.seeds, epoch=self.epoch, rows=len(x_nd)).to(x_nd.device)
        total_sk = torch.zeros_like(self.best_f1_sk, dtype=x_nd.dtype)
        for within, rows_sb in enumerate(order_sn.split(self.batch_size, dim=1)):
            step = self.epoch * self.steps_per_epoch + within
            parameters = self.stack.parameters()
            for p in parameters:
                p.requires_grad_(True)
            logits_skcb = self.stack.forward(x_nd[rows_sb], dropout_step=step)
            loss_sk = cross_entropy(
                logits_skcb,
                y_n[rows_sb],
                smoothing_k=self.smoothing_k,
                class_weight_kc=self.class_weight_kc,
                sample_weight_skb=None if self.kept_kn is None else self.kept_kn[:, rows_sb].transpose(0, 1),
            )
            # the sum, not the mean: each head's gradient must not depend on how many others there are
            gradients = torch.autograd.grad(loss_sk.sum(), parameters, allow_unused=True)
            for p in parameters:
                p.requires_grad_(False)
            filled = [
                torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)
            ]
            self.optimizer.step(
                parameters, filled, self.lr_tk[step] * self.plateau.factor_sk * self.active_sk
            )
            total_sk += loss_sk.detach() * rows_sb.shape[1]
        return total_sk / len(x_nd)

    @torch.no_grad()
    def _validate(self) -> tuple[Tensor, Tensor, Tensor]:
        x_nd, y_n = self.data.val
        seeds, heads = self.active_sk.shape
        chunk = max(1, EVALUATION_CELLS // (seeds * heads * self.data.classes))
        loss_sk = torch.zeros(seeds, heads, dtype=x_nd.dtype, device=x_nd.device)
        predictions = []
        for x, y in zip(x_nd.split(chunk), y_n.split(chunk), strict=True):
            logits_skcb = self.stack.forward(x.unsqueeze(0))
            predictions.append(logits_skcb.argmax(2))
            target = y.expand(seeds, heads, 1, -1)
            loss_sk -= logits_skcb.log_softmax(2).gather(2, target).sum((2, 3))
        pred_skn = torch.cat(predictions, dim=-1)
        f1_sk = f1_macro(pred_skn.flatten(0, 1), y_n, classes=self.data.classes).view(seeds, heads)
        return loss_sk / len(x_nd), f1_sk, (pred_skn == y_n).double().mean(-1)

    def _record(self, measured: dict[str, Tensor]) -> None:
        columns = [self.column[head] for head in self.heads]
        for metric, value_sk in measured.items():
            shown = torch.where(self.active_sk, value_sk.double(), torch.nan)
            self.curves[metric][columns, :, self.epoch - 1] = shown.T.cpu().numpy()

    def _judge(self, val_f1_sk: Tensor, *, finite_sk: Tensor) -> None:
        """Keep the best weights; stop seeds that are out of patience, epochs or numbers."""
        self.failed |= {
            head
            for head, bad in zip(self.heads, (~finite_sk & self.active_sk).any(0).tolist(), strict=True)
            if bad
        }
        better_sk = (val_f1_sk > self.best_f1_sk) & self.active_sk & finite_sk
        self.best_f1_sk = torch.where(better_sk, val_f1_sk, self.best_f1_sk)
        self.best_epoch_sk = torch.where(better_sk, self.epoch, self.best_epoch_sk)
        if bool(better_sk.any()):
            choose = better_sk[:, :, None, None]
            for best, p in zip(self.best_weights, self.stack.parameters(), strict=True):
                torch.where(choose, p, best, out=best)
        waited_sk = self.epoch - self.best_epoch_sk
        self.active_sk &= (waited_sk < self.patience_k) & (self.epoch < self.epochs_k) & finite_sk
        if self.failed:
            self.active_sk &= torch.tensor(
                [h not in self.failed for h in self.heads], device=finite_sk.device
            )

    # --- shrinking ----------------------------------------------------------------------------

    def drop(self, heads: set[int]) -> None:
        """Stop these heads."""
        if heads & set(self.heads):
            self.active_sk &= torch.tensor([h not in heads for h in self.heads], device=self.active_sk.device)
            self._compact()

    def _compact(self) -> None:
        """Let heads leave once a quarter have stopped: copying every epoch would cost more than it saves."""
        alive_k = self.active_sk.any(0)
        leaving = [h for h, lives in zip(self.heads, alive_k.tolist(), strict=True) if not lives]
        if not leaving or len(leaving) * 4 < len(self.heads):
            return
        for head in leaving:
            position = self.heads.index(head)
            self.departed[head] = [best[:, position].clone() for best in self.best_weights]
            self.departed_best[head] = self.best_epoch_sk[:, position].clone()
        index = alive_k.nonzero().squeeze(1)
        self.heads = [h for h in self.heads if h not in set(leaving)]
        specs = [self.all_specs[h] for h in self.heads]
        if specs:
            self.stack.keep(index, specs)
            self.optimizer.keep(index, specs)
        self.plateau.keep(index)
        self.lr_tk = self.lr_tk[:, index]
        if self.kept_kn is not None:
            self.kept_kn = self.kept_kn[index]
        for name in ("class_weight_kc", "smoothing_k", "patience_k", "epochs_k"):
            setattr(self, name, getattr(self, name)[index])
        for name in ("active_sk", "best_f1_sk", "best_epoch_sk"):
            setattr(self, name, getattr(self, name)[:, index])
        self.best_weights = [best[:, index].contiguous() for best in self.best_weights]

    # --- results ------------------------------------------------------------------------------

    def outcome(self, head: int) -> Outcome:
        if head in self.departed_best:
            best_epoch_s = self.departed_best[head].cpu().numpy()
        else:
            best_epoch_s = self.best_epoch_sk[:, self.heads.index(head)].cpu().numpy()
        curves = {metric: values[self.column[head]] for metric, values in self.curves.items()}
        ran = np.isfinite(curves["lr"]).any(0)
        curves = {metric: values[:, : int(ran.sum())] for metric, values in curves.items()}

        def at_best(metric: str) -> np.ndarray:
            if best_epoch_s.min() < 1:
                return np.full(len(self.seeds), np.nan)
            return curves[metric][np.arange(len(self.seeds)), best_epoch_s - 1]

        return Outcome(
            best_epoch_s=best_epoch_s,
            val_f1_macro_s=at_best("val_f1_macro"),
            val_accuracy_s=at_best("val_accuracy"),
            val_loss_s=at_best("val_loss"),
            failed=head in self.failed,
            curves=curves,
        )

    def head(self, head: int, seed_index: int) -> Head:
        if head in self.departed:
            weights = [w[seed_index] for w in self.departed[head]]
        else:
            weights = [w[seed_index, self.heads.index(head)] for w in self.best_weights]
        spec = self.all_specs[head]
        return Head(spec, self.data.scale, _named(weights, spec))


def _named(weights: list[Tensor], spec: HeadSpec) -> dict[str, Tensor]:
    """One head's tensors under the names that `Head` uses."""
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
