"""The list of all runs: which of them are shown, in what order, and what stands in a row."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard import text
from dashboard.runs.run_info import RunInfo
from trainer.tracking.schema import SWEEP_KINDS, Kind, RunState

OTHER = "other program"  # in place of a kind
STATE_MARKS = {
    RunState.LIVE: "● live",
    RunState.DONE: "✓ done",
    RunState.INTERRUPTED: "‖ interrupted",
    RunState.FAILED: "✕ failed",
}
STAR = "★"
GROUPS = {
    "kind": lambda info: kind_named(info),
    "data": lambda info: text.short_path(info.data),
    "encoder": lambda info: text.short_encoder(info.encoder),
    "user": lambda info: text.clean(info.user, longest=40),
    "tags": lambda info: ", ".join(text.clean(one, longest=40) for one in info.labels),
}


def kind_named(info: RunInfo) -> str:
    """What a run is called: its kind, or that another program logged it."""
    return OTHER if info.kind is None else str(info.kind)


def matching(infos: Sequence[RunInfo], *, words: str, kinds: Sequence[str], starred: bool) -> list[RunInfo]:
    """The runs in which every word occurs, of some kinds (none: of all), and with a star if asked for.

    Words are looked for, in upper or lower case, in the name, study, data, encoder, experiment, user, tags
    and note.
    """
    wanted = words.casefold().split()
    found = []
    for info in infos:
        said = (info.name, info.study, info.data, info.encoder, info.experiment, info.user, info.note)
        whole = "\n".join((*said, *info.labels)).casefold()
        right_kind = not kinds or kind_named(info) in kinds
        if right_kind and (info.starred or not starred) and all(word in whole for word in wanted):
            found.append(info)
    return found


def grouped(infos: Sequence[RunInfo], by: str | None) -> list[RunInfo]:
    """The runs in groups of the same value, each as ordered before; groups by their first run."""
    if by is None:
        return list(infos)
    place: dict[str, int] = {}
    for info in infos:
        place.setdefault(GROUPS[by](info), len(place))
    return sorted(infos, key=lambda info: place[GROUPS[by](info)])


def rows(infos: Sequence[RunInfo], *, first: str | None) -> pd.DataFrame:
    """The list as it is shown; ``first``: of `GROUPS`, the column to begin with.

    Stars, tags and notes have a column if a run has one.
    """
    frame = pd.DataFrame(
        {
            "★": STAR if info.starred else "",
            "run": text.clean(info.name, longest=60),
            "kind": kind_named(info),
            "state": STATE_MARKS[info.state],
            "test score": _score(info),
            "tags": GROUPS["tags"](info),
            "note": text.clean(info.note, longest=200),
            "data": GROUPS["data"](info),
            "encoder": GROUPS["encoder"](info),
            "trials": info.trials_done or None,
            "user": GROUPS["user"](info),
            "started": info.started,
            "took": text.duration(info.duration_s),
        }
        for info in infos
    )
    if frame.empty:
        return frame
    own = ("★", "tags", "note")
    frame = frame.drop(columns=[name for name in own if name != first and not frame[name].any()])
    return frame if first is None else frame[[first, *frame.columns.drop(first)]]


def _score(info: RunInfo) -> str | None:
    if info.kind not in SWEEP_KINDS or info.figures.test is None:
        return None
    return f"{info.objective.leading.title} {text.interval(info.figures.test, info.figures.test_ci95)}"


def may_archive(infos: Sequence[RunInfo]) -> bool:
    """Whether none of the runs is being written."""
    return all(info.state is not RunState.LIVE for info in infos)


def kinds_of(infos: Sequence[RunInfo]) -> list[str]:
    """The kinds that occur, in the order of `Kind`."""
    there = {kind_named(info) for info in infos}
    return [name for name in (*map(str, Kind), OTHER) if name in there]
