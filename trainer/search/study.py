"""What to try next, and what to give up: one coordinator asks, and tells what became of it.

The study lives in memory. What makes it durable is the record that the caller keeps of trials;
`Study.recall` plays that record back. So no database stands in the loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from trainer.heads.head_config import HeadSpec
from trainer.search.space import Params, Space, head_spec
from trainer.search.tpe import Observation, propose, quasi_random

Pruner = Literal["median", "halving", "none"]
Objective = Literal["f1", "f1+size"]
State = Literal["complete", "pruned", "failed"]

LINEAR_PATH = 16  # most logistic regressions that a study begins with
EVEN_TRIALS = 16  # spread evenly over the space, before its model is trusted
RUNG_FACTOR = 3

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Proposal(NamedTuple):
    """A trial to run."""

    number: int
    params: Params  # every hyperparameter that matters in it
    spec: HeadSpec


@dataclass(frozen=True)
class Finished:
    """A trial of an earlier run, as its record has it."""

    number: int
    params: Mapping[str, Any]
    state: State
    score: float
    rungs: Mapping[int, float]  # score at each rung that it reached
    parameters: int = 0


def rungs(epochs: int, pruner: Pruner) -> list[int]:
    """Epochs at which trials are judged: a ninth, a third and all of them."""
    if pruner == "none":
        return [epochs]
    early = {epochs // RUNG_FACTOR**power for power in (2, 1)} - {0, epochs}
    return [*sorted(early), epochs]


def linear_path(space: Space) -> list[Params]:
    """Logistic regressions of strengths from one end of ``l2`` to the other, for each scaling: the yardstick.

    The middle strengths come first. Empty where the space has no logistic regression.
    """
    if not (space.may_be("depth", 0) and space.may_be("solver", "lbfgs")):
        return []
    line = space.varying.get("l2")
    strengths = [space.fixed.get("l2")]
    if isinstance(line, FloatDistribution):
        strengths = np.geomspace(line.low, line.high, LINEAR_PATH // 2).tolist()
        middle = math.sqrt(line.low * line.high)
        strengths.sort(key=lambda l2: abs(math.log(l2 / middle)))
    scaling = space.varying.get("scaling")
    choices = scaling.choices if isinstance(scaling, CategoricalDistribution) else [space.fixed["scaling"]]
    path = []
    for l2 in strengths:
        for choice in choices:
            wanted = {"depth": 0, "solver": "lbfgs", "l2": l2, "scaling": choice}
            path.append(space.propose(lambda name, line, wanted=wanted: wanted.get(name, _first(line))))  # type: ignore[misc]
    return path[:LINEAR_PATH]


def _first(line: Any) -> Any:
    return line.choices[0] if isinstance(line, CategoricalDistribution) else line.low


class Study:
    """Looks for the highest validation macro-F1 in a `Space`.

    First come logistic regressions of many strengths (`linear_path`), then trials spread evenly over the
    space, then those that a model of what was seen finds promising (`trainer.search.tpe`). Optuna's pruners
    judge at rungs.

    Args:
        path: how many logistic regressions to begin with, at most `LINEAR_PATH`.
        objective: with "f1+size" trials are good that no other beats in both macro-F1 and head size;
            none is given up then.
    """

    def __init__(
        self, space: Space, *, seed: int, pruner: Pruner, path: int = LINEAR_PATH, objective: Objective = "f1"
    ) -> None:
        self.space, self.seed, self.objective = space, seed, objective
        self.path = linear_path(space)[:path]
        self._optuna = optuna.create_study(direction="maximize", pruner=_pruner(pruner, space.longest_epochs))
        self._judged = objective == "f1" and pruner != "none"
        self._open: dict[int, optuna.Trial] = {}
        self._seen: dict[int, Finished] = {}
        self._asked: dict[int, Params] = {}

    @property
    def asked(self) -> int:
        """Trials proposed or recalled."""
        return len(self._asked)

    def recall(self, trials: Sequence[Finished]) -> None:
        """Play back finished trials, in the order of their numbers."""
        for trial in sorted(trials, key=lambda t: t.number):
            self._asked[trial.number] = dict(trial.params)
            self._seen[trial.number] = trial
            self._optuna.add_trial(to_optuna(trial, self.space))

    def resume(self, number: int, params: Params) -> Proposal:
        """Take up a trial that was cut off: the same configuration under the same number."""
        self._asked[number] = params
        self._open[number] = self._optuna.ask()
        return Proposal(number, params, head_spec(params))

    def ask(self, count: int) -> list[Proposal]:
        """Propose ``count`` trials to run side by side."""
        free = (number for number in range(len(self._asked) + count) if number not in self._asked)
        numbers = [next(free) for _ in range(count)]
        return [self.resume(*pair) for pair in zip(numbers, self._configurations(numbers), strict=True)]

    def _configurations(self, numbers: Sequence[int]) -> list[Params]:
        fixed_n: list[Params] = []
        for number in numbers:
            if number < len(self.path):
                fixed_n.append(self.path[number])
            elif number < len(self.path) + EVEN_TRIALS:
                fixed_n.append(quasi_random(self.space, number=number - len(self.path), seed=self.seed))
        missing = len(numbers) - len(fixed_n)
        if not missing:
            return fixed_n
        # born of the seed and of what is known, so that a resumed study does not repeat its first draws
        random = np.random.default_rng([self.seed, len(self._seen), numbers[0]])
        return fixed_n + propose(self.space, self._observations(), count=missing, random=random)

    def _observations(self) -> list[Observation]:
        """Everything tried, in the order of numbers. What is still under way counts as bad, so that others
        are tried beside it."""
        goodness = self._goodness()
        return [
            Observation(params, goodness.get(number, -1.0)) for number, params in sorted(self._asked.items())
        ]

    def _goodness(self) -> dict[int, float]:
        """The higher, the better; trials that were given up come after all that were completed."""
        known = {n: t for n, t in self._seen.items() if t.state != "failed" and math.isfinite(t.score)}
        if self.objective == "f1+size":
            rank = _fronts([(t.score, t.parameters) for t in known.values()])
            good = dict(zip(known, (-float(r) for r in rank), strict=True))
        else:
            good = {n: t.score - (t.state == "pruned") for n, t in known.items()}
        return {number: good.get(number, -math.inf) for number in self._seen}

    def losers(self, scores: Mapping[int, float], *, epoch: int) -> list[int]:
        """Report the scores of running trials at a rung; returns the trials to give up."""
        if not self._judged:
            return []
        for number, score in scores.items():
            self._open[number].report(score, epoch)
        return [number for number in scores if self._open[number].should_prune()]

    def tell(self, trial: Finished) -> None:
        """Close a trial. Its record must be safe before this is called."""
        self._seen[trial.number] = trial
        state = _state(trial)
        value = trial.score if state is TrialState.COMPLETE else None
        self._optuna.tell(self._open.pop(trial.number), value, state=state)


def to_optuna(trial: Finished, space: Space) -> optuna.trial.FrozenTrial:
    """A finished trial as Optuna has it."""
    state = _state(trial)
    distributions = space.distributions(dict(trial.params))
    return optuna.trial.create_trial(
        state=state,
        value=None if state is TrialState.FAIL else trial.score,
        params={name: trial.params[name] for name in distributions},
        distributions=distributions,
        intermediate_values=dict(trial.rungs),
    )


def _state(trial: Finished) -> TrialState:
    if trial.state == "failed" or not math.isfinite(trial.score):
        return TrialState.FAIL
    return TrialState.PRUNED if trial.state == "pruned" else TrialState.COMPLETE


def _fronts(points: Sequence[tuple[float, int]]) -> list[int]:
    """Of (score, size) pairs: how often the front has to be taken off before a pair stands in it; 0 for
    those that no other beats in one without being worse in the other (non-dominated sorting)."""
    rank = [-1] * len(points)
    level = 0
    while -1 in rank:
        left = [i for i in range(len(points)) if rank[i] == -1]
        for i in front([points[i] for i in left]):
            rank[left[i]] = level
        level += 1
    return rank


def front(points: Sequence[tuple[float, int]]) -> list[int]:
    """Which of (score, size) pairs form the Pareto front: no other has a score as high with a smaller size,
    or a higher score with a size as small."""
    best, members = -math.inf, list[int]()
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0])):
        if points[i][0] > best or (members and points[i] == points[members[-1]]):
            best = points[i][0]
            members.append(i)
    return members


def _pruner(name: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=EVEN_TRIALS // 2)
    first_rung = rungs(epochs, name)[0]
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first_rung, reduction_factor=RUNG_FACTOR)


def head_seeds(seed: int, count: int, *, first: int = 0) -> list[int]:
    """Seeds of a configuration's heads, from the study's own; those from another ``first`` on are fresh."""
    return [seed * 1000 + first + index for index in range(count)]
