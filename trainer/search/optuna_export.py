"""Export a finished study to a database of Optuna, for ``optuna-dashboard``."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from trainer.core.errors import InputError
from trainer.search.space import Space
from trainer.search.study import FinishedTrial, to_optuna


def export_to_optuna(trials: Sequence[FinishedTrial], *, space: Space, study: str, url: str) -> None:
    """Write trials as an Optuna study by that name.

    Args:
        url: SQLAlchemy URL of the database, such as ``sqlite:///study.db``.

    Raises:
        InputError: the database cannot be opened or already has a study of that name.
    """
    try:
        storage = optuna.storages.RDBStorage(url)
        made = optuna.create_study(storage=storage, study_name=study, direction="maximize")
    except optuna.exceptions.DuplicatedStudyError as error:
        raise InputError(
            f"--export-optuna: {url} has a study {study} already. Delete it there, or name another file."
        ) from error
    except Exception as error:  # whatever SQLAlchemy and its drivers raise
        raise InputError(f"--export-optuna: {url} cannot be written: {error}") from error
    made.add_trials([to_optuna(trial, space) for trial in sorted(trials, key=lambda t: t.number)])
