"""A head that a sweep has on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from trainer.core.errors import InputError
from trainer.stats.objective import objective_named
from trainer.tracking.schema import Artifact, Trials

if TYPE_CHECKING:
    from trainer.heads.head_config import HeadSpec
    from trainer.tracking.reader import RunFiles


def recorded_head(files: RunFiles, *, flag: str) -> tuple[int, HeadSpec, int]:
    """Return the number, configuration and epochs of the best trial of a sweep by its objective, or of the
    trial that was named.

    Raises:
        InputError: it is not on the record, or no trial was completed.
    """
    from trainer.search.refit import choose_finalists
    from trainer.search.space import head_spec
    from trainer.search.trial_log import finished_trials, params_of

    trials, number = files.table(Artifact.TRIALS), files.trial
    if number is None:
        identity = yaml.safe_load(files.read(Artifact.CONFIG)).get("identity") or {}
        objective = objective_named(str(identity.get("objective", "")))
        chosen = choose_finalists(finished_trials(trials, objective))
        if not chosen:
            raise InputError(f"{flag}: the sweep {files.sweep} has no completed trial.")
        number = chosen["best"].number
    row = trials[trials[Trials.TRIAL] == number]
    if row.empty:
        raise InputError(f"{flag}: trial {number} is not on the record of {files.sweep}.")
    return number, head_spec(params_of(row.iloc[0].to_dict())), int(row[Trials.EPOCHS].iloc[0])
