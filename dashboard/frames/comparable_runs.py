"""Which runs the page Compare takes, and why it does not take others that its address names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard import text
from dashboard.frames.comparison import OF_METHODS
from dashboard.runs.run_info import RunInfo, on_same_rows
from dashboard.runs.store import NEWEST
from trainer.tracking.schema import SWEEP_KINDS, RunState

MOST = 6  # runs at once
MOST_NAMED = 8  # runs that are not compared, each in a sentence
KINDS = (*SWEEP_KINDS, *OF_METHODS)
UNFINISHED = {
    RunState.LIVE: "is still running. Compare it when it is done.",
    RunState.INTERRUPTED: "was interrupted before its test results. Resume it first.",
    RunState.FAILED: "failed before its test results. Run it again.",
}


def is_comparable(info: RunInfo) -> bool:
    """Return whether a run is done and of a kind that predicts test rows."""
    return info.state is RunState.DONE and info.kind in KINDS


def not_compared(
    named: Sequence[str], infos: Mapping[str, RunInfo], archived: Mapping[str, RunInfo]
) -> list[str]:
    """Return a sentence, as Markdown, for each run that an address names in vain: which, why, what to do.

    Args:
        named: ids of runs.
        infos: every run of the store by id.
        archived: every archived, that is deleted, run by id.
    """
    ids = list(dict.fromkeys(named))
    fit = [one for one in ids if one in infos and is_comparable(infos[one])]
    said = [_reason(one, infos, archived) for one in ids if one not in fit]
    said += [f"{_called(infos[one])} is left out: at most {MOST} runs are compared." for one in fit[MOST:]]
    left = len(said) - MOST_NAMED
    more = [f"{text.count(left, 'more run')} of the address cannot be compared."] if left > 0 else []
    return said[:MOST_NAMED] + more


def on_other_data(picked: Sequence[RunInfo], base: RunInfo) -> list[str]:
    """Return a sentence, as Markdown, for each run whose rows or labels are not exactly those of the base."""
    same = on_same_rows(list(picked), base)
    return [
        f"{_called(one)} read {_differing(one, base)}. Only test rows of the same name can be paired."
        for one in picked
        if one not in same
    ]


def _differing(one: RunInfo, base: RunInfo) -> str:
    if one.data == base.data:
        return (
            f"other rows or labels of {_data(one)} than {_called(base)}, as with corrected labels or files "
            "that have changed"
        )
    return f"other data ({_data(one)}) than {_called(base)} ({_data(base)})"


def _reason(run_id: str, infos: Mapping[str, RunInfo], archived: Mapping[str, RunInfo]) -> str:
    if run_id in archived:
        return f"{_called(archived[run_id])} is archived. Restore it on the page Runs to compare it."
    info = infos.get(run_id)
    if info is None:
        run = text.plain(run_id, longest=40)
        return f"Run {run} is not among the newest {NEWEST} of this store. It may have been deleted."
    if info.kind is None:
        return f"{_called(info)} was logged by another program, without predictions to compare."
    if info.kind not in KINDS:
        return f"{_called(info)} is of the kind {info.kind}, which has no test predictions to compare."
    return f"{_called(info)} {UNFINISHED[info.state]}"


def _called(info: RunInfo) -> str:
    return f"**{text.plain(info.name, longest=60)}** ({text.plain(info.run_id[:6])})"


def _data(info: RunInfo) -> str:
    return text.plain(info.data, longest=60) or "unknown"
