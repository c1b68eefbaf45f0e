"""The trials as MLflow's own pages show them: a mirror of the tables, written behind the search.

The tables are the record. A child run costs some 23 ms of processor time, nearly all of it Python in
MLflow and SQLAlchemy. The search does not wait for it, but shares the interpreter's lock with it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trainer.core.console import say
from trainer.experiments import study_tables
from trainer.experiments.base import C, Experiment
from trainer.stats.objective import F1, Objective
from trainer.tracking.children import ChildRun
from trainer.tracking.schema import Artifact, Curves, Metric, Trials, TrialState
from trainer.tracking.server import ServerAway

if TYPE_CHECKING:
    import pandas as pd

    from trainer.search.trial_log import TrialLog
    from trainer.tracking.writer import RunWriter

MOST_BEHIND = 256  # trials: 6 s of writing, the longest that the end of a sweep waits
MOST_POINTS = 20  # of a curve: MLflow takes 0.08 ms of processor time for each, from the trainer's
LOOK_S = 1.0  # between looks whether a server answers
INTERRUPTED_S = 3.0  # what a person who pressed Ctrl-C waits; a resume writes the rest


class TrialExperiment(Experiment[C]):
    """An experiment whose record is a table of trials, with a child run for each in MLflow."""

    trial_log: TrialLog
    mirror: Mirror

    @property
    def objective(self) -> Objective:
        """The score by which trials are ranked."""
        return F1

    @contextmanager
    def recording(self, writer: RunWriter) -> Iterator[None]:
        from trainer.search.trial_log import TrialLog, read_answers

        with Mirror(writer) as self.mirror:
            kept = writer.read_file(Artifact.HELD_OUT)
            trials, curves = study_tables.read(writer)
            answers = read_answers(kept) if kept else None
            self.trial_log = TrialLog(trials, curves, answers, objective=self.objective)
            self.mirror.follow(self.trial_log)
            yield


class Tables(NamedTuple):
    """TRIALS and CURVES of finished trials; ``began``: UNIX seconds from which their times count."""

    trials: pd.DataFrame
    curves: pd.DataFrame
    began: float
    objective: Objective = F1

    def without(self, trials: set[int]) -> Tables:
        """Return the rows of all other trials."""
        kept = [number for number in self.trials[Trials.TRIAL] if number not in trials]
        if len(kept) == len(self.trials):
            return self
        trials_kept = self.trials[self.trials[Trials.TRIAL].isin(kept)]
        curves_kept = self.curves[self.curves[Curves.TRIAL].isin(kept)] if len(self.curves) else self.curves
        return self._replace(trials=trials_kept, curves=curves_kept)


def tables_since(trial_log: TrialLog, trials: int) -> list[Tables]:
    """Return the rows of all but the first so many trials of a log; perhaps of earlier ones, too."""
    return [Tables(*block, trial_log.began, trial_log.objective) for block in trial_log.since(trials)]


class Mirror:
    """One thread that gives every trial on record its child run, in the record's order.

    Use it in a ``with`` block inside the writer's: the block ends when every trial has one, or, after an
    interrupt, within `INTERRUPTED_S`. Those that are missing then, or after a kill, are written from the
    same tables when the study is resumed.

    Attributes:
        busy_s: seconds of processor time that the thread spent writing.
        waited_s: wall seconds that the coordinator waited for it.
    """

    def __init__(self, writer: RunWriter) -> None:
        self.busy_s = 0.0
        self.waited_s = 0.0
        self._writer = writer
        self._waiting: deque[Tables] = deque()  # of trials of which some may have no child run
        self._missing: set[int] = set()  # these
        self._followed = 0  # trials on record
        self._best: Mapping[Hashable, Any] = {}  # of them
        self._error: BaseException | None = None
        self._stopped = False
        self._news = threading.Condition()  # told when any of these has changed, or `behind`
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    @property
    def behind(self) -> int:
        """Trials on record that have no child run yet."""
        return len(self._missing)

    def follow(self, trial_log: TrialLog) -> None:
        """Show the trial_log, whose tables are on disk, as it stands. Waits while many trials are behind.

        Raises:
            Exception: what went wrong in the thread, as it was raised there. The tables are safe.
        """
        with self._news:
            for tables in tables_since(trial_log, self._followed):
                missing = set(tables.trials[Trials.TRIAL].tolist()) - self._writer.shown - self._missing
                if missing:
                    self._missing |= missing
                    self._waiting.append(tables)
            self._followed = len(trial_log.finished)
            self._best = trial_log.best() or {}
            self._news.notify_all()
        self._wait(lambda: self.behind <= MOST_BEHIND)
        self._raise()

    def catch_up(self) -> None:
        """Wait until every trial on record has its child run.

        Raises:
            Exception: as `follow`.
        """
        self._wait(lambda: self.behind == 0)
        while self.behind and self._error is None:
            self._writer.wait_for_server()
            self._wait(lambda: self.behind == 0)
        self._raise()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            limit_s = INTERRUPTED_S if isinstance(error, KeyboardInterrupt) else math.inf
            self._wait(lambda: self.behind == 0, limit_s)
        finally:
            with self._news:
                self._stopped = True
                self._news.notify_all()
            self._thread.join()  # one child at most
        if error is None:
            self._raise()
        elif self._error is not None and self._error is not error:
            say(f"MLflow does not show every trial yet: {self._error}")

    def _wait(self, enough: Callable[[], bool], limit_s: float = math.inf) -> None:
        """Wait until there is enough, or an error; not for a server that is away."""
        began = time.monotonic()

        def is_over() -> bool:
            return enough() or self._error is not None or self._writer.away

        with self._news:
            while (left_s := began + limit_s - time.monotonic()) > 0:
                if self._news.wait_for(is_over, min(LOOK_S, left_s)):
                    break
        self.waited_s += time.monotonic() - began

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (tables := self._next()) is not None:
                began = time.thread_time()
                with suppress(ServerAway):  # the tables are safe: again, when the server answers
                    self._write(tables)
                    self._waiting.popleft()
                self.busy_s += time.thread_time() - began
        except BaseException as error:  # raised again where the coordinator meets it
            with self._news:
                self._error = error
                self._news.notify_all()

    def _next(self) -> Tables | None:
        """Return the first tables with a trial that has no child run, once there are any; ``None``: stop."""

        def is_due() -> bool:
            return self._stopped or (bool(self._waiting) and not self._writer.away)

        with self._news:
            while not self._news.wait_for(is_due, LOOK_S):
                pass  # the server may answer again
            return None if self._stopped else self._waiting[0]

    def _write(self, tables: Tables) -> None:
        """Log the best score so far first: as long as children are missing, it may be."""
        with self._news:
            best, on_record = self._best, self._followed
        columns = dict.fromkeys((tables.objective.leading.column, tables.objective.column))
        scores = {Metric.BEST + column: float(best.get(column, math.nan)) for column in columns}
        self._writer.metrics(scores, step=on_record, wait=False)
        for child in children(tables.without(self._writer.shown)):
            if self._stopped:
                return
            self._writer.trials([child])
            with self._news:
                self._missing.discard(child.trial)
                self._news.notify_all()


def children(tables: Tables, *, most_points: int = MOST_POINTS) -> Iterator[ChildRun]:
    """Yield the trials as MLflow shows them, means over seeds, in the order of TRIALS.

    Args:
        most_points: of a curve; of longer ones, epochs that are spread evenly.
    """
    from trainer.search.trial_log import finished_trials

    trials, curves, began, objective = tables
    columns = dict.fromkeys((objective.leading.column, objective.column))
    scores = [column + end for column in columns for end in ("", Trials.LOW, Trials.HIGH)]
    means = mean_curves(curves)
    for row, trial in zip(trials.to_dict("records"), finished_trials(trials, objective), strict=True):
        epochs = int(row[Trials.EPOCHS])
        steps, shown = range(1, epochs + 1), epochs_shown(epochs, most_points)
        of_trial = means.get(trial.number, {})
        yield ChildRun(
            trial=trial.number,
            name=f"trial {trial.number}",
            state=TrialState(trial.state),
            params=trial.params,
            epochs={
                name: [at.get(step, math.nan) if step in shown else math.nan for step in steps]
                for name, at in of_trial.items()
            },
            final={
                **{Metric.BEST + name: row[name] for name in scores},
                Metric.BEST_EPOCH: row[Trials.BEST_EPOCH],
            },
            started_ms=int((began + row[Trials.STARTED_S]) * 1000),
            ended_ms=int((began + row[Trials.FINISHED_S]) * 1000),
            message=row[Trials.MESSAGE],
        )


def epochs_shown(epochs: int, most_points: int = MOST_POINTS) -> set[int]:
    """Return the epochs, from the first to the last, at which the curves are shown."""
    return {round(1 + (epochs - 1) * i / (most_points - 1)) for i in range(most_points)}


def mean_curves(curves: pd.DataFrame) -> dict[int, dict[str, dict[int, float]]]:
    """Return trial → metric → epoch → mean over the seeds that have a value there."""
    from trainer.search.trial_log import SPLIT_AND_METRIC

    name_of = {key: name for name, key in SPLIT_AND_METRIC.items()}
    keys = [Curves.TRIAL, Curves.SPLIT, Curves.METRIC, Curves.EPOCH]
    means = curves.astype({Curves.VALUE: float}).groupby(keys)[Curves.VALUE].mean().reset_index()
    found: dict[int, dict[str, dict[int, float]]] = {}
    for trial, split, metric, epoch, value in means.itertuples(index=False, name=None):
        found.setdefault(trial, {}).setdefault(name_of[split, metric], {})[epoch] = value
    return found
