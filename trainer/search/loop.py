"""Train batches of heads from rung to rung and yield their records; the caller stores them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from trainer.core.stopwatch import Stopwatch
from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.outcome import Outcome
from trainer.heads.population import Precision
from trainer.heads.resampling import Folds
from trainer.search.space import Params
from trainer.search.study import FinishedTrial, Proposal, Pruner, Study, rungs

State = Literal["running", "complete", "pruned", "failed"]
PROPOSING, TRAINING, JUDGING = "proposing", "training", "judging"  # names on the stopwatch


@dataclass(frozen=True)
class TrialRecord:
    """State and results of one trial. Times are UNIX seconds."""

    number: int
    params: Params
    state: State
    outcome: Outcome
    parameters: int  # weights and biases of one head
    started: float
    finished: float | None
    rungs: Mapping[int, float] = field(default_factory=dict)  # score by the objective at each rung so far
    message: str = ""
    held_out_mc: np.ndarray | None = None  # of a complete trial, see `FoldedPopulation.held_out`
    unit_error: float = (
        math.nan
    )  # standard error of `Objective.leading` (macro-F1, R²) over the judged rows (groups)
    objective_unit_error: float = math.nan  # the same of the score by the objective


class SearchStep(NamedTuple):
    """Result of training one batch to its next rung."""

    ended: list[TrialRecord]
    running: list[TrialRecord]  # every unfinished trial, also of other batches


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How many trials are run, with which seeds, and how they are trained."""

    seeds: Sequence[int]  # of the heads of each trial
    trials: int  # in the whole study
    batch_size: int  # trials that are trained together
    pruner: Pruner
    precision: Precision = "float32"
    slab_bytes: float | None = None


@dataclass
class _Trial:
    """A trial in training."""

    proposal: Proposal
    population: FoldedPopulation
    slot: int
    started: float
    rungs: dict[int, float] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether some seed is still training on some part."""
        return self.slot in self.population.running


def search(
    study: Study,
    folds: Folds,
    settings: SearchSettings,
    *,
    should_stop: Callable[[], str] = lambda: "",
    stopwatch: Stopwatch | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[SearchStep]:
    """Run until ``settings.trials`` trials have ended, counting those that the study recalled.

    A batch of ``settings.batch_size`` new trials is trained to the first rung and judged there. Trials that
    survive wait for other survivors, so that the next rung, too, is reached by a full batch. The study learns
    of ended trials only when the caller asks for the next step: by then their records are stored.

    In cross-validation, where a trial takes several times as long, the rungs are reached with the first seed
    alone, and trials that survive the last of them restart with all seeds. Most trials end at a rung, and
    there one seed tells about as much as several.

    Args:
        folds: training and validation rows; of several parts, all validation rows together judge a trial.
        should_stop: called before every step; any result other than "" ends the search. Unfinished trials
            are then pruned, with the result as their message.
        progress: called with the number of head-epochs (one head, one seed) that were just trained.
    """
    stopwatch = stopwatch or Stopwatch()
    stages = rungs(study.space.max_epochs, settings.pruner)
    queues: list[list[_Trial]] = [[] for _ in stages]  # queues[i]: trials waiting to be trained to stages[i]
    last = len(stages) - 1
    one_seed = folds.crossed and study.prunes and last > 0 and len(settings.seeds) > 1
    first_seeds = settings.seeds[:1] if one_seed else settings.seeds
    while not (reason := should_stop()):
        left = len(study.requeued) + max(settings.trials - study.proposed, 0)
        stage = _next_stage(queues, settings.batch_size, has_new=left > 0)
        if stage is None:
            return
        with stopwatch.measure(PROPOSING):
            proposals = study.ask(min(settings.batch_size, left)) if stage == 0 else []
        with stopwatch.measure(TRAINING):
            waited = queues[stage][: settings.batch_size]
            del queues[stage][: settings.batch_size]
            if stage == 0:
                batch = _start(proposals, folds, settings, seeds=first_seeds)
            else:
                batch = _restart(waited, folds, settings) if one_seed and stage == last else _gather(waited)
            for population in dict.fromkeys(trial.population for trial in batch):
                population.train(stages[stage], progress=progress)
        with stopwatch.measure(JUDGING):
            restarts = one_seed and stage < last
            ended, surviving = _judge(batch, study, folds, epoch=stages[stage], restarts=restarts)
            for trial in surviving:
                queues[stage + 1 if trial.is_running else last].append(trial)
            running = [_record(trial, "running") for queue in queues for trial in queue]
        yield SearchStep(ended, running)
        _tell(study, ended, stopwatch)
    stopped = [_record(t, "pruned", reason) for queue in queues for t in queue]
    if stopped:
        yield SearchStep(stopped, [])
        _tell(study, stopped, stopwatch)


def _next_stage(queues: Sequence[Sequence[_Trial]], batch_size: int, *, has_new: bool) -> int | None:
    """Return the stage to train next: the latest with a full batch, else 0 for new trials, else the earliest
    with any trial, so that its survivors join the others later. None when nothing is left."""
    full = [stage for stage, queue in enumerate(queues) if len(queue) >= batch_size]
    if full:
        return full[-1]
    if has_new:
        return 0
    return next((stage for stage, queue in enumerate(queues) if queue), None)


def _start(
    proposals: Sequence[Proposal], folds: Folds, settings: SearchSettings, *, seeds: Sequence[int]
) -> list[_Trial]:
    """Return new trials; of heads that seeds do not change, all of ``settings.seeds`` cost no more."""
    now, trials = time.time(), dict[int, _Trial]()
    for is_random in (False, True):
        alike = [proposal for proposal in proposals if proposal.spec.is_random == is_random]
        if not alike:
            continue
        population = FoldedPopulation(
            [folds.as_judged(proposal.spec) for proposal in alike],
            folds.parts,
            seeds=seeds if is_random else settings.seeds,
            precision=settings.precision,
            slab_bytes=settings.slab_bytes,
        )
        trials |= {one.number: _Trial(one, population, slot, now) for slot, one in enumerate(alike)}
    return [trials[proposal.number] for proposal in proposals]


def _restart(trials: Sequence[_Trial], folds: Folds, settings: SearchSettings) -> list[_Trial]:
    """Return the trials at their beginning, with all seeds."""
    again = _start([trial.proposal for trial in trials], folds, settings, seeds=settings.seeds)
    return [
        dataclasses.replace(new, started=old.started, rungs=old.rungs)
        for new, old in zip(again, trials, strict=True)
    ]


def _gather(trials: Sequence[_Trial]) -> list[_Trial]:
    population = FoldedPopulation.gathered([(trial.population, trial.slot) for trial in trials])
    return [
        _Trial(trial.proposal, population, slot, trial.started, trial.rungs)
        for slot, trial in enumerate(trials)
    ]


def _judge(
    batch: Sequence[_Trial], study: Study, folds: Folds, *, epoch: int, restarts: bool
) -> tuple[list[TrialRecord], list[_Trial]]:
    """Report every trial's score; return the ended trials, pruned ones included, and the survivors.

    Logistic regressions are not reported: they have converged by now, so descent heads in their first epochs
    cannot be compared with them.

    Args:
        restarts: survivors restart; of the trials that seeds change, those that are at their end do, too.
    """
    outcomes = {trial.proposal.number: trial.population.outcome(trial.slot) for trial in batch}
    prunable = [trial.proposal.number for trial in batch if trial.proposal.spec.is_random]
    scores = {number: outcomes[number].score for number in prunable if not outcomes[number].failed}
    for trial in batch:
        if trial.proposal.number in scores:
            trial.rungs[epoch] = scores[trial.proposal.number]
    better = {number: folds.objective.utility(score) for number, score in scores.items()}
    to_prune = set(study.to_prune(better, epoch=epoch))
    ended, surviving = [], []
    for trial in batch:
        if outcomes[trial.proposal.number].failed:
            ended.append(_record(trial, "failed"))
        elif not trial.is_running and not (restarts and trial.proposal.spec.is_random):
            ended.append(_answered(_record(trial, "complete"), trial, folds))
        elif trial.proposal.number in to_prune:
            record = _record(trial, "pruned", f"Given up at the rung of epoch {epoch}.")
            ended.append(dataclasses.replace(_answered(record, trial, folds), held_out_mc=None))
        else:
            surviving.append(trial)
    return ended, surviving


def _answered(record: TrialRecord, trial: _Trial, folds: Folds) -> TrialRecord:
    """Add what the trial says of the judged rows, and how far its scores could be off with other rows."""
    said_mc = trial.population.held_out(trial.slot, judged=folds.judged)
    label_m, unit_m, objective = folds.judged_labels, folds.unit_n[folds.judged_rows], folds.objective
    error = objective.leading.of(label_m, said_mc).standard_error(unit_m)
    own_error = error
    if objective is not objective.leading:
        answer_mc = said_mc.astype(np.float64)
        if not objective.of_predictions:
            answer_mc = expit(answer_mc) if objective.labels else softmax(answer_mc, axis=1)
        own_error = objective.of(label_m, answer_mc).standard_error(unit_m)
    return dataclasses.replace(record, held_out_mc=said_mc, unit_error=error, objective_unit_error=own_error)


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
    with stopwatch.measure(PROPOSING):
        for record in records:
            assert record.state != "running"
            better = record.outcome.objective.utility
            study.tell(
                FinishedTrial(
                    number=record.number,
                    params=record.params,
                    state=record.state,
                    score=better(record.outcome.score),
                    rungs={epoch: better(score) for epoch, score in record.rungs.items()},
                    parameters=record.parameters,
                    log_loss=record.outcome.log_loss,
                )
            )
