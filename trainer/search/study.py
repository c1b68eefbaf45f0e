"""Optuna behind one coordinator: it alone asks for configurations and tells what became of them.

The study lives in memory. What makes it durable is the record that the caller keeps of finished
trials; `Study.recall` plays that record back. So no database stands in the loop, and a resumed
study proposes exactly what the uninterrupted one would have.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from trainer.heads.spec import HeadSpec
from trainer.search.space import Params, Space, head_spec

Pruner = Literal["median", "halving", "none"]
RANDOM_TRIALS = 16  # before the model of the space is trusted
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
    state: Literal["complete", "pruned", "failed"]
    score: float
    rungs: Mapping[int, float]  # score at each rung that it reached


def rungs(epochs: int, pruner: Pruner) -> list[int]:
    """Epochs at which trials are judged: a ninth, a third and all of them."""
    if pruner == "none":
        return [epochs]
    early = {epochs // RUNG_FACTOR**power for power in (2, 1)} - {0, epochs}
    return [*sorted(early), epochs]


class Study:
    """Maximises validation macro-F1 over a `Space`."""

    def __init__(self, space: Space, *, seed: int, pruner: Pruner) -> None:
        self.space, self.seed = space, seed
        self._study = optuna.create_study(direction="maximize", pruner=_pruner(pruner, space.longest_epochs))
        self._open: dict[int, optuna.Trial] = {}

    @property
    def finished(self) -> int:
        """Trials asked for and told about."""
        return len(self._study.trials) - len(self._open)

    def recall(self, trials: Sequence[Finished]) -> None:
        """Play back finished trials, in the order of their numbers."""
        for trial in sorted(trials, key=lambda t: t.number):
            distributions = self.space.distributions(dict(trial.params))
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=_optuna_state(trial.state),
                    value=None if trial.state == "failed" else trial.score,
                    params={name: trial.params[name] for name in distributions},
                    distributions=distributions,
                    intermediate_values=dict(trial.rungs),
                )
            )

    def ask(self, count: int) -> list[Proposal]:
        """Propose ``count`` trials to run side by side."""
        # A sampler that lived on would repeat its first draws after a resume; one born of the study's
        # seed and the number of finished trials draws the same either way.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(
                seed=_derived(self.seed, self.finished),
                n_startup_trials=RANDOM_TRIALS,
                multivariate=True,
                group=True,  # hyperparameters that matter only sometimes are modelled where they do
            )
        proposals = []
        for _ in range(count):
            trial = self._study.ask()
            params = self.space.propose(lambda name, d, trial=trial: _suggest(trial, name, d))  # type: ignore[misc]
            self._open[trial.number] = trial
            proposals.append(Proposal(trial.number, params, head_spec(params)))
        return proposals

    def losers(self, scores: Mapping[int, float], *, epoch: int) -> list[int]:
        """Report the scores of running trials at a rung; returns the trials to give up."""
        for number, score in scores.items():
            self._open[number].report(score, epoch)
        return [number for number in scores if self._open[number].should_prune()]

    def tell(self, number: int, state: Literal["complete", "pruned", "failed"], score: float) -> None:
        """Close a trial. Its record must be safe before this is called."""
        trial = self._open.pop(number)
        if state == "failed" or not math.isfinite(score):
            self._study.tell(trial, state=TrialState.FAIL)
        elif state == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, score)


def _pruner(name: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS // 2)
    first_rung = rungs(epochs, name)[0]
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first_rung, reduction_factor=RUNG_FACTOR)


def _derived(seed: int, *key: int) -> int:
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _optuna_state(state: str) -> TrialState:
    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high)
        case FloatDistribution():
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    raise TypeError(f"{name}: {distribution} is no distribution of a space")
