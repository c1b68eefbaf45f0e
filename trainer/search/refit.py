"""The few heads that are kept: trained again from their records, which common random numbers make exact.

And trained anew with other random numbers: the best of many was chosen because chance was kind to it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.heads.head import Head
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import TrainingData
from trainer.search.space import head_spec
from trainer.search.study import Finished

NAMES = {0: "best linear", 1: "best 1-hidden", 2: "best 2-hidden"}


class Finalist(NamedTuple):
    """A chosen configuration and its best seed, both chosen on validation."""

    name: str
    trial: int
    seed_index: int
    val_f1_macro: float  # of that seed
    head: Head


def choose(trials: Sequence[Finished]) -> dict[str, Finished]:
    """The best completed trial, and beside it the best of every other depth, as a yardstick.

    All are chosen by mean validation macro-F1; ties go to the earlier trial.
    """
    ranked = sorted((t for t in trials if t.state == "complete"), key=lambda t: (-t.score, t.number))
    chosen: dict[str, Finished] = {"best": ranked[0]} if ranked else {}
    for depth, name in NAMES.items():
        of_depth = [t for t in ranked if t.params["depth"] == depth]
        if of_depth and of_depth[0] is not ranked[0]:
            chosen[name] = of_depth[0]
    return chosen


def train(
    chosen: dict[str, Finished], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> list[Finalist]:
    """Train the chosen configurations again and take, of each, the seed best on validation."""
    population = _trained(chosen, data, seeds=seeds, precision=precision)
    finalists = []
    for index, (name, trial) in enumerate(chosen.items()):
        scores_s = population.outcome(index).val_f1_macro_s
        seed_index = int(scores_s.argmax())
        head = population.head(index, seed_index=seed_index)
        finalists.append(Finalist(name, trial.number, seed_index, float(scores_s[seed_index]), head))
    return finalists


def rerun(
    chosen: dict[str, Finished], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> dict[str, np.ndarray]:
    """Validation macro-F1 [S] of each with fresh seeds, paired: seed for seed the same random numbers."""
    population = _trained(chosen, data, seeds=seeds, precision=precision)
    return {name: population.outcome(index).val_f1_macro_s for index, name in enumerate(chosen)}


def _trained(
    chosen: dict[str, Finished], data: TrainingData, *, seeds: Sequence[int], precision: Precision
) -> Population:
    specs = [head_spec(dict(trial.params)) for trial in chosen.values()]
    population = Population(specs, data, seeds=seeds, precision=precision)
    population.train(max(spec.epochs for spec in population.specs))
    return population
