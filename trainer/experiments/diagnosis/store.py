"""Check the MLflow store: it is read, and never created or migrated."""

from __future__ import annotations

from trainer.core.locations import without_password
from trainer.core.text import count
from trainer.experiments.diagnosis.facts import Facts
from trainer.experiments.diagnosis.findings import Diagnosis, advice, broken, fine, within

ANSWERS_WITHIN_S = 15.0


def check_store(facts: Facts) -> Diagnosis:
    """Say what the store holds, and whether the installed MLflow can use it.

    Raises:
        InputError: it cannot be used; the message says what to do.
    """
    from trainer.tracking import database, inspection

    uri = facts.config.tracking_uri
    path = database.sqlite_path(uri)
    if path is None:
        within(ANSWERS_WITHIN_S, lambda: database.check(uri))
        return fine(f"{without_password(uri)} answers.")
    state = inspection.inspect(path)
    if state is None:
        return fine(f"none yet; the first run creates {path}.")
    holds = f"{path} has {count(state.runs, 'run')} in {count(state.experiments, 'experiment')}"
    if state.schema == "newer":
        return broken(
            f"{path} was written by a newer MLflow than the installed one.",
            "pip install --upgrade mlflow, or pass --tracking-uri with another path.",
        )
    if state.moved is not None:
        recorded, beside = state.moved
        return broken(
            f"{path} was moved: its artifacts are recorded in {recorded}, and are in {beside}.",
            f"Move the folder back, or: mkdir -p {recorded.parent} && ln -s {beside} {recorded}",
        )
    if state.schema == "older":
        return advice(
            f"{holds}, with the schema of an older MLflow.",
            "Nothing to do: the next command that records upgrades a copy and keeps the old file.",
        )
    return fine(f"{holds}.")
