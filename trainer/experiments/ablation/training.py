"""Arms are trained: every cell and its random choice side by side, one seed at a time.

All arms of a seed are one Population: masks over the same rows, the same steps, the same random numbers. A
row that an arm may not see stays in its batch with weight zero, so every arm takes as many optimiser steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from trainer.experiments.ablation.design import Cell
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.outcome import Outcome
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import TrainingData
from trainer.search.space import head_spec, load_space
from trainer.search.tpe import quasi_random


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    cell: int
    random: bool  # on a random choice of as many rows as the cell keeps
    augment: bool
    keep_n: np.ndarray  # bool [N]


class TrainingSettings(NamedTuple):
    """What all arms of a round have in common."""

    seed: int
    precision: Precision = "float32"
    slab_bytes: float | None = None  # None: all arms at once


@dataclass(frozen=True)
class Answer:
    """What an arm's head of one seed said, and how it got there."""

    arm: Arm
    pred_val_n: np.ndarray  # int16 [Nv]
    pred_test_n: np.ndarray  # int16 [Nt]
    score_test_n: np.ndarray | None  # float32 [Nt], probability of class 1 of two
    outcome: Outcome


def arms_of(cells: Sequence[Cell], random_choice: Callable[[Cell], np.ndarray]) -> list[Arm]:
    """Return the cells, and for each that removes rows its random choice."""
    own = [Arm(cell.number, False, cell.augment, cell.keep_n) for cell in cells]
    others = [Arm(cell.number, True, cell.augment, random_choice(cell)) for cell in cells if cell.removes]
    return own + others


def train(
    arms: Sequence[Arm],
    specs: Sequence[HeadSpec],
    data: TrainingData,
    test_x_nd: torch.Tensor,
    settings: TrainingSettings,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Train one head per arm to its last epoch and let it answer.

    Args:
        specs: one for each arm; all take their last weights.
        test_x_nd: features of the test rows, unscaled, on the device of the data.
        progress: told how many head-epochs were added.
    """
    population = _trained(arms, specs, data, settings, progress)
    answers = []
    for index, arm in enumerate(arms):
        head = population.head(index, seed_index=0)
        pred_val_n, _ = _says(head, data.val.x_nd)
        pred_test_n, score_test_n = _says(head, test_x_nd)
        scores = score_test_n if data.classes == 2 else None
        answers.append(Answer(arm, pred_val_n, pred_test_n, scores, population.outcome(index)))
    return answers


def candidates(count: int, *, like: HeadSpec, seed: int) -> list[HeadSpec]:
    """Return configurations spread evenly over the search space, the first ``like`` itself.

    All take its epochs, batch size and class weights: no cell takes more optimiser steps than another.
    """
    space = load_space(views=1)
    found, number = [like], 0
    while len(found) < count:
        spec = head_spec(quasi_random(space, number=number, seed=seed))
        number += 1
        if spec.solver == like.solver:
            same = {name: getattr(like, name) for name in ("epochs", "batch_size", "class_weight", "weights")}
            found.append(dataclasses.replace(spec, **same))
    return found[:count]


def tune(
    arms: Sequence[Arm],
    candidates: Sequence[HeadSpec],
    data: TrainingData,
    settings: TrainingSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[HeadSpec]:
    """Return for each arm the candidate with the highest validation macro-F1 after its last epoch.

    Every arm tries the same candidates with the same random numbers: none is luckier in what it is offered.
    """
    scores_ca = np.full((len(candidates), len(arms)), -1.0)
    for index, candidate in enumerate(candidates):
        population = _trained(arms, [candidate] * len(arms), data, settings, None)
        for arm in range(len(arms)):
            outcome = population.outcome(arm)
            if not outcome.failed:
                scores_ca[index, arm] = outcome.val_f1_macro_s[0]
        if progress is not None:
            progress(index + 1, len(candidates))
    return [candidates[index] for index in scores_ca.argmax(0)]


def _trained(
    arms: Sequence[Arm],
    specs: Sequence[HeadSpec],
    data: TrainingData,
    settings: TrainingSettings,
    progress: Callable[[int], None] | None,
) -> Population:
    as_arms = [
        dataclasses.replace(spec, augment=arm.augment, weights="last")
        for arm, spec in zip(arms, specs, strict=True)
    ]
    population = Population(
        as_arms,
        data,
        seeds=[settings.seed],
        kept_kn=torch.from_numpy(np.stack([arm.keep_n for arm in arms])),
        precision=settings.precision,
        slab_bytes=settings.slab_bytes,
    )
    population.train(max(spec.epochs for spec in as_arms), progress=progress)
    return population


def _says(head: Head, x_nd: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return class numbers int16 [N] and the probability of class 1, float32 [N]."""
    probability_nc = head.probabilities(x_nd).cpu().numpy()
    return probability_nc.argmax(1).astype(np.int16), probability_nc[:, 1].astype(np.float32)
