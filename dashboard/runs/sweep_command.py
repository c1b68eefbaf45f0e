"""The command of a sweep from what a form says, and what is wrong with that."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.core.locations import default_tracking_uri, without_password

DEMO, HUB = "demo", "hf:"
STORE = "--tracking-uri"
OBJECTIVES = ("default", "accuracy", "balanced", "auroc", "nll", "f1+size", "r2", "mae", "rmse", "map")
VALIDATIONS = ("auto", "holdout", "cv")
DEFAULT = "default"  # of an encoder or objective: the flag is left out
HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")  # owner/name
MOST = 1_000_000  # trials or seeds: a slip of the keyboard


class SweepForm(NamedTuple):
    """What somebody filled in."""

    data: str = DEMO
    encoder: str = DEFAULT
    trials: int | None = 64
    seeds: int | None = 3
    objective: str = DEFAULT
    validate: str = VALIDATIONS[0]


def refused(form: SweepForm) -> dict[str, str]:
    """Return what is wrong: field → sentence. The command itself checks the rest."""
    found = {
        "data": _wrong_data(form.data.strip()),
        "encoder": _wrong_encoder(form.encoder.strip()),
        "trials": _wrong_number("Trials", form.trials),
        "seeds": _wrong_number("Seeds", form.seeds),
    }
    return {field: sentence for field, sentence in found.items() if sentence}


def words(form: SweepForm, study: str) -> list[str]:
    """Return the command as words, without the flags that are left at their default."""
    found = ["python", "-m", "trainer.sweep", "--data", form.data.strip()]
    if form.encoder.strip() not in ("", DEFAULT):
        found += ["--encoder", form.encoder.strip()]
    found += ["--trials", str(form.trials), "--seeds", str(form.seeds)]
    if form.objective != DEFAULT:
        found += ["--objective", form.objective]
    if form.validate != VALIDATIONS[0]:
        found += ["--validate", form.validate]
    return in_this_store([*found, "--study", study])


def in_this_store(words: Sequence[str]) -> list[str]:
    """Return a command that writes to the store of this dashboard. What is recorded in a store may name
    another one: it was copied since, or its server has another name there."""
    kept = [*words]
    if STORE in kept:
        place = kept.index(STORE)
        del kept[place : place + 2]
    return [*kept, *_store()]


def _store() -> list[str]:
    """The store of this dashboard, where a terminal would take another one. One with a password must be in
    the environment there, too."""
    uri = default_tracking_uri()
    named = os.environ.get("HEADROOM_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    return [STORE, uri] if named and without_password(uri) == uri else []


def _wrong_data(data: str) -> str:
    if not data:
        return "Data is empty: name a folder or a table of images, or demo."
    if data.startswith("-") or "\0" in data:
        return "A path cannot begin with “-” here; write ./ before it."
    if data == DEMO or data.startswith(HUB):
        return ""
    return "" if _exists(data) else f"There is no file or folder {data} on this machine. Check the path."


def _wrong_encoder(encoder: str) -> str:
    for part in encoder.split("+") if encoder else []:
        if not part or part.startswith("-") or not (HUB_NAME.fullmatch(part) or _exists(part)):
            return (
                f"{part or encoder} is neither a model of the hub (owner/name) nor a folder on this machine."
            )
    return ""


def _wrong_number(field: str, number: int | None) -> str:
    if number is None or number < 1:
        return f"{field} must be at least 1."
    return f"{field} must be at most {MOST:,}." if number > MOST else ""


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
