"""Hyperparameters that are called important."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from benchmarks.honesty_checks.shares import Figures, share
from trainer.search import tpe
from trainer.search.space import Params, Space
from trainer.search.tpe import Observation
from trainer.stats import ped_anova
from trainer.stats.ped_anova import TrialGrid

CHOICES = ("a", "b", "c")


class FreeSpace(Space):
    """A space whose names all apply, whatever they are."""

    def propose(self, suggest: Callable[[str, BaseDistribution], Any]) -> Params:
        return {name: suggest(name, line) for name, line in self.varying.items()}


def importance(sweeps: int = 300) -> Figures:
    """Sweeps in which no hyperparameter has an effect: how many name one as important?

    ``corrected``: with Holm's correction, as the dashboard says it. ``uncorrected``: any of them beyond its
    own 95 % level. Trials are drawn at random, or proposed by the sweep's own TPE, which clusters them.
    """
    ped_anova.BOOTSTRAP, ped_anova.PERMUTATIONS = 2, 1000
    figures: Figures = {}
    for design in ("random", "tpe"):
        for parameters, trials in ((5, 64), (8, 64), (8, 128)):
            corrected = uncorrected = 0
            for seed in range(sweeps):
                found = effect_free_sweep(design, parameters, trials, seed)
                corrected += any(one.p_holm < ped_anova.LEVEL for one in found)
                uncorrected += any(one.p < ped_anova.LEVEL for one in found)
            figures[f"{design}, {parameters} hyperparameters, {trials} trials"] = {
                "corrected": share(corrected, sweeps),
                "uncorrected": share(uncorrected, sweeps),
            }
    return figures


def effect_free_sweep(design: str, parameters: int, trials: int, seed: int) -> list[ped_anova.Importance]:
    """The importances in a sweep of noise; every third hyperparameter is a choice of three, the others are
    numbers."""
    random = np.random.default_rng(seed)
    varying: dict[str, BaseDistribution] = {
        f"p{index}": CategoricalDistribution(CHOICES) if index % 3 == 2 else FloatDistribution(0, 1)
        for index in range(parameters)
    }
    space = FreeSpace(varying=varying, fixed={}, text={})
    seen: list[Observation] = []
    while len(seen) < trials:
        if design == "random":
            proposed = [space.propose(lambda _, line: drawn(line, random)) for _ in range(16)]
        elif not seen:
            proposed = [tpe.quasi_random(space, number=number, seed=seed) for number in range(16)]
        else:
            proposed = tpe.propose(space, seen, count=8, random=random)
        seen += [Observation(params, float(random.normal())) for params in proposed]
    loss_n = -np.array([one.value for one in seen])
    grids = [grid([one.params[name] for one in seen]) for name in varying]
    return ped_anova.importances(grids, [loss_n] * parameters, seed=seed)


def drawn(line: BaseDistribution, random: np.random.Generator) -> Any:
    return CHOICES[random.integers(3)] if isinstance(line, CategoricalDistribution) else random.random()


def grid(values: list[Any]) -> TrialGrid:
    if isinstance(values[0], str):
        return TrialGrid(np.array([CHOICES.index(value) for value in values]), len(CHOICES), ordered=False)
    place_n = np.array(values)
    place_n = (place_n - place_n.min()) / np.ptp(place_n)
    return TrialGrid(np.rint(49 * place_n).astype(int), 50, ordered=True)
