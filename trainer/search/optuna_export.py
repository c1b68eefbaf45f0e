"""Export a finished study to a database of Optuna, for ``optuna-dashboard``."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import optuna

from trainer.core.errors import InputError, first_line
from trainer.search.space import Space
from trainer.search.study import FinishedTrial, to_optuna
from trainer.stats.objective import F1, Objective


def check_export(url: str, study: str | None, *, resumed: bool) -> None:
    """Refuse before the search what could not be written after it.

    Args:
        url: SQLAlchemy URL of the database, such as ``sqlite:///study.db``.
        study: its name, if it has one yet.
        resumed: whether the study has begun; it may have been exported then.

    Raises:
        InputError: the database cannot be opened, or has another study of that name.
    """
    storage = _open(url)
    if not resumed and study in optuna.get_all_study_names(storage):
        raise InputError(
            f"--export-optuna: {url} has a study {study} already. Delete it there, or name another file."
        )


def export_to_optuna(
    trials: Sequence[FinishedTrial], *, space: Space, study: str, url: str, objective: Objective = F1
) -> None:
    """Write trials as an Optuna study by that name; of a resumed one, those that are not there yet.

    Args:
        objective: what the trials' scores are of; where lower is better the study minimises it.

    Raises:
        InputError: the database cannot be opened.
    """
    made = optuna.create_study(
        storage=_open(url),
        study_name=study,
        direction="maximize" if objective.up else "minimize",
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made.set_metric_names([objective.column])
    known = len(made.trials)
    in_order = sorted(trials, key=lambda trial: trial.number)
    made.add_trials([to_optuna(_as_shown(trial, objective), space) for trial in in_order[known:]])


def _open(url: str) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(url)
    except Exception as error:  # whatever SQLAlchemy and its drivers raise
        raise InputError(
            f"--export-optuna: {url} cannot be written: {first_line(error)}. Expected the address of a "
            "database, such as sqlite:///study.db."
        ) from error


def _as_shown(trial: FinishedTrial, objective: Objective) -> FinishedTrial:
    """Return a trial with its scores as they are on record: `Objective.utility` is its own inverse."""
    rungs = {epoch: objective.utility(score) for epoch, score in trial.rungs.items()}
    return dataclasses.replace(trial, score=objective.utility(trial.score), rungs=rungs)
