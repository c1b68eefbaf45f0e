"""Read what runs say of the test rows, compare it, say which is better."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import yaml
from rich.table import Table

from trainer.core import text
from trainer.core.console import say
from trainer.core.errors import InputError, NoResultError
from trainer.experiments.comparison import ends_of, show, verdict
from trainer.experiments.run_comparison.config import CompareConfig
from trainer.stats.power import detectable_effect
from trainer.tracking import database
from trainer.tracking.compared_runs import (
    BEST,
    ComparedRuns,
    RunAnswers,
    compared,
    different_names,
    differing,
    rows_of,
    usual_head,
)
from trainer.tracking.reader import RunFiles
from trainer.tracking.schema import Artifact, Kind, MethodClasses, MethodPairs, Methods, Predictions
from trainer.tracking.studies import find_study

if TYPE_CHECKING:
    from trainer.experiments.base import Figures

KINDS = (Kind.SWEEP, Kind.FINE_TUNING, Kind.FUSION, Kind.ZERO_SHOT, Kind.ENCODERS)
RUN_ID = re.compile(r"[0-9a-f]{32}")
CI95 = "_ci95"


class ReadRun(NamedTuple):
    """One of the runs."""

    run_id: str
    head: str
    answers: RunAnswers
    flags: Mapping[str, Any]  # of its command
    files: RunFiles


def run(config: CompareConfig) -> Figures:
    """Compare the runs. Returns the figures; see :func:`figures_of`.

    Raises:
        InputError: fewer than two runs, no such run or head, other data, or rows that one of them learned
            from.
        NoResultError: ``fail_if_worse``, and a run is significantly worse than the base.
    """
    if len(set(config.runs)) < 2 or len(set(config.runs)) < len(config.runs):
        raise InputError(f"{len(config.runs)} runs are named; name two or more different ones.")
    base = config.runs[0] if config.base is None else config.base
    if base not in config.runs:
        raise InputError(
            f"--base is {base}, which is none of the runs. Name one of {', '.join(config.runs)}."
        )
    database.check(config.tracking_uri)
    runs = _with_different_names([read(config, one) for one in config.runs])
    place = config.runs.index(base)
    of_classes = any(Predictions.PRED in one.answers.table for one in runs)
    figures, whole = (_by_class if of_classes else _by_score)(runs, place, config.seed)
    if config.out is not None:
        from trainer.core import atomic

        atomic.write_output(config.out, json.dumps(whole, indent=1).encode(), "--out")
    worse = [one["run"] for one in figures["differences"] if one["verdict"] == "worse"]
    if config.fail_if_worse and worse:
        raise NoResultError(f"{', '.join(worse)}: significantly worse than {figures['base']}.", figures)
    return figures


def _by_class(runs: list[ReadRun], base: int, seed: int) -> tuple[Figures, Figures]:
    """Compare runs of classes. Returns the figures, and with every class."""
    for one in runs:
        if Predictions.PRED not in one.answers.table:
            raise InputError(
                f"{one.answers.name} predicts no single class, and others do: compare runs of classes, of "
                "numbers, or of several labels per image."
            )
    found = compared([one.answers for one in runs], base=base, seed=seed)
    figures = figures_of(runs, found, base)
    tell(found)
    return figures, figures | {"classes": json.loads(found.classes.to_json(orient="records"))}


def _by_score(runs: list[ReadRun], base: int, seed: int) -> tuple[Figures, Figures]:
    """Compare runs of numbers or of several labels. Returns the figures, and with every label."""
    from trainer.experiments.run_comparison import scores
    from trainer.tracking.compared_scores import compared_scores

    summaries = [json.loads(one.files.read(Artifact.SUMMARY)) for one in runs]
    pairs = compared_scores([one.answers for one in runs], summaries, base=base)
    name = runs[base].answers.name
    scores.tell(pairs, name)
    settings = differing([one.flags for one in runs])
    figures = {
        "base": name,
        "paired": True,
        "runs": [
            {"run_id": one.run_id, "run": one.answers.name, "head": one.head, "settings": own}
            for one, own in zip(runs, settings, strict=True)
        ],
    }
    short, full = (scores.differences(pairs, labels=labels) for labels in (False, True))
    return figures | {"differences": short}, figures | {"differences": full}


def read(config: CompareConfig, named: str) -> ReadRun:
    """Return what a run says.

    Args:
        named: RUN or RUN:HEAD.

    Raises:
        InputError: there is no such run, or it has no answers or no such head.
    """
    run_id, head = _found(config, named)
    files = RunFiles(config.tracking_uri, run_id, kinds=KINDS)
    if files.trial is not None:
        raise InputError(
            f"{run_id} is a single trial, which answers no test row. Pass its sweep, {files.sweep}."
        )
    predictions = files.table(Artifact.PREDICTIONS)
    recorded = yaml.safe_load(files.read(Artifact.CONFIG))["command"]
    head = head or usual_head(predictions, lambda: files.table(Artifact.METHODS))
    study = str(recorded.get("study") or run_id)
    answers = rows_of(study, predictions, head)
    name = study if head == BEST else f"{study}: {head}"
    answers = dataclasses.replace(answers, name=name, data=str(recorded.get("data") or ""))
    return ReadRun(run_id, head, answers, recorded, files)


def _found(config: CompareConfig, named: str) -> tuple[str, str]:
    """Return the run and the head of a name, "" for its usual one."""
    before, _, after = named.rpartition(":")
    for run, head in ((named, ""), (before, after)):
        if RUN_ID.fullmatch(run):
            return run, head
        for kind in KINDS if run else ():
            found = find_study(config.tracking_uri, config.experiment, run, kind=kind)
            if found is not None:
                return found.run_id, head
    raise InputError(
        f"There is no run and no study {named!r} in the experiment {config.experiment} of this store. The "
        "dashboard's Home lists them; --tracking-uri and --experiment name others."
    )


def _with_different_names(runs: list[ReadRun]) -> list[ReadRun]:
    names = different_names([one.answers.name for one in runs], [one.run_id for one in runs])
    return [
        one._replace(answers=dataclasses.replace(one.answers, name=name))
        for one, name in zip(runs, names, strict=True)
    ]


def figures_of(runs: list[ReadRun], found: ComparedRuns, base: int) -> Figures:
    """Return base, rows, groups, paired; the runs with their scores, and settings that differ; the
    differences to the base; and the classes that differ significantly."""
    scores = _records(found.scores)
    classes = _records(found.classes)
    return {
        "base": runs[base].answers.name,
        "paired": bool(found.rows),
        "test_rows": found.rows,
        "test_groups": found.groups,
        "runs": [
            {
                "run_id": one.run_id,
                "run": one.answers.name,
                "head": one.head,
                **_figure("f1_macro", row, Methods.F1_MACRO),
                **_figure("accuracy", row, Methods.ACCURACY),
                "settings": settings,
            }
            for one, row, settings in zip(runs, scores, differing([one.flags for one in runs]), strict=True)
        ],
        "differences": [
            {
                "run": row[MethodPairs.METHOD],
                "verdict": verdict_of(row),
                **_figure("f1_macro", row, MethodPairs.EFFECT),
                "p": row[MethodPairs.EFFECT_P],
                "p_holm": row[MethodPairs.EFFECT_P_HOLM],
                **_figure("accuracy", row, MethodPairs.ACCURACY),
                "only_run_correct": _number(row[MethodPairs.ONLY_METHOD]),
                "only_base_correct": _number(row[MethodPairs.ONLY_AGAINST]),
            }
            for row in _records(found.pairs)
        ],
        "classes_that_differ": [
            {
                "run": row[MethodClasses.METHOD],
                "class": row[MethodClasses.CLASS],
                "rows": row[MethodClasses.TEST],
                **_figure("f1", row, MethodClasses.EFFECT),
                "p_holm": row[MethodClasses.EFFECT_P_HOLM],
            }
            for row in classes
            if text.significant(ends_of(row), row[MethodClasses.EFFECT_P_HOLM])
        ],
        "notes": list(found.notes),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def verdict_of(row: Mapping[str, Any]) -> str:
    """Return better, worse, or not significant."""
    if not text.significant(ends_of(row), row[MethodPairs.EFFECT_P_HOLM]):
        return "not significant"
    return "better" if row[MethodPairs.EFFECT] > 0 else "worse"


def _figure(name: str, row: Mapping[str, Any], column: str) -> Figures:
    return {name: row[column], name + CI95: [row[column + Methods.LOW], row[column + Methods.HIGH]]}


def _number(value: float) -> float | None:
    """Return None for NaN, which JSON does not have."""
    return None if value != value else value


def tell(found: ComparedRuns) -> None:
    """Print the runs, the differences, and the verdict on each."""
    rows = len(found.answers) // max(len(found.scores), 1)
    drawn = text.rows_drawn(rows, found.groups) if found.rows else "each run's own test rows"
    scores = Table(title=f"Runs (95 % intervals over {drawn})", title_justify="left")
    for head in ("run", "test macro-F1", "test accuracy"):
        scores.add_column(head, no_wrap=head != "run")
    for row in _records(found.scores):
        scores.add_row(
            text.harmless(row[Methods.METHOD]),
            text.figure(row, Methods.F1_MACRO),
            text.figure(row, Methods.ACCURACY),
        )
    show(scores)
    for note in found.notes:
        say(note)
    comparisons = len(found.pairs)
    for row in _records(found.pairs):
        say(verdict(row, comparisons=comparisons))
        only = row[MethodPairs.ONLY_METHOD], row[MethodPairs.ONLY_AGAINST]
        if found.rows:
            say(f"  {only[0]:.0f} test rows only the first has right, {only[1]:.0f} only the second.")
        if verdict_of(row) == "not significant":
            say(
                f"  {text.could_show(detectable_effect(*ends_of(row), comparisons=comparisons), comparisons)}"
            )
    for caution in text.cautions(found.groups) if found.rows else ():
        say(caution)
