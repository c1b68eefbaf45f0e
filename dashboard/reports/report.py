"""A report about runs as one HTML file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from typing import Any

import pandas as pd

from dashboard import text
from dashboard.frames import comparison
from dashboard.reports import document, studies, sweeps
from dashboard.runs.run_info import RunInfo, flags_in
from dashboard.runs.store import Store
from trainer.core.errors import InputError
from trainer.core.text import natural_key
from trainer.core.version import __version__
from trainer.tracking.compared_runs import RunAnswers, compared, differing
from trainer.tracking.schema import SWEEP_KINDS, Artifact, Kind, Tag

STUDIES = (Kind.FUSION, Kind.ZERO_SHOT, Kind.ENCODERS, Kind.ABLATION, Kind.VERIFICATION)
MOST = 6  # runs in one report
LIBRARIES = ("torch", "transformers", "scikit-learn", "optuna", "mlflow")
RUN_ID = re.compile(r"[0-9a-f]{32}")


def reported(store: Store, named: Sequence[str], *, experiment: str) -> list[RunInfo]:
    """The runs of ids, or of studies of an experiment: of one name the newest.

    Raises:
        InputError: there is no such run, the same one twice, or too many.
        StoreProblem: the store cannot be read.
    """
    if not 1 <= len(named) <= MOST:
        raise InputError(f"{len(named)} runs are named; a report is about 1 to {MOST}.")
    there = [info for info in store.sweeps() if info.ours]
    there += [info for kind in STUDIES for info in store.of_kind(kind)]
    found = [_named(there, name, experiment) for name in named]
    if len({info.run_id for info in found}) < len(found):
        raise InputError("One run is named twice; name different ones.")
    return found


def _named(there: list[RunInfo], name: str, experiment: str) -> RunInfo:
    alike = [info for info in there if info.run_id == name]
    if not RUN_ID.fullmatch(name):
        alike = [info for info in there if info.study == name and info.experiment == experiment]
    if not alike:
        kinds = ", ".join([*SWEEP_KINDS, *STUDIES])
        raise InputError(
            f"There is no run and no study {text.clean(name, longest=80)!r} in the experiment {experiment} "
            f"of this store that can be reported ({kinds}). The dashboard's Home lists them; --tracking-uri "
            "and --experiment name others."
        )
    return max(alike, key=lambda info: info.started.timestamp() if info.started else 0)


def report(store: Store, infos: Sequence[RunInfo], *, now: datetime) -> str:
    """The HTML of a report about runs: first how they compare, then each.

    Raises:
        InputError: a run has no result yet.
        StoreProblem: the store cannot be read.
    """
    names = comparison.run_names([info.name for info in infos], infos)
    title = f"Report: {', '.join(names)}"
    parts = [f"<header><h1>{document.escaped(title)}</h1></header>"]
    flags = [flags_in(store.file(info.run_id, Artifact.CONFIG)) for info in infos]
    if len(infos) > 1:
        parts += against_one_another(store, infos, flags)
    for info, name, own in zip(infos, names, flags, strict=True):
        parts += of_run(store, info, name, own, alone=len(infos) == 1)
    return document.document(title, [*parts, document.paragraph(written_by(now), "quiet")])


def written_by(now: datetime) -> str:
    """When, and by which versions, the report is written."""
    libraries = [f"{name} {found}" for name in LIBRARIES if (found := _version(name))]
    return f"Written on {now:%d %B %Y, %H:%M} by Headroom {__version__} with {', '.join(libraries)}."


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def of_run(store: Store, info: RunInfo, name: str, flags: dict[str, Any], *, alone: bool) -> list[str]:
    """What there is to say of one run."""
    started = "" if info.started is None else f"{info.started:%d %B %Y, %H:%M}, "
    encoder, took = text.clean(info.encoder, longest=80), text.duration(info.duration_s)
    about = f"{info.kind}, {info.data}, {encoder}; {started}took {took}"
    make = sweeps.sections if info.kind in SWEEP_KINDS else studies.sections
    given = {_flag(name): value for name, value in flags.items() if value not in (None, "", [])}
    settings = pd.DataFrame({"flag": list(given), "value": [_value(one) for one in given.values()]})
    return [
        "" if alone else f"<hr><h1>{document.escaped(name)}</h1>",
        document.paragraph(about, "quiet"),
        document.paragraph(info.understood, "quiet"),
        *make(store, info),
        document.section("Command", document.command(command_of(store, info))),
        document.section("Settings", document.table(settings)),
        document.paragraph(f"Run {info.run_id}, storage schema {info.schema}.", "quiet"),
    ]


def command_of(store: Store, info: RunInfo) -> str:
    """The command that makes such a run, under a study of its own."""
    command = info.command
    if command == Artifact.of_tag(Tag.COMMAND):  # a long one
        command = (store.file(info.run_id, command) or b"").decode(errors="replace")
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    if "--study" in words:
        at = words.index("--study")
        del words[at : at + 2]
    return shlex.join(words)


def _flag(name: str) -> str:
    return f"--{text.clean(name).replace('_', '-')}"


def _value(value: Any) -> str:
    return text.clean(", ".join(map(str, value)) if isinstance(value, list) else value, longest=200)


def against_one_another(store: Store, infos: Sequence[RunInfo], flags: Sequence[dict[str, Any]]) -> list[str]:
    """How the runs compare on the test rows, against the first; and the settings that differ."""
    try:
        read = [
            comparison.run_answers(
                info,
                store.table(info.run_id, Artifact.PREDICTIONS),
                lambda info=info: store.table(info.run_id, Artifact.METHODS),  # type: ignore[misc]
            )
            for info in infos
        ]
        names = comparison.run_names([one.name for one in read], infos)
        found = compared(
            [RunAnswers(name, one.table, one.data) for name, one in zip(names, read, strict=True)]
        )
    except InputError as error:
        return [document.paragraph(error), _differing(flags, [info.name for info in infos])]
    verdicts = comparison.run_verdicts(found.pairs, text.clean)
    return [
        *(document.paragraph(said, "verdict" if place == 0 else "") for place, said in enumerate(verdicts)),
        *map(document.paragraph, found.notes),
        studies.scores(comparison.runs_as_methods(infos, found.scores), of_runs=True),
        studies.differences(found.pairs),
        _differing(flags, names),
    ]


def _differing(flags: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    differ = differing(flags)
    rows = sorted(differ[0], key=natural_key)
    table = {"flag": [_flag(row) for row in rows]}
    for name, own in zip(names, differ, strict=True):
        table[name] = ["–" if own[row] is None else _value(own[row]) for row in rows]
    return document.section("Settings that differ", document.table(pd.DataFrame(table)))
