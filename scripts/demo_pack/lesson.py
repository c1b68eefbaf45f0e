"""The encoder learns, from captions (contrastively) and from the teacher (distillation).

Losses, all on the same batch of views:

- the class token regresses the teacher's pooled features (cosine), the patch tokens its feature map (mean
  squared error): this works on photographs too, which have no captions;
- image and text embeddings of drawings are contrasted (Radford et al. 2021). Drawings of the same thing from
  different sets are all right answers, not negatives.

The first phase shows images at half the side (a quarter of the patches), the second at full size.
"""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from scripts.demo_pack import student, words
from scripts.demo_pack.student import SIDE, Pupil


@dataclass(frozen=True)
class Phase:
    side: int  # pixels shown to the student
    steps: int
    peak_lr: float


PHASES = (Phase(64, 3000, 1.5e-3), Phase(128, 3000, 8e-4))
BATCH = 256
WARM_UP = 300  # steps of each phase
WEIGHT_DECAY = 0.05
CAPTION_LOSS = 0.25  # beside 1.0 for each of the teacher's
HOTTEST = 4.6  # logarithm of the largest factor on the cosines of the caption loss
TELL_EVERY, SAVE_EVERY = 100, 250  # steps


def train(
    folder: Path, drawings: pd.DataFrame, encoder: Path, *, seed: int, phases: tuple[Phase, ...] = PHASES
) -> None:
    """Train from the views in ``folder``; the finished model goes to ``encoder``, where its tokenizer is.

    A checkpoint is kept every few hundred steps: run again to go on.
    """
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(encoder)
    torch.manual_seed(seed)
    batches = Batches(folder, drawings, tokenizer, seed=seed)
    clip = student.architecture(len(tokenizer), tokenizer.eos_token_id, tokenizer.bos_token_id)
    clip.set_attn_implementation("eager")  # on CPUs its backward pass is faster at so few tokens
    pupil = Pupil(clip, batches.pooled.shape[-1], batches.maps.shape[-1])
    student.mimetic_attention(clip)
    student.sine_positions(clip)
    learner = Learner(pupil)
    learner.resume(folder / "checkpoint.pt")
    total = sum(phase.steps for phase in phases)
    told = Told(learner.steps, total)
    with ThreadPoolExecutor(1) as ahead:  # the next batch is made while this one is learnt

        def coming(step: int) -> Future[Batch]:
            return ahead.submit(batches, step, phase_of(min(step, total - 1), phases)[0].side)

        batch = coming(learner.steps)
        while learner.steps < total:
            phase, step = phase_of(learner.steps, phases)
            now, batch = batch.result(), coming(learner.steps + 1)
            told.step(learner.learn(now, lr=learning_rate(step, phase)))
            if learner.steps % SAVE_EVERY == 0 or learner.steps == total:
                learner.save(folder / "checkpoint.pt")
    student.save(learner.finished().clip, encoder)


def facts() -> dict[str, Any]:
    """For the card."""
    return {
        "steps": " and ".join(f"{phase.steps:,} steps at {phase.side} px" for phase in PHASES),
        "batch": BATCH,
        "caption_loss": CAPTION_LOSS,
    }


def learning_rate(step: int, phase: Phase) -> float:
    """Warm-up, then half a cosine to a hundredth."""
    if step < WARM_UP:
        return phase.peak_lr * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(phase.steps - WARM_UP, 1)
    return phase.peak_lr * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def phase_of(step: int, phases: tuple[Phase, ...]) -> tuple[Phase, int]:
    """The phase that a step belongs to, and its number in it."""
    for phase in phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise ValueError("past the last step")


class Batch(NamedTuple):
    """Views, those with a caption first."""

    images: torch.Tensor  # [B, 3, S, S], -1…1
    pooled: torch.Tensor  # [B, P], what the teacher says
    maps: torch.Tensor  # [B, 4, 4, M]
    tokens: dict[str, torch.Tensor]  # of the n captions
    concept: torch.Tensor  # int [n]


class Batches:
    """Views with what the teacher said about them, and with captions where there are any."""

    def __init__(self, folder: Path, drawings: pd.DataFrame, tokenizer: Any, *, seed: int) -> None:
        self.views = np.load(
            folder / "views.npy"
        )  # 5 GB: read at once, random rows of a mapped file come slowly
        self.origin = np.load(folder / "origin.npy")
        self.pooled = np.load(folder / "pooled.npy")
        self.maps = np.load(folder / "maps.npy")
        self.titles, self.keywords = list(drawings.title), [list(k) for k in drawings.keywords]
        concepts = [words.concept(t, k) for t, k in zip(self.titles, self.keywords, strict=True)]
        self.concept = np.unique(concepts, return_inverse=True)[1]
        self.tokenizer, self.seed = tokenizer, seed

    def __call__(self, step: int, side: int) -> Batch:
        """The batch of a step: the same for the same seed, whatever ran before."""
        epoch, place = divmod(step, len(self.views) // BATCH)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.views))
        rows = order[place * BATCH : (place + 1) * BATCH]
        rows = np.concatenate([rows[self.origin[rows] >= 0], rows[self.origin[rows] < 0]])
        origin = self.origin[rows][self.origin[rows] >= 0]
        rng = np.random.default_rng((self.seed, epoch, place))
        # numpy, not torch: a second pool of torch's threads would spin against the one that learns
        images, maps = self.views[rows], self.maps[rows]
        mirrored = rng.random(len(rows)) < 0.5
        images[mirrored], maps[mirrored] = images[mirrored, :, :, ::-1], maps[mirrored, :, ::-1]
        if side != SIDE:
            images = shrunk(images, SIDE // side)
        captions = [words.speak(self.titles[i], self.keywords[i], rng) for i in origin]
        return Batch(
            images=torch.from_numpy(images.astype(np.float32) / 127.5 - 1),
            pooled=torch.from_numpy(self.pooled[rows].astype(np.float32)),
            maps=torch.from_numpy(maps.astype(np.float32)),
            tokens=dict(
                self.tokenizer(
                    captions, padding=True, truncation=True, max_length=words.LENGTH, return_tensors="pt"
                )
            ),
            concept=torch.from_numpy(self.concept[origin]),
        )


def shrunk(images: np.ndarray, cell: int) -> np.ndarray:
    """uint8 [B, 3, S, S] → float32 [B, 3, S / cell, S / cell]: means of cells, by sums of slices, which is
    faster than numpy's mean over two axes."""
    total = sum(images[:, :, i::cell, j::cell].astype(np.uint16) for i in range(cell) for j in range(cell))
    return np.asarray(total, dtype=np.float32) / cell**2


class Learner:
    """A pupil and its optimiser: weights are held in float32, steps are computed in bfloat16."""

    def __init__(self, pupil: Pupil) -> None:
        self.pupil = pupil
        self.master = {name: value.detach().clone() for name, value in pupil.named_parameters()}
        decayed = [value for value in self.master.values() if value.ndim > 1]
        others = [value for value in self.master.values() if value.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98),
            fused=True,
        )
        self.steps = 0
        pupil.bfloat16().train()

    def learn(self, batch: Batch, *, lr: float) -> np.ndarray:
        """One step; returns the three losses: pooled, map, captions."""
        self._to_pupil()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        losses = self._losses(batch)
        (losses[0] + losses[1] + CAPTION_LOSS * losses[2]).backward()
        for name, parameter in self.pupil.named_parameters():
            self.master[name].grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        nn.utils.clip_grad_norm_([value for value in self.master.values() if value.grad is not None], 1.0)
        self.optimizer.step()
        self.steps += 1
        return np.array([float(loss.detach()) for loss in losses])

    def _losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pooled, maps, image, text = self.pupil(batch.images.bfloat16(), batch.tokens)
        scale = self.pupil.clip.logit_scale.float().clamp(max=HOTTEST).exp()
        captioned = image[: len(batch.concept)].float()
        return (
            (1 - F.cosine_similarity(pooled.float(), batch.pooled)).mean(),
            F.mse_loss(maps.float(), batch.maps) / batch.maps.var(),
            caption_loss(captioned, text.float(), scale, batch.concept),
        )

    def save(self, path: Path) -> None:
        state = {"step": self.steps, "optimizer": self.optimizer.state_dict(), "master": self.master}
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.steps = state["step"]
            self.optimizer.load_state_dict(state["optimizer"])
            for name, value in state["master"].items():
                self.master[name].copy_(value)

    def finished(self) -> Pupil:
        """The pupil with the weights as they are held, in float32."""
        self.pupil.float()
        self._to_pupil()
        return self.pupil

    @torch.no_grad()
    def _to_pupil(self) -> None:
        for name, parameter in self.pupil.named_parameters():
            parameter.copy_(self.master[name])


def caption_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, concept: torch.Tensor
) -> torch.Tensor:
    """Symmetric cross-entropy over the batch; rows of the same concept share the mass of the right answer.

    Args:
        image, text: [n, E], not normalised.
        concept: int [n].
    """
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
    same = (concept[:, None] == concept[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Told:
    """A line now and then: mean losses since the last, and the speed."""

    def __init__(self, first: int, total: int) -> None:
        self.now, self.first, self.total = first, first, total
        self.began, self.losses = time.monotonic(), []  # type: ignore[var-annotated]

    def step(self, losses: np.ndarray) -> None:
        self.now += 1
        self.losses.append(losses)
        if self.now % TELL_EVERY == 0 or self.now == self.total:
            speed = (self.now - self.first) * BATCH / (time.monotonic() - self.began)
            pooled, maps, captions = np.mean(self.losses, axis=0)
            left = (self.total - self.now) * BATCH / speed / 60
            print(
                f"step {self.now}/{self.total}  pooled {pooled:.3f}  map {maps:.3f}  captions {captions:.3f}"
                f"  {speed:.0f} images/s, {left:.0f} minutes left at this rate",
                flush=True,
            )
            self.losses.clear()
