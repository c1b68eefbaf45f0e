"""Convert trials to tables and back. Studies resume from these tables; the dashboard shows them."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from safetensors.numpy import load, save

from trainer.heads.outcome import Outcome
from trainer.search.loop import TrialRecord
from trainer.search.refit import choose_finalists, ranking
from trainer.search.space import Params
from trainer.search.study import FinishedTrial
from trainer.stats.intervals import mean_over_seeds, score_over_units_and_seeds
from trainer.stats.objective import F1, Objective
from trainer.tracking.schema import PARAM_PREFIX, Curves, Trials

MOST_CANDIDATES = 25  # trials of whose answers the final head is made
LEAST_CANDIDATES, MOST_CELLS = 4, 50_000_000  # fewer where each gives many probabilities
SPLIT_AND_METRIC = {
    "train_loss": ("train", "loss"),
    "lr": ("train", "lr"),
    "val_loss": ("val", "loss"),
    "val_f1_macro": ("val", "f1_macro"),
    "val_accuracy": ("val", "accuracy"),
    "val_balanced_accuracy": ("val", "balanced_accuracy"),
    "val_r2": ("val", "r2"),
    "val_mae": ("val", "mae"),
    "val_rmse": ("val", "rmse"),
    "val_f1_macro_labels": ("val", "f1_macro_labels"),
    "val_f1_micro_labels": ("val", "f1_micro_labels"),
}


def trials_frame(records: Iterable[TrialRecord], *, began: float) -> pd.DataFrame:
    """Return TRIALS, one row per record; times are relative to ``began`` (UNIX seconds)."""
    return pd.DataFrame([_trial_row(record, began) for record in records])


def _trial_row(record: TrialRecord, began: float) -> dict[str, Any]:
    outcome, objective = record.outcome, record.outcome.objective
    leading, *family = objective.family
    others: dict[str, Any] = {}
    if objective is not leading:
        others = _score_columns(outcome, objective, record.objective_unit_error)
    return {
        Trials.TRIAL: record.number,
        Trials.STATE: record.state,
        Trials.SEEDS: len(outcome.val_loss_s),
        Trials.EPOCHS: outcome.epochs,
        Trials.BEST_EPOCH: float(outcome.best_epoch_s.mean()),
        **_score_columns(outcome, leading, record.unit_error),
        **{one.column: float(outcome.score_of[one.column].mean()) for one in family},
        Trials.VAL_LOSS: float(outcome.val_loss_s.mean()),
        **others,
        Trials.PARAMETERS: record.parameters,
        Trials.STARTED_S: record.started - began,
        Trials.FINISHED_S: math.nan if record.finished is None else record.finished - began,
        Trials.RUNGS: json.dumps(record.rungs),
        Trials.MESSAGE: record.message,
        **{PARAM_PREFIX + name: value for name, value in record.params.items()},
    }


def _score_columns(outcome: Outcome, objective: Objective, unit_error: float) -> dict[str, float]:
    """Return a score of a trial, its standard errors and its interval, under their names in TRIALS."""
    within = {"most": objective.most, "least": objective.least}
    score, error = mean_over_seeds(outcome.score_of[objective.column], **within)
    if math.isfinite(unit_error):
        score = score_over_units_and_seeds(score.value, unit_error, error, **within)
    return {
        objective.column: math.nan if outcome.failed else score.value,
        objective.column + Trials.SE: error,
        objective.column + Trials.UNIT_SE: unit_error,
        objective.column + Trials.LOW: score.low,
        objective.column + Trials.HIGH: score.high,
    }


def curves_frame(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """Return CURVES in long form; NaN (a stopped seed, a diverged loss) has no row."""
    parts: dict[str, list[np.ndarray]] = {}
    for record in records:
        for name, values_se in record.outcome.curves.items():
            split, metric = SPLIT_AND_METRIC[name]
            seed, epoch = np.nonzero(np.isfinite(values_se))
            columns: dict[str, np.ndarray] = {
                Curves.TRIAL: np.full(len(seed), record.number, np.int32),
                Curves.SEED: seed.astype(np.int16),
                Curves.EPOCH: (epoch + 1).astype(np.int16),
                Curves.SPLIT: np.full(len(seed), split, object),
                Curves.METRIC: np.full(len(seed), metric, object),
                Curves.VALUE: values_se[seed, epoch].astype(np.float32),
            }
            for column, values in columns.items():
                parts.setdefault(column, []).append(values)
    return pd.DataFrame({column: np.concatenate(values) for column, values in parts.items()})


class Block(NamedTuple):
    """Rows of TRIALS and CURVES of finished trials."""

    trials: pd.DataFrame
    curves: pd.DataFrame


class TrialLog:
    """All finished trials of a study, loaded ones and those added since.

    What is asked after every step takes as long with many trials as with few; `trials`, `curves` and
    `with_records` put the whole tables together.

    Args:
        trials, curves: tables of an earlier process, ``None`` for a new study. Trials that were running then
            are in `interrupted` with their configuration only: they are run again.
        held_out: what the best trials said of rows that they did not learn from, by number.
        objective: what ranks the trials.
    """

    def __init__(
        self,
        trials: pd.DataFrame | None = None,
        curves: pd.DataFrame | None = None,
        held_out: Mapping[int, np.ndarray] | None = None,
        *,
        objective: Objective = F1,
    ) -> None:
        self.objective = objective
        self.finished: list[FinishedTrial] = []
        self.interrupted = [] if trials is None else _unfinished(trials)
        self.held_out = dict(held_out or {})
        self._candidates: list[FinishedTrial] = []  # the best trials of those before
        self._states: Counter[str] = Counter()
        self._best: pd.DataFrame | None = None  # one row of TRIALS
        self._blocks: list[tuple[int, Block]] = []  # with the number of trials up to its end
        spent_s = 0.0
        if trials is not None:
            ended = trials[trials[Trials.STATE] != "running"]
            numbers = ended[Trials.TRIAL].tolist()
            self._append(Block(ended, _of_trials(curves, numbers)))
            spent_s = float(ended[Trials.FINISHED_S].max()) if numbers else 0.0
            self.held_out = {number: one for number, one in self.held_out.items() if number in numbers}
        # the clock of a resumed study continues from its last trial
        self.began = time.time() - spent_s

    @property
    def trials(self) -> pd.DataFrame:
        """TRIALS of all finished trials, by number."""
        return self.with_records(())[0]

    @property
    def curves(self) -> pd.DataFrame:
        """CURVES of all finished trials."""
        return self.with_records(())[1]

    def with_records(self, records: Sequence[TrialRecord]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return TRIALS, by number, and CURVES including these records, which may still be running."""
        blocks = [block for _, block in self._blocks]
        if len(blocks) > 1:
            blocks = [_joined(blocks)]
            self._blocks = [(len(self.finished), blocks[0])]
        if records:
            blocks.append(self.block_of(records))
        trials, curves = _joined(blocks)
        return trials.sort_values(Trials.TRIAL, ignore_index=True) if len(trials) else trials, curves

    def block_of(self, records: Sequence[TrialRecord]) -> Block:
        """Return the rows of some records."""
        trials = trials_frame(records, began=self.began)
        trials = trials.sort_values(Trials.TRIAL, ignore_index=True) if len(trials) else trials
        return Block(trials, curves_frame(records))

    def since(self, trials: int) -> list[Block]:
        """Return the rows of all but the first so many trials; perhaps of earlier ones, too."""
        later = takewhile(lambda one: one[0] > trials, reversed(self._blocks))
        return [block for _, block in later][::-1]

    def add(self, records: Sequence[TrialRecord]) -> None:
        """Add finished records."""
        if not records:
            return
        self._append(self.block_of(records))
        self.held_out |= {one.number: one.held_out_mc for one in records if one.held_out_mc is not None}
        if len(self.held_out) > LEAST_CANDIDATES:
            cells = next(iter(self.held_out.values())).size
            self._candidates = best_trials(self._candidates, cells=cells)
            kept = {trial.number for trial in self._candidates}
            self.held_out = {number: one for number, one in self.held_out.items() if number in kept}

    def _append(self, block: Block) -> None:
        new = finished_trials(block.trials, self.objective)
        self.finished += new
        self._candidates += new
        self._states.update(trial.state for trial in new)
        self._blocks.append((len(self.finished), block))
        known = [] if self._best is None else [self._best]
        found = _ranked(pd.concat([*known, block.trials], ignore_index=True), self.objective).head(1)
        self._best = found if len(found) else self._best

    def count(self, state: str) -> int:
        """Number of trials in a state."""
        return self._states[state]

    def best(self) -> dict[Hashable, Any] | None:
        """Return the row of TRIALS of the best completed trial, as `ranking` has it."""
        return None if self._best is None else self._best.iloc[0].to_dict()

    def best_so_far(self, *, points: int) -> list[float]:
        """Return the best score so far by trial, thinned evenly to ``points`` with the last included."""
        if not self.finished:
            return []
        trials = self.trials
        complete = trials[trials[Trials.STATE] == "complete"]
        score = complete.sort_values(Trials.FINISHED_S)[self.objective.column]
        best = (score.cummax() if self.objective.up else score.cummin()).to_numpy()
        index = np.unique(np.linspace(0, len(best) - 1, min(points, len(best))).round().astype(int))
        return [round(float(value), 4) for value in best[index]]


def write_answers(held_out: Mapping[int, np.ndarray]) -> bytes:
    """Return `TrialLog.held_out` as safetensors."""
    return save({str(number): answers for number, answers in held_out.items()})


def read_answers(content: bytes) -> dict[int, np.ndarray]:
    """Return what `write_answers` wrote."""
    return {int(number): answers for number, answers in load(content).items()}


def best_trials(trials: Sequence[FinishedTrial], *, cells: int) -> list[FinishedTrial]:
    """Return the trials to choose the final head among: the highest scores, and the best of each depth.

    Args:
        cells: probabilities that each of them gives; with many, fewer trials are held in memory.
    """
    chosen = [*choose_finalists(trials).values(), *ranking(trials)[: most_candidates(cells)]]
    return list({trial.number: trial for trial in chosen}.values())


def most_candidates(cells: int) -> int:
    """Return how many of the highest scores `best_trials` takes, with so many probabilities each."""
    return min(MOST_CANDIDATES, max(LEAST_CANDIDATES, MOST_CELLS // cells))


def _ranked(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the rows of TRIALS of completed trials: by score, then the lower loss, then the earlier one."""
    complete = trials[trials[Trials.STATE] == "complete"]
    return complete.sort_values(
        [objective.column, Trials.VAL_LOSS, Trials.TRIAL], ascending=[not objective.up, True, True]
    )


def _of_trials(table: pd.DataFrame | None, numbers: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame() if table is None else table[table[Trials.TRIAL].isin(numbers)]


def _joined(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    trials = [one.trials for one in blocks if len(one.trials)]
    curves = [one.curves for one in blocks if len(one.curves)]
    return Block(
        pd.concat(trials, ignore_index=True) if trials else pd.DataFrame(),
        pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(),
    )


def finished_trials(trials: pd.DataFrame, objective: Objective = F1) -> list[FinishedTrial]:
    """Return the finished trials of a TRIALS table."""
    return [
        FinishedTrial(
            number=int(row[Trials.TRIAL]),
            params=params_of(row),
            state=row[Trials.STATE],
            score=objective.utility(float(row[objective.column])),
            rungs={
                int(epoch): objective.utility(score) for epoch, score in json.loads(row[Trials.RUNGS]).items()
            },
            parameters=int(row[Trials.PARAMETERS]),
            log_loss=float(row.get(Trials.VAL_LOSS, math.inf)),
        )
        for row in trials[trials[Trials.STATE] != "running"].to_dict("records")
    ]


def _unfinished(trials: pd.DataFrame) -> list[tuple[int, Params]]:
    """Return numbers and configurations of the trials that were running."""
    rows = trials[trials[Trials.STATE] == "running"].sort_values(Trials.TRIAL).to_dict("records")
    return [(int(row[Trials.TRIAL]), params_of(row)) for row in rows]


def params_of(row: Mapping[Hashable, Any]) -> Params:
    """Return the hyperparameters in a row of TRIALS that have a value."""
    return {
        str(column).removeprefix(PARAM_PREFIX): _plain(value)
        for column, value in row.items()
        if str(column).startswith(PARAM_PREFIX) and not _is_null(value)
    }


def _is_null(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Convert NumPy scalars, and 64.0 (an integer in a column with gaps), to plain numbers."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
