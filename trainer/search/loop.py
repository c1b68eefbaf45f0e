"""The search: batches of heads, rung by rung. Yields records; whoever runs it keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trainer.heads.data import TrainingData
from trainer.heads.population import Outcome, Population
from trainer.search.space import Params
from trainer.search.study import Proposal, Pruner, Study, rungs

State = Literal["running", "complete", "pruned", "failed"]


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


def search(
    study: Study,
    data: TrainingData,
    *,
    seeds: Sequence[int],
    trials: int,
    at_once: int,
    pruner: Pruner,
    progress: Callable[[int], None] | None = None,
) -> Iterator[list[TrialRecord]]:
    """Run until ``trials`` trials are finished, counting those that the study recalls.

    Yields the batch's records at every rung; the last time, every record is final. Only when the
    caller comes back for more are final trials told to the study: what counts is on record first.

    Args:
        at_once: configurations trained side by side.
        progress: told how many head-epochs (one head, one seed) were just trained.
    """
    while study.finished < trials:
        batch = _Batch(study.ask(min(at_once, trials - study.finished)), data, seeds=seeds)
        for epoch in rungs(study.space.longest_epochs, pruner):
            batch.population.train(epoch, progress=progress)
            batch.judge(study, epoch)
            if not batch.population.running:
                break
            yield batch.records()
        final = batch.records()
        yield final
        for record in final:
            assert record.state != "running"
            study.tell(record.number, record.state, record.outcome.score)


class _Batch:
    """Trials that train side by side."""

    def __init__(self, proposals: Sequence[Proposal], data: TrainingData, *, seeds: Sequence[int]) -> None:
        self.proposals = proposals
        self.population = Population([p.spec for p in proposals], data, seeds=seeds)
        self.shape = {"features": data.train.x_nd.shape[1], "classes": data.classes}
        self.started = time.time()
        self.finished: dict[int, float] = {}
        self.pruned_at: dict[int, int] = {}
        self.rungs: dict[int, dict[int, float]] = {p.number: {} for p in proposals}

    def judge(self, study: Study, epoch: int) -> None:
        """Report every head that is alive or has ended on its own; give up the losers."""
        slot = {p.number: index for index, p in enumerate(self.proposals)}
        outcomes = {number: self.population.outcome(index) for number, index in slot.items()}
        scores = {
            number: outcome.score
            for number, outcome in outcomes.items()
            if not outcome.failed and number not in self.pruned_at
        }
        for number, score in scores.items():
            self.rungs[number][epoch] = score
        running = {self.proposals[index].number for index in self.population.running}
        losers = [n for n in study.losers(scores, epoch=epoch) if n in running]
        self.pruned_at.update(dict.fromkeys(losers, epoch))
        self.population.drop([slot[number] for number in losers])
        for number in slot.keys() - running | set(losers):
            self.finished.setdefault(number, time.time())

    def records(self) -> list[TrialRecord]:
        running = set(self.population.running)
        return [self._record(index, p, running=index in running) for index, p in enumerate(self.proposals)]

    def _record(self, index: int, proposal: Proposal, *, running: bool) -> TrialRecord:
        outcome = self.population.outcome(index)
        state: State = "running" if running else "complete"
        message = ""
        if outcome.failed:
            state = "failed"
            message = f"The loss stopped being a finite number in epoch {outcome.epochs}."
        elif proposal.number in self.pruned_at:
            state = "pruned"
            message = f"Given up at the rung of epoch {self.pruned_at[proposal.number]}."
        return TrialRecord(
            number=proposal.number,
            params=proposal.params,
            state=state,
            outcome=outcome,
            parameters=proposal.spec.parameters(**self.shape),
            started=self.started,
            finished=None if running else self.finished.get(proposal.number, time.time()),
            rungs=dict(self.rungs[proposal.number]),
            message=message,
        )
