"""Propose trials and decide which to prune, by ask and tell.

A study lives in memory. The caller stores the finished trials, and `Study.recall` restores the study from
them, so no database is needed in the loop.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from trainer.heads.head_config import HeadSpec
from trainer.search.rung_pruning import RUNG_FACTOR, Pruner, RungPruning
from trainer.search.space import Params, Space, head_spec
from trainer.search.tpe import good_and_others, propose_between, quasi_random

State = Literal["complete", "pruned", "failed"]

STRENGTHS = 12  # penalties of the logistic regressions at the start of a study, for each scaling
SHRINKAGES = (0.3, 0.1, 0.5, 0.03, 0.8, 0.2, 0.05, 1.0)  # of the discriminants there; the likeliest first
PATH_LENGTH = STRENGTHS * 2 + len(SHRINKAGES)  # the most linear heads at the start of a study
QUASI_RANDOM_TRIALS = 16  # before the estimator proposes
LEAST_COMPARED = 4  # trials that reach a rung together, for all but the best third to be pruned

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Proposal(NamedTuple):
    """A trial to run."""

    number: int
    params: Params  # every hyperparameter that matters in it
    spec: HeadSpec


@dataclass(frozen=True)
class FinishedTrial:
    """Result of a trial that has ended."""

    number: int
    params: Mapping[str, Any]
    state: State
    score: float  # higher is better: `Objective.utility`
    rungs: Mapping[int, float]  # score at each rung reached
    parameters: int = 0
    log_loss: float = math.inf  # validation loss; of equal scores the lower one is better


def rungs(epochs: int, pruner: Pruner) -> list[int]:
    """Return the epochs at which trials may be pruned: a ninth, a third and all of ``epochs``."""
    if pruner == "none":
        return [epochs]
    early = {epochs // RUNG_FACTOR**power for power in (2, 1)} - {0, epochs}
    return [*sorted(early), epochs]


def linear_path(space: Space) -> list[Params]:
    """Return the linear heads that every study begins with, because they take next to nothing: discriminants
    of several shrinkages, and logistic regressions over the range of ``l2`` for each scaling. Of numbers
    these are ridge regressions.

    They take turns, the likeliest first. Empty where the space has neither.
    """
    discriminants = [{"solver": "gda", "shrinkage": s} for s in _values(space, "shrinkage", SHRINKAGES)]
    l2 = space.varying.get("l2")
    strengths: Sequence[float] = [space.fixed["l2"]] if "l2" in space.fixed else []
    if isinstance(l2, FloatDistribution):
        middle = math.sqrt(l2.low * l2.high)
        strengths = np.geomspace(l2.low, l2.high, STRENGTHS).tolist()
        strengths = sorted(strengths, key=lambda one: abs(math.log(one / middle)))
    scaling = space.varying.get("scaling")
    scalings = scaling.choices if isinstance(scaling, CategoricalDistribution) else [space.fixed["scaling"]]
    solver = "ridge" if space.target == "number" else "lbfgs"
    regressions = [{"solver": solver, "l2": one, "scaling": way} for one in strengths for way in scalings]
    each = -(-len(regressions) // max(len(discriminants), 1))  # regressions to one discriminant
    turns = [[one, *regressions[i * each : (i + 1) * each]] for i, one in enumerate(discriminants)]
    chosen = [one for turn in turns for one in turn] or regressions
    return [
        space.propose(lambda name, line, one=one: {"depth": 0, **one}.get(name, _first(line)))  # type: ignore[misc]
        for one in chosen
        if space.allows("depth", 0) and space.allows("solver", one["solver"])
    ][:PATH_LENGTH]


def _values(space: Space, name: str, wished: Sequence[float]) -> Sequence[float]:
    """Return those of the wished values that the space allows, or its fixed one."""
    line = space.varying.get(name)
    if isinstance(line, FloatDistribution):
        return [value for value in wished if line.low <= value <= line.high]
    return [space.fixed[name]] if name in space.fixed else []


def _first(line: Any) -> Any:
    return line.choices[0] if isinstance(line, CategoricalDistribution) else line.low


class Study:
    """Search a `Space` for the highest score: of an objective where less is better, its negative.

    Linear heads of many strengths come first (`linear_path`), then points of a quasi-random
    sequence, then proposals of the Parzen estimator (`trainer.search.tpe`). `RungPruning` decides at rungs.

    Args:
        path: number of linear heads at the start, at most `PATH_LENGTH`.
        best_third: of the trials that reach a rung together only the best third goes on, as in successive
            halving (Jamieson & Talwalkar 2016). The median pruner compares with trials that have ended,
            of which the first batches have none.
        sized: rank trials by Pareto fronts of score and head size, and prune none.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        pruner: Pruner,
        path: int = PATH_LENGTH,
        sized: bool = False,
        best_third: bool = False,
    ) -> None:
        self.space, self.seed, self.sized = space, seed, sized
        self.best_third = best_third and pruner == "median"
        self.path = linear_path(space)[:path]
        self.prunes = not sized and pruner != "none"
        self._pruning = RungPruning(pruner)
        self._finished: dict[int, FinishedTrial] = {}
        self._ranked: list[tuple[int, float, int]] = []  # of the finished trials: `_rank`, the best first
        self._failed = 0
        self._proposed: dict[int, Params] = {}
        self._unfinished: set[int] = set()
        self._free = 0  # no number below it is free
        self.requeued: list[tuple[int, Params]] = []  # interrupted trials, proposed before any new one

    @property
    def proposed(self) -> int:
        """Number of trials that were proposed, recalled or requeued."""
        return len(self._proposed)

    def recall(self, trials: Sequence[FinishedTrial]) -> None:
        """Restore finished trials, in the order of their numbers."""
        for trial in sorted(trials, key=lambda t: t.number):
            self._proposed[trial.number] = dict(trial.params)
            self._pruning.recall(trial.rungs, complete=_state(trial) is TrialState.COMPLETE)
            self._finish(trial)

    def requeue(self, trials: Sequence[tuple[int, Params]]) -> None:
        """Propose interrupted trials next, each with its old number and configuration."""
        self._proposed.update(trials)
        self._unfinished.update(number for number, _ in trials)
        self.requeued += trials

    def ask(self, count: int) -> list[Proposal]:
        """Propose ``count`` trials to train together; requeued ones come first."""
        pairs, self.requeued = self.requeued[:count], self.requeued[count:]
        numbers = self._free_numbers(count - len(pairs))
        pairs += zip(numbers, self._configurations(numbers), strict=True)
        self._proposed.update(pairs)
        self._unfinished.update(number for number, _ in pairs)
        return [Proposal(number, params, head_spec(params)) for number, params in pairs]

    def _free_numbers(self, count: int) -> list[int]:
        numbers: list[int] = []
        while len(numbers) < count:
            if self._free not in self._proposed:
                numbers.append(self._free)
            self._free += 1
        return numbers

    def _configurations(self, numbers: Sequence[int]) -> list[Params]:
        fixed_n: list[Params] = []
        for number in numbers:
            if number < len(self.path):
                fixed_n.append(self.path[number])
            elif number < len(self.path) + QUASI_RANDOM_TRIALS:
                fixed_n.append(quasi_random(self.space, number=number - len(self.path), seed=self.seed))
        missing = len(numbers) - len(fixed_n)
        if not missing:
            return fixed_n
        # also seeded by the finished trials and the first number, so a resumed study draws other points
        random = np.random.default_rng([self.seed, len(self._finished), numbers[0]])
        order = self._best_first()
        good, others = good_and_others(order, failed=self._failed)
        return fixed_n + propose_between(
            self.space,
            [self._proposed[number] for number in good],
            [self._proposed[number] for number in others],
            count=missing,
            random=random,
        )

    def _best_first(self) -> list[int]:
        """Return all proposed trials: completed ones by score, pruned ones, unfinished ones, so that they are
        not repeated, and failed ones."""
        ranked = self._by_front() if self.sized else [number for _, _, number in self._ranked]
        valid = len(ranked) - self._failed
        return [*ranked[:valid], *sorted(self._unfinished), *ranked[valid:]]

    def _by_front(self) -> list[int]:
        """Return the finished trials by Pareto fronts of score and head size, failed ones last."""
        valid = sorted(number for kind, _, number in self._ranked if kind < FAILED)
        failed = [number for kind, _, number in self._ranked if kind == FAILED]
        sizes = [(self._finished[number].score, self._finished[number].parameters) for number in valid]
        front = dict(zip(valid, _front_ranks(sizes), strict=True))
        return sorted(valid, key=lambda number: front[number]) + failed

    def to_prune(self, scores: Mapping[int, float], *, epoch: int) -> list[int]:
        """Report the scores of running trials at a rung; return the trials to prune."""
        if not self.prunes:
            return []
        pruned = {number for number, score in scores.items() if self._pruning.report(number, score, epoch)}
        if self.best_third and len(scores) >= LEAST_COMPARED and epoch < self.space.max_epochs:
            best_first = sorted(scores, key=lambda number: -scores[number])
            pruned |= set(best_first[math.ceil(len(scores) / RUNG_FACTOR) :])
        return [number for number in scores if number in pruned]

    def tell(self, trial: FinishedTrial) -> None:
        """Finish a trial. Call this after its record was stored."""
        self._pruning.end(trial.number, trial.rungs, complete=_state(trial) is TrialState.COMPLETE)
        self._finish(trial)

    def _finish(self, trial: FinishedTrial) -> None:
        self._finished[trial.number] = trial
        self._unfinished.discard(trial.number)
        rank = _rank(trial)
        self._failed += rank[0] == FAILED
        insort(self._ranked, rank)


COMPLETE, PRUNED, FAILED = range(3)


def _rank(trial: FinishedTrial) -> tuple[int, float, int]:
    """Return what sorts finished trials, the best first: pruned ones come after all completed ones."""
    state = _state(trial)
    if state is TrialState.FAIL:
        return FAILED, 0.0, trial.number
    return (PRUNED if state is TrialState.PRUNED else COMPLETE), -trial.score, trial.number


def to_optuna(trial: FinishedTrial, space: Space) -> optuna.trial.FrozenTrial:
    """Convert a finished trial to Optuna's."""
    state = _state(trial)
    distributions = space.distributions(dict(trial.params))
    return optuna.trial.create_trial(
        state=state,
        value=None if state is TrialState.FAIL else trial.score,
        params={name: trial.params[name] for name in distributions},
        distributions=distributions,
        intermediate_values=dict(trial.rungs),
    )


def _state(trial: FinishedTrial) -> TrialState:
    if trial.state == "failed" or not math.isfinite(trial.score):
        return TrialState.FAIL
    return TrialState.PRUNED if trial.state == "pruned" else TrialState.COMPLETE


def _front_ranks(points: Sequence[tuple[float, int]]) -> list[int]:
    """Return the rank of each (score, size) pair in non-dominated sorting, 0 for the Pareto front."""
    rank = [-1] * len(points)
    level = 0
    while -1 in rank:
        left = [i for i in range(len(points)) if rank[i] == -1]
        for i in pareto_front([points[i] for i in left]):
            rank[left[i]] = level
        level += 1
    return rank


def pareto_front(points: Sequence[tuple[float, int]]) -> list[int]:
    """Return the indices of the (score, size) pairs on the Pareto front, by increasing size: no other pair
    has at least that score with a smaller size, or a higher score with at most that size."""
    best, members = -math.inf, list[int]()
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0])):
        if points[i][0] > best or (members and points[i] == points[members[-1]]):
            best = points[i][0]
            members.append(i)
    return members


def head_seeds(seed: int, count: int, *, first: int = 0) -> list[int]:
    """Return the seeds of a configuration's heads; another ``first`` than 0 gives fresh ones."""
    return [seed * 1000 + first + index for index in range(count)]
