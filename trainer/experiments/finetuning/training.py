"""The loop that trains the last blocks of an encoder on stored activations.

Nothing in it is random but the order of the rows and the view that each shows, which are functions of (seed,
epoch). So a training that is taken up at any step ends as if it had never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.core.errors import InputError
from trainer.experiments.finetuning.learner import Learner
from trainer.features.backbone import OutOfMemory, catch_out_of_memory
from trainer.features.partial_encoder import TrainableTail
from trainer.heads import common_random_numbers, metrics

METRICS = ("train_loss", "val_loss", "val_f1_macro", "val_accuracy", "lr")
MOMENTS = ("exp_avg", "exp_avg_sq")  # what torch calls Adam's


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train."""

    lr: float  # of the last block, at its highest
    head_lr: float
    layer_decay: float  # each block learns so many times as fast as the next one
    weight_decay: float
    warmup: float  # share of the steps in which rates rise
    label_smoothing: float
    clip_norm: float
    batch_size: int  # rows per optimiser step
    epochs: int
    patience: int  # epochs without a better validation macro-F1 that are put up with
    precision: str  # bfloat16: autocast; weights stay float32


class Source(Protocol):
    """Where activations are from."""

    views: int

    def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor: ...


class IndexedRows(NamedTuple):
    """Which rows of the source, and their classes."""

    rows: np.ndarray  # int64 [N]
    y_n: Tensor  # int64 [N], on the device


class Splits(NamedTuple):
    """Rows to learn from, and rows to choose the best epoch on."""

    train: IndexedRows
    val: IndexedRows


@dataclass
class TrainingProgress:
    """How far a training has come, besides its tensors. Plain numbers: it is kept as JSON."""

    step: int = 0
    micro: int = 0  # rows that are run at once; the gradients of a step's are added up
    best_epoch: int = 0
    since: int = 0  # epochs since it
    done: bool = False
    failed: bool = False
    loss: float = 0.0  # summed over the rows of this epoch so far
    spent_s: float = 0.0
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in METRICS})


class Training:
    """One learner, one seed, up to its end.

    Attributes:
        standing: how far it has come.
        best: the weights at the best epoch, by name.
    """

    def __init__(
        self,
        learner: Learner,
        source: Source,
        rows: Splits,
        *,
        recipe: Recipe,
        seed: int,
        said: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.learner, self.recipe = learner, recipe
        self._source, self._seed, self._say = source, seed, said
        train, self._val = rows
        self._train = train
        groups = learner.groups(
            lr=recipe.lr,
            head_lr=recipe.head_lr,
            decay=recipe.layer_decay,
            weight_decay=recipe.weight_decay,
        )
        self._optimizer = torch.optim.AdamW(groups)
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]
        self.steps_per_epoch = -(-len(train.rows) // recipe.batch_size)
        self.standing = TrainingProgress(micro=min(recipe.batch_size, len(train.rows)))
        self.best: dict[str, Tensor] = {}
        self._device = train.y_n.device
        self._plan: tuple[int, np.ndarray, np.ndarray] | None = None
        self._loss = torch.zeros((), dtype=torch.float64, device=self._device)

    # --- running ------------------------------------------------------------------------------

    def run(
        self,
        *,
        save: Callable[[], None] = lambda: None,
        every_s: float = math.inf,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Train to the end; ``save`` is called after a step that ends later than ``every_s`` after the last
        save, and at the end; ``progress`` after each step.

        Raises:
            InputError: the device has no memory for a single row.
        """
        saved = time.monotonic()
        while not self.standing.done:
            began = time.monotonic()
            self._step()
            if self.standing.step % self.steps_per_epoch == 0:
                self._end_epoch()
            self.standing.spent_s += time.monotonic() - began
            progress()
            if self.standing.done or time.monotonic() - saved >= every_s:
                self.standing.loss = float(self._loss)
                save()
                saved = time.monotonic()

    @property
    def epoch(self) -> int:
        """Whole epochs that are behind."""
        return self.standing.step // self.steps_per_epoch

    def _step(self) -> None:
        step = self.standing.step
        epoch, within = divmod(step, self.steps_per_epoch)
        order, shown = self._planned(epoch)
        chosen = order[within * self.recipe.batch_size : (within + 1) * self.recipe.batch_size]
        factor = rate_factor(step, total=self.recipe.epochs * self.steps_per_epoch, warmup=self.recipe.warmup)
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        loss = self._with_room(lambda: self._gradients(chosen, shown[chosen]))
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), self.recipe.clip_norm)
        self._optimizer.step()
        self._loss += loss
        self.standing.step += 1

    def _gradients(self, chosen: np.ndarray, shown: np.ndarray) -> Tensor:
        """Add up the gradients of a step's rows, as many at once as there is room for; their summed loss."""
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for at in range(0, len(chosen), self.standing.micro):
            part = slice(at, at + self.standing.micro)
            h = self._source.batch(self._train.rows[chosen[part]], shown[part])
            y_b = self._train.y_n[torch.from_numpy(chosen[part]).to(self._device)]
            with self._autocast():
                logits = self.learner(h)
            loss = F.cross_entropy(logits, y_b, label_smoothing=self.recipe.label_smoothing, reduction="sum")
            (loss / len(chosen)).backward()
            total += loss.detach()
        return total

    def _with_room(self, work: Callable[[], Tensor]) -> Tensor:
        """Do it; with half as many rows at once for as long as memory is too small."""
        while True:
            try:
                with catch_out_of_memory():
                    return work()
            except OutOfMemory:
                if self.standing.micro == 1:
                    raise InputError(
                        "The device has no memory to train on a single image. Pass a smaller "
                        "--unfreeze-last, choose a smaller encoder, or pass --device cpu."
                    ) from None
            self._optimizer.zero_grad(set_to_none=True)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            self.standing.micro //= 2
            self._say(
                f"Out of memory with {2 * self.standing.micro} images at once: continuing with "
                f"{self.standing.micro} at once, and the same number per step."
            )

    def _planned(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of the training rows in an epoch, and the view that each shows."""
        if self._plan is None or self._plan[0] != epoch:
            rows, count = len(self._train.rows), 1 + self._source.views
            order = common_random_numbers.sample_order((self._seed,), epoch=epoch, rows=rows)[0].numpy()
            shown = common_random_numbers.views((self._seed,), epoch=epoch, rows=rows, count=count)[0].numpy()
            self._plan = epoch, order, shown
        return self._plan[1:]

    def _end_epoch(self) -> None:
        standing, recipe = self.standing, self.recipe
        logits = self._with_room(lambda: answers(self.learner, self._source, self._val.rows, self._how()))
        y_n = self._val.y_n
        pred = logits.argmax(1)[None]
        found = {
            "train_loss": float(self._loss) / len(self._train.rows),
            "val_loss": float(F.cross_entropy(logits, y_n)),
            "val_f1_macro": float(metrics.f1_macro(pred, y_n, classes=logits.shape[1])[0]),
            "val_accuracy": float((pred[0] == y_n).double().mean()),
            "lr": max(group["lr"] for group in self._optimizer.param_groups[2:]),
        }
        self._loss.zero_()
        standing.failed = not (math.isfinite(found["train_loss"]) and math.isfinite(found["val_loss"]))
        before = standing.curves["val_f1_macro"]
        better = not before or found["val_f1_macro"] > max(before)
        for name, value in found.items():
            standing.curves[name].append(value)
        standing.since = 0 if better else standing.since + 1
        if better and not standing.failed:
            standing.best_epoch = self.epoch
            self.best = {name: p.detach().clone() for name, p in self.learner.learnt()}
        standing.done = standing.failed or self.epoch >= recipe.epochs or standing.since >= recipe.patience

    def _how(self) -> Running:
        return Running(self.standing.micro, self.recipe.precision)

    def _autocast(self) -> torch.autocast:
        return autocast(self._device, self.recipe.precision)

    # --- what is kept -------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments and the best weights, by name."""
        kept = {f"best.{name}": tensor for name, tensor in self.best.items()}
        if self.standing.done:
            return kept
        for name, parameter in self.learner.learnt():
            kept[f"weight.{name}"] = parameter.detach()
            for moment in MOMENTS:
                kept[f"{moment}.{name}"] = self._optimizer.state[parameter][moment]
        return kept

    def restore(self, standing: TrainingProgress, tensors: dict[str, Tensor]) -> None:
        """Go on from what `standing` and `tensors` were."""
        self.standing = standing
        self._loss.fill_(standing.loss)
        for name, parameter in self.learner.learnt():
            if f"best.{name}" in tensors:
                self.best[name] = tensors[f"best.{name}"].to(self._device)
            if f"weight.{name}" in tensors:
                with torch.no_grad():
                    parameter.copy_(tensors[f"weight.{name}"])
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(standing.step)),
                    **{moment: tensors[f"{moment}.{name}"].to(self._device) for moment in MOMENTS},
                }

    def take_best(self) -> Learner:
        """Return the learner with the weights of its best epoch."""
        with torch.no_grad():
            for name, parameter in self.learner.learnt():
                parameter.copy_(self.best[name])
        return self.learner


class Running(NamedTuple):
    """How a learner is run."""

    micro: int  # rows at once
    precision: str


def autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


@torch.no_grad()
def answers(learner: Learner, source: Source, rows: np.ndarray, how: Running) -> Tensor:
    """Return the logits float32 [N, C] of rows as they are, on the device."""
    return learner.logits(vectors(learner.tail, source, rows, how))


@torch.no_grad()
def vectors(tail: TrainableTail, source: Source, rows: np.ndarray, how: Running, *, view: int = 0) -> Tensor:
    """Return what the last blocks make of rows in one view, float32 [N, D], on the device."""
    found = []
    for at in range(0, len(rows), how.micro):
        some = rows[at : at + how.micro]
        h = source.batch(some, np.full(len(some), view))
        with autocast(h.device, how.precision):
            found.append(tail(h).float())
    return torch.cat(found)


def rate_factor(step: int, *, total: int, warmup: float) -> float:
    """Return what learning rates are multiplied by: a straight line up, then half a cosine down to 0."""
    rise = max(1, round(warmup * total))
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))) / 2
