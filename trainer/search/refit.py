"""Select the finalists and retrain them: with their own seeds, which gives the same weights thanks to common
random numbers, and with fresh seeds, because the best of many trials is selected partly by luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.heads.head import Head
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import TrainingData
from trainer.search.space import head_spec
from trainer.search.study import FinishedTrial

NAMES = {0: "best linear", 1: "best 1-hidden", 2: "best 2-hidden"}


class Finalist(NamedTuple):
    """A selected configuration with its best seed, both selected on validation."""

    name: str
    trial: int
    seed_index: int
    val_f1_macro: float  # of that seed
    head: Head


def choose_finalists(trials: Sequence[FinishedTrial]) -> dict[str, FinishedTrial]:
    """Return the best completed trial, and for comparison the best of every other depth.

    All are selected by mean validation macro-F1; ties go to the earlier trial.
    """
    ranked = sorted((t for t in trials if t.state == "complete"), key=lambda t: (-t.score, t.number))
    chosen: dict[str, FinishedTrial] = {"best": ranked[0]} if ranked else {}
    for depth, name in NAMES.items():
        of_depth = [t for t in ranked if t.params["depth"] == depth]
        if of_depth and of_depth[0] is not ranked[0]:
            chosen[name] = of_depth[0]
    return chosen


def retrain(
    chosen: dict[str, FinishedTrial], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> list[Finalist]:
    """Retrain the selected configurations and take the seed of each that is best on validation."""
    population = _trained(chosen, data, seeds=seeds, precision=precision)
    finalists = []
    for index, (name, trial) in enumerate(chosen.items()):
        scores_s = population.outcome(index).val_f1_macro_s
        seed_index = int(scores_s.argmax())
        head = population.head(index, seed_index=seed_index)
        finalists.append(Finalist(name, trial.number, seed_index, float(scores_s[seed_index]), head))
    return finalists


def scores_with_fresh_seeds(
    chosen: dict[str, FinishedTrial], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> dict[str, np.ndarray]:
    """Return the validation macro-F1 [S] of each configuration with fresh seeds; seeds are paired."""
    population = _trained(chosen, data, seeds=seeds, precision=precision)
    return {name: population.outcome(index).val_f1_macro_s for index, name in enumerate(chosen)}


def _trained(
    chosen: dict[str, FinishedTrial], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> Population:
    specs = [head_spec(dict(trial.params)) for trial in chosen.values()]
    population = Population(specs, data, seeds=seeds, precision=precision)
    population.train(max(spec.epochs for spec in population.specs))
    return population
