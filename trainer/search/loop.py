"""The search: crews of heads, rung by rung. Yields records; whoever runs it keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from trainer.core.stopwatch import Stopwatch
from trainer.heads.outcome import Outcome
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import TrainingData
from trainer.search.space import Params
from trainer.search.study import Finished, Proposal, Pruner, Study, rungs

State = Literal["running", "complete", "pruned", "failed"]
PROPOSING, TRAINING, JUDGING = "proposing", "training", "judging"  # names on the stopwatch


@dataclass(frozen=True)
class TrialRecord:
    """One trial as it stands. Times are UNIX seconds."""

    number: int
    params: Params
    state: State
    outcome: Outcome
    parameters: int  # weights and biases of one head
    started: float
    finished: float | None
    rungs: Mapping[int, float] = field(default_factory=dict)  # score at each rung reached so far
    message: str = ""


class Step(NamedTuple):
    """What one crew's way to its next rung brought."""

    ended: list[TrialRecord]
    running: list[TrialRecord]  # all that are under way, of every crew


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a search goes about its work."""

    at_once: int  # configurations trained side by side
    pruner: Pruner
    precision: Precision = "float32"
    slab_bytes: float | None = None


@dataclass
class _Trial:
    """A trial under way."""

    proposal: Proposal
    population: Population
    slot: int
    started: float
    rungs: dict[int, float] = field(default_factory=dict)


def search(
    study: Study,
    data: TrainingData,
    *,
    seeds: Sequence[int],
    trials: int,
    pace: Pace,
    again: Sequence[tuple[int, Params]] = (),
    enough: Callable[[], str] = lambda: "",
    stopwatch: Stopwatch | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Step]:
    """Run until ``trials`` trials have ended, counting those that the study recalls.

    A crew of ``pace.at_once`` new trials is trained to the first rung and judged there. Those that stay
    wait for others that stayed, so that the next stretch is gone by a full crew again. Only when the
    caller comes back for more are ended trials told to the study: what counts is on record first.

    Args:
        again: numbers and configurations of trials that were cut off, to be run first.
        enough: asked before every stretch; an answer other than "" ends the search. What is under way
            then is given up, with the answer for a message.
        progress: told how many head-epochs (one head, one seed) were just trained.
    """
    stopwatch = stopwatch or Stopwatch()
    stages = rungs(study.space.longest_epochs, pace.pruner)
    rooms: list[list[_Trial]] = [[] for _ in stages]  # rooms[i]: those who are to go to stages[i]
    cut_off = list(again)
    while not (reason := enough()):
        stage = _stage(rooms, pace.at_once, more=bool(cut_off) or study.asked < trials)
        if stage is None:
            return
        with stopwatch.on(PROPOSING):
            proposals = []
            if stage == 0:
                proposals = [study.resume(*one) for one in cut_off[: pace.at_once]]
                del cut_off[: pace.at_once]
                missing = min(pace.at_once - len(proposals), trials - study.asked - len(cut_off))
                proposals += study.ask(max(missing, 0))
        with stopwatch.on(TRAINING):
            if stage == 0:
                crew = _begin(proposals, data, seeds, pace)
            else:
                crew = _gather(rooms[stage][: pace.at_once])
                del rooms[stage][: pace.at_once]
            crew[0].population.train(stages[stage], progress=progress)
        with stopwatch.on(JUDGING):
            ended, staying = _judge(crew, study, epoch=stages[stage])
            if staying:
                rooms[stage + 1] += staying
            running = [_record(trial, "running") for room in rooms for trial in room]
        yield Step(ended, running)
        _tell(study, ended, stopwatch)
    given_up = [_record(t, "pruned", reason) for room in rooms for t in room]
    if given_up:
        yield Step(given_up, [])
        _tell(study, given_up, stopwatch)


def _stage(rooms: Sequence[Sequence[_Trial]], at_once: int, *, more: bool) -> int | None:
    """Which stretch to train next: a full crew far on, else new trials, else whoever is left, the early
    ones first, so that they meet the others later. None: nothing is left to do."""
    full = [stage for stage, room in enumerate(rooms) if len(room) >= at_once]
    if full:
        return full[-1]
    if more:
        return 0
    return next((stage for stage, room in enumerate(rooms) if room), None)


def _begin(
    proposals: Sequence[Proposal], data: TrainingData, seeds: Sequence[int], pace: Pace
) -> list[_Trial]:
    population = Population(
        [p.spec for p in proposals],
        data,
        seeds=seeds,
        precision=pace.precision,
        slab_bytes=pace.slab_bytes,
    )
    now = time.time()
    return [_Trial(proposal, population, slot, now) for slot, proposal in enumerate(proposals)]


def _gather(trials: Sequence[_Trial]) -> list[_Trial]:
    population = Population.gathered([(trial.population, trial.slot) for trial in trials])
    return [
        _Trial(trial.proposal, population, slot, trial.started, trial.rungs)
        for slot, trial in enumerate(trials)
    ]


def _judge(crew: Sequence[_Trial], study: Study, *, epoch: int) -> tuple[list[TrialRecord], list[_Trial]]:
    """Report every trial's score; returns those that ended (also by being given up) and those that stay.

    A logistic regression is at its end by now, and no measure for those that have just begun.
    """
    outcomes = {trial.proposal.number: trial.population.outcome(trial.slot) for trial in crew}
    racing = [trial.proposal.number for trial in crew if trial.proposal.spec.solver == "descent"]
    scores = {number: outcomes[number].score for number in racing if not outcomes[number].failed}
    running = set(crew[0].population.running)
    for trial in crew:
        if trial.proposal.number in scores:
            trial.rungs[epoch] = scores[trial.proposal.number]
    losers = set(study.losers(scores, epoch=epoch))
    ended, staying = [], []
    for trial in crew:
        if trial.slot not in running:
            failed = outcomes[trial.proposal.number].failed
            ended.append(_record(trial, "failed" if failed else "complete"))
        elif trial.proposal.number in losers:
            ended.append(_record(trial, "pruned", f"Given up at the rung of epoch {epoch}."))
        else:
            staying.append(trial)
    return ended, staying


def _record(trial: _Trial, state: State, message: str = "") -> TrialRecord:
    outcome = trial.population.outcome(trial.slot)
    if state == "failed":
        message = f"The loss stopped being a finite number in epoch {outcome.epochs}."
    data, spec = trial.population.data, trial.proposal.spec
    return TrialRecord(
        number=trial.proposal.number,
        params=trial.proposal.params,
        state=state,
        outcome=outcome,
        parameters=spec.parameters(features=data.features, classes=data.classes),
        started=trial.started,
        finished=None if state == "running" else time.time(),
        rungs=dict(trial.rungs),
        message=message,
    )


def _tell(study: Study, records: Sequence[TrialRecord], stopwatch: Stopwatch) -> None:
    with stopwatch.on(PROPOSING):
        for record in records:
            assert record.state != "running"
            study.tell(
                Finished(
                    number=record.number,
                    params=record.params,
                    state=record.state,
                    score=record.outcome.score,
                    rungs=record.rungs,
                    parameters=record.parameters,
                )
            )
