"""One line of the table of runs, from what MLflow and the run's files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import yaml

from trainer.stats.objective import F1, Objective, objective_named
from trainer.tracking.schema import (
    CHILDREN,
    SCHEMA_VERSION,
    Kind,
    Metric,
    RunState,
    Stopped,
    Summary,
    Tag,
    Trials,
    TrialState,
    run_state,
)

Interval = tuple[float, float]
OF_PROGRAMS = ("mlflow.", "headroom.")  # begin the tags that no person gave


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts and scores of a sweep. ``None``: not known, or not yet."""

    trials: int | None = None  # proposed so far
    budget: int | None = None  # --trials
    running: int = 0
    spent_s: float | None = None  # on the trials that have ended, until the last of them
    complete: int | None = None
    pruned: int | None = None
    failed: int | None = None
    best_val: float | None = None  # by the objective
    best_val_ci95: Interval | None = None
    test: float | None = None  # macro-F1 of the chosen head, its R², or its mAP
    test_ci95: Interval | None = None
    best_so_far: tuple[float, ...] = ()  # best_val as trials completed; () where not on record

    @property
    def total(self) -> int | None:
        """How many trials there are to be."""
        return None if self.trials is None else max(self.trials, self.budget or 0)

    @property
    def ended(self) -> int | None:
        return None if self.trials is None else self.trials - self.running

    @property
    def per_s(self) -> float | None:
        """Trials that ended per second."""
        return self.ended / self.spent_s if self.ended and self.spent_s else None

    @property
    def left_s(self) -> float | None:
        """Seconds until all trials have ended, at the pace so far."""
        if self.total is None or self.ended is None or self.per_s is None:
            return None
        return (self.total - self.ended) / self.per_s


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run that is nobody's child: a sweep, ablation or extraction of ours, or another program's run."""

    run_id: str
    name: str
    kind: Kind | None  # None: another program's
    state: RunState
    experiment: str
    study: str
    data: str  # what --data said
    digest: str  # of exactly these rows, planted damage included; "" where it is not on record
    encoder: str
    command: str  # goes on where the run stopped; of a long one the artifact that holds it
    figures: Figures
    started: datetime | None
    duration_s: float | None
    stopped: str  # a value of Stopped, or ""
    error: str
    artifact_uri: str
    ended_ms: int | None
    schema: int = SCHEMA_VERSION  # of the Headroom that wrote it
    objective_name: str = F1.name  # of a sweep
    understood: str = ""  # a line: classes, splits, captions and groups, as the data was read
    experiment_id: str = ""
    user: str = ""  # who started it
    starred: bool = False
    labels: tuple[str, ...] = ()  # tags that people gave it, ``key`` or ``key=value``, sorted
    note: str = ""  # what people have written about it

    @property
    def objective(self) -> Objective:
        """The score that a sweep chose by."""
        return objective_named(self.objective_name)

    @property
    def ours(self) -> bool:
        return self.kind is not None

    @property
    def trials_done(self) -> str:
        """How far a sweep is: ``30 of 64 done``, afterwards ``46 of 64 complete``; "" if unknown."""
        figures = self.figures
        live = self.state == RunState.LIVE
        done, word = (figures.ended, "done") if live else (figures.complete, "complete")
        return "" if done is None or figures.total is None else f"{done:,} of {figures.total:,} {word}"


def flags_in(config: bytes | None) -> dict[str, Any]:
    """The flags of a run's command in its CONFIG; {} where they are not on record."""
    try:
        recorded = yaml.safe_load(config or b"")
    except yaml.YAMLError:
        recorded = None
    command = recorded.get("command") if isinstance(recorded, dict) else None
    return {str(name): value for name, value in command.items()} if isinstance(command, dict) else {}


def on_same_rows(infos: list[RunInfo], info: RunInfo) -> list[RunInfo]:
    """Those on exactly the rows of ``info``; where either has no digest, those with the same ``--data``."""
    return [
        one
        for one in infos
        if (one.digest == info.digest if one.digest and info.digest else one.data == info.data)
    ]


def kind_of(run: Any) -> Kind | None:
    """What an MLflow run of this program is; ``None`` for another program's."""
    kind = run.data.tags.get(Tag.KIND)
    return Kind(kind) if kind in set(Kind) - set(CHILDREN) else None


def objective_of(run: Any) -> Objective:
    """The score that an MLflow run of this program chose by; macro-F1 where none is on record."""
    return objective_named(run.data.params.get(Summary.OBJECTIVE, "")) if kind_of(run) else F1


def describe(run: Any, *, experiment: str, figures: Figures, now: float) -> RunInfo:
    """Sum up an MLflow run; ``now`` in UNIX seconds."""
    tags = run.data.tags
    heartbeat = _number(tags.get(Tag.HEARTBEAT))
    state = run_state(run.info.status, heartbeat, now)
    lost = state == RunState.INTERRUPTED and Tag.STOPPED not in tags
    return RunInfo(
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        kind=kind_of(run),
        state=state,
        experiment=experiment,
        study=tags.get(Tag.STUDY, ""),
        data=tags.get(Tag.DATA, ""),
        digest=tags.get(Tag.DIGEST, ""),
        encoder=tags.get(Tag.ENCODER, ""),
        command=tags.get(Tag.COMMAND, ""),
        figures=figures,
        started=_moment(run.info.start_time),
        duration_s=_duration_s(run, heartbeat, state, now),
        stopped=Stopped.LOST if lost else tags.get(Tag.STOPPED, ""),
        error=tags.get(Tag.ERROR, ""),
        artifact_uri=run.info.artifact_uri,
        ended_ms=run.info.end_time,
        schema=int(_number(tags.get(Tag.SCHEMA)) or SCHEMA_VERSION),
        objective_name=objective_of(run).name,
        understood=tags.get(Tag.DATA_SUMMARY, ""),
        experiment_id=run.info.experiment_id,
        user=tags.get(Tag.USER, ""),
        starred=Tag.STAR in tags,
        labels=labels_in(tags),
        note=tags.get(Tag.NOTE, ""),
    )


def labels_in(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The tags that people gave a run, as they are shown; those of programs left out."""
    own = {key: value for key, value in tags.items() if not key.startswith(OF_PROGRAMS)}
    return tuple(sorted(f"{key}={value}" if value else key for key, value in own.items()))


def final_figures(summary: dict[str, Any], objective: Objective) -> Figures:
    """Figures of a finished sweep."""
    best, test = Summary.BEST + objective.column, Summary.TEST + objective.leading.metric
    return Figures(
        trials=summary.get(Summary.TRIALS),
        complete=summary.get(Summary.COMPLETE),
        pruned=summary.get(Summary.PRUNED),
        failed=summary.get(Summary.FAILED),
        best_val=summary.get(best),
        best_val_ci95=_interval(summary.get(best + Summary.CI95)),
        test=summary.get(test),
        test_ci95=_interval(summary.get(test + Summary.CI95)),
        best_so_far=tuple(summary.get(Summary.BEST_SO_FAR, ())),
    )


def budget_of(run: Any) -> int | None:
    """Return how many trials an MLflow run of this program is to have; ``None`` where it is not on record."""
    found = _number(run.data.tags.get(Tag.BUDGET)) or _number(run.data.params.get(Summary.TRIALS))
    return None if found is None else int(found)


def figures_so_far(run: Any, trials: pd.DataFrame | None) -> Figures:
    """Figures of a sweep that runs or was cut short: MLflow's metrics, and the trials it has recorded."""
    metrics, objective = run.data.metrics, objective_of(run)
    name = Metric.BEST + objective.column
    best, ends = metrics.get(name), [metrics.get(name + end) for end in (Trials.LOW, Trials.HIGH)]
    scores = Figures(best_val=None if pd.isna(best) else best, best_val_ci95=_interval(ends))
    if trials is None:
        return scores
    states = trials[Trials.STATE].value_counts()
    spent_s = trials.loc[trials[Trials.STATE] != TrialState.RUNNING, Trials.FINISHED_S].max()
    return replace(
        scores,
        trials=len(trials),
        budget=budget_of(run),
        running=int(states.get(TrialState.RUNNING, 0)),
        spent_s=None if pd.isna(spent_s) else float(spent_s),
        complete=int(states.get(TrialState.COMPLETE, 0)),
        pruned=int(states.get(TrialState.PRUNED, 0)),
        failed=int(states.get(TrialState.FAILED, 0)),
        best_so_far=spark(trials, objective),
    )


def _interval(ends: Any) -> Interval | None:
    if not ends or any(pd.isna(end) for end in ends):
        return None
    return float(ends[0]), float(ends[1])


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _moment(milliseconds: int | None) -> datetime | None:
    """In the time zone of this machine, which is that of the person at a local dashboard."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone() if milliseconds else None


def _duration_s(run: Any, heartbeat: float | None, state: RunState, now: float) -> float | None:
    """Up to now for a live run; a run that was lost lasted until its last sign of life."""
    if not run.info.start_time:
        return None
    if run.info.end_time:
        end = run.info.end_time / 1000
    else:
        end = now if state == RunState.LIVE else heartbeat or now
    return float(max(end - run.info.start_time / 1000, 0.0))


def spark(trials: pd.DataFrame, objective: Objective = F1) -> tuple[float, ...]:
    """The best score as trials completed, for a table: `Summary.SPARK_POINTS` values at most, evenly spread,
    the last one included."""
    complete = trials[trials[Trials.STATE] == TrialState.COMPLETE]
    score = complete.sort_values(Trials.FINISHED_S)[objective.column]
    best = (score.cummax() if objective.up else score.cummin()).to_numpy(dtype=float)
    kept = np.unique(np.linspace(0, len(best) - 1, min(Summary.SPARK_POINTS, len(best))).round().astype(int))
    return tuple(best[kept].tolist())
