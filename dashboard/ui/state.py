"""What lasts between reruns: caches, the chosen run, and how both follow the URL."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from safetensors.numpy import load

from dashboard.runs import artifacts
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo, flags_in, on_same_rows
from dashboard.runs.store import Store
from trainer.core.errors import InputError
from trainer.core.locations import default_tracking_uri
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import Artifact, Kind, RunState, Tag

Made = TypeVar("Made")
READ_ONLY = "HEADROOM_READ_ONLY"
RUN = "run"  # query parameter and session key: id of the chosen run
REPORT = "report"  # the same for the run that the page "Data quality" shows
ABLATION = "ablation"  # the same for the page "Filter ablations"
VERIFICATION = "verification"  # the same for the page "Verification"
ZERO_SHOT = "zero_shot"  # and so on
FUSION = "fusion"
ENCODERS = "encoders"
OPENED, AHEAD = "opened", "ahead"  # session: the page that is open, and see `waits_for_chart`
FIRST = "chosen_at_first"  # session: what the first page of a session has chosen, see `choose`
# Of what comes together a browser shows nothing before all of it is drawn. So the first chart of a page goes
# ahead of the rest by so many seconds: on the page that opens a session, for whose chart the browser fetches
# code first, by more.
AHEAD_S, FIRST_AHEAD_S = 0.3, 0.8
REFRESH_S = 5  # how often a page of a live sweep redraws itself
LIST_TTL_S = 3


@st.cache_resource(show_spinner=False)
def _store(tracking_uri: str) -> Store:
    return Store(tracking_uri)


@st.cache_data(ttl=LIST_TTL_S, show_spinner=False)
def _sweeps(tracking_uri: str) -> list[RunInfo]:
    return _store(tracking_uri).sweeps()


@st.cache_data(ttl=LIST_TTL_S, show_spinner=False)
def _of_kind(tracking_uri: str, kind: Kind) -> list[RunInfo]:
    return _store(tracking_uri).of_kind(kind)


@st.cache_data(ttl=LIST_TTL_S, show_spinner=False)
def _every(tracking_uri: str, archived: bool) -> list[RunInfo]:
    return _store(tracking_uri).every(archived=archived)


@st.cache_data(max_entries=64, show_spinner="Reading the run …")
def _table(tracking_uri: str, run_id: str, artifact: str, version: Hashable) -> pd.DataFrame | None:
    """``version`` is only there to be part of the cache's key."""
    return _store(tracking_uri).table(run_id, artifact)


@st.cache_data(max_entries=64, show_spinner="Reading the run …")
def _summary(tracking_uri: str, run_id: str, version: Hashable) -> dict[str, Any] | None:
    return _store(tracking_uri).summary(run_id)


@st.cache_resource(max_entries=16, show_spinner=False)
def _file(tracking_uri: str, run_id: str, artifact: str, version: Hashable) -> bytes | None:
    return _store(tracking_uri).file(run_id, artifact)


@st.cache_resource(max_entries=512, show_spinner=False)
def _kept(key: Hashable, _make: Callable[[], Any]) -> Any:
    return _make()


def kept(key: Hashable, make: Callable[[], Made]) -> Made:
    """What ``make`` returns, made once for every ``key`` and theme and shared by all readers, who must not
    change it. The key names the thing, the run, the versions of its tables and every choice in it."""
    return _kept((key, is_dark()), make)


def sweeps() -> list[RunInfo]:
    """All sweeps, what is like them, and runs of other programs, newest first. Raises `StoreProblem`."""
    return _sweeps(default_tracking_uri())


def of_kind(kind: Kind) -> list[RunInfo]:
    """All runs of another kind than sweeps, newest first. Raises `StoreProblem`."""
    return _of_kind(default_tracking_uri(), kind)


def every_run(*, archived: bool = False) -> list[RunInfo]:
    """All runs of all kinds that are nobody's child, or those that were archived, newest first. Raises
    `StoreProblem`."""
    return _every(default_tracking_uri(), archived)


def store() -> Store:
    """The store that all pages read, to write to it."""
    return _store(default_tracking_uri())


def forget_lists() -> None:
    """Read the lists of runs anew, because somebody has just changed one."""
    for listed in (_sweeps, _of_kind, _every):
        listed.clear()


def read_only() -> bool:
    """Whether pages may write neither to the store nor beside it."""
    return os.environ.get(READ_ONLY, "") not in ("", "0")


def ablations() -> list[RunInfo]:
    """All ablations, newest first. Raises `StoreProblem`."""
    return of_kind(Kind.ABLATION)


def verifications() -> list[RunInfo]:
    """All verifications, newest first. Raises `StoreProblem`."""
    return of_kind(Kind.VERIFICATION)


def extractions() -> list[RunInfo]:
    """All extractions, newest first. Raises `StoreProblem`."""
    return of_kind(Kind.EXTRACTION)


def reports() -> list[RunInfo]:
    """What says something of the data: extractions, then sweeps that quarantined files, each newest first.

    Of sweeps only those whose files are on this machine: to ask a server for each would take too long.
    Raises `StoreProblem`.
    """
    quarantined = [info for info in sweeps() if artifacts.version(info.artifact_uri, Artifact.QUARANTINE)]
    return extractions() + quarantined


def table(info: RunInfo, artifact: str) -> pd.DataFrame | None:
    """One table of a run, of `Artifact`; cached until the file behind it changes. Raises `StoreProblem`."""
    return _table(default_tracking_uri(), info.run_id, artifact, version(info, artifact))


def summary(info: RunInfo) -> dict[str, Any]:
    """The figures of a finished run; empty before. Raises `StoreProblem`."""
    return _summary(default_tracking_uri(), info.run_id, version(info, Artifact.SUMMARY)) or {}


def file(info: RunInfo, artifact: str) -> bytes | None:
    """What a run keeps that is no table. Shared by all readers. Raises `StoreProblem`."""
    return _file(default_tracking_uri(), info.run_id, artifact, version(info, artifact))


def command(info: RunInfo) -> str:
    """The shell command that repeats a run, or resumes it. Raises `StoreProblem`."""
    if info.command != Artifact.of_tag(Tag.COMMAND):
        return info.command
    stored = file(info, info.command)
    return "" if stored is None else stored.decode()


def flags(info: RunInfo) -> dict[str, Any]:
    """The flags of a run's command, as far as they are on record. Raises `StoreProblem`."""
    return flags_in(file(info, Artifact.CONFIG))


class Measured(NamedTuple):
    """Measures of the newest extraction and ablation of the same rows."""

    images: pd.DataFrame | None
    scores: pd.DataFrame | None
    version: Hashable


def measured(info: RunInfo) -> Measured:
    """What other runs have measured of a run's rows. Raises `StoreProblem`."""
    tables: list[pd.DataFrame | None] = []
    versions = []
    for runs, part in ((extractions(), Artifact.IMAGES), (ablations(), Artifact.SCORES)):
        same = on_same_rows(runs, info)
        found = next((run for run in same if table(run, part) is not None), None)
        tables.append(None if found is None else table(found, part))
        versions.append(None if found is None else (found.run_id, version(found, part)))
    return Measured(tables[0], tables[1], tuple(versions))


def duplicates(info: RunInfo) -> tuple[pd.DataFrame | None, Hashable]:
    """DUPLICATES of the newest extraction of a run's rows, and its version. Raises `StoreProblem`."""
    for run in on_same_rows(extractions(), info):
        found = table(run, Artifact.DUPLICATES)
        if found is not None:
            return found, (run.run_id, version(run, Artifact.DUPLICATES))
    return None, None


def report(info: RunInfo) -> bytes:
    """The run as one HTML file; where that cannot be made, a file that says why."""
    from dashboard.reports.document import document, paragraph  # not for the first page to wait for
    from dashboard.reports.report import report as write_report

    try:
        page = write_report(_store(default_tracking_uri()), [info], now=datetime.now().astimezone())
    except (InputError, StoreProblem) as problem:
        page = document("Report", [paragraph(problem)])
    return page.encode()


def vectors(info: RunInfo) -> np.ndarray | None:
    """Features float32 [n, D] of the rows of SAMPLES, in their order, each of length 1; ``None`` where the
    sweep kept none. Raises `StoreProblem`."""

    def unit() -> np.ndarray | None:
        data = file(info, Artifact.VECTORS)
        if data is None:
            return None
        found_nd = load(data)["vectors"].astype(np.float32)
        return unit_rows(found_nd)

    return kept(("vectors", info.run_id, version(info, Artifact.VECTORS)), unit)


def version(info: RunInfo, artifact: str) -> Hashable:
    """Cache key: changes whenever a file of a run may have changed."""
    on_disk = artifacts.version(info.artifact_uri, artifact) if info.ours else None
    if on_disk:
        return on_disk
    beat = int(time.time() // REFRESH_S) if info.state == RunState.LIVE else None
    return info.state, info.ended_ms, beat


def opens(page: str) -> None:
    """Note which page is open, at the beginning of every run of it as a whole."""
    before = st.session_state.get(OPENED)
    if before != page:
        st.session_state[OPENED] = page
        st.session_state[AHEAD] = FIRST_AHEAD_S if before is None else AHEAD_S
    if before is None:
        st.session_state[FIRST] = {}


def opened() -> None:
    """Note that the page has been shown once, with a chart or without."""
    st.session_state.pop(AHEAD, None)
    for key, run_id in st.session_state.pop(FIRST, {}).items():
        choose(run_id, key=key)


def waits_for_chart() -> bool:
    """Whether the page has just been opened, and no chart of it been sent yet."""
    return AHEAD in st.session_state


def opens_untouched(*names: str) -> bool:
    """Whether the page has just been opened, and neither its address nor the reader has chosen anything by
    these names: then its controls will say what they say at first, and its chart need not wait for them."""
    return waits_for_chart() and not any(
        name in st.query_params or name in st.session_state for name in names
    )


def let_chart_go_ahead() -> None:
    """After a chart: where it is the first since the page was opened, wait until the browser has drawn it."""
    time.sleep(st.session_state.pop(AHEAD, 0))


def is_dark() -> bool:
    """Whether the reader's page has the dark theme."""
    return st.context.theme.type == "dark"


def chosen(infos: list[RunInfo], *, key: str = RUN) -> RunInfo:
    """Return the run that the URL asks for, else the one chosen before, else `first_choice`."""
    by_id = {info.run_id: info for info in infos}
    wanted = st.query_params.get(key) or st.session_state.get(key)
    if wanted in by_id:
        info = by_id[wanted]
    else:
        if wanted:
            st.toast("The run in the address is not in this store.", icon=":material/link_off:")
        info = first_choice(infos)
    choose(info.run_id, key=key)
    return info


def glimpsed() -> RunInfo | None:
    """Return the run that `chosen` will return, without putting it into the address; None without any, and
    where the store cannot be read."""
    try:
        infos = sweeps()
    except artifacts.StoreProblem:
        return None
    wanted = st.query_params.get(RUN) or st.session_state.get(RUN)
    found = next((info for info in infos if info.run_id == wanted), None)
    return found or (first_choice(infos) if infos else None)


def first_choice(infos: list[RunInfo]) -> RunInfo:
    """Return the newest live run of ours, else the newest that is done, else the newest of ours, else the
    newest."""
    wanted: list[Callable[[RunInfo], bool]] = [
        lambda info: info.ours and info.state == RunState.LIVE,
        lambda info: info.ours and info.state == RunState.DONE,
        lambda info: info.ours,
    ]
    return next((info for is_wanted in wanted for info in infos if is_wanted(info)), infos[0])


def choose(run_id: str, *, key: str = RUN) -> None:
    """Make a run the chosen one (on every page, or as the report), and put it into the address.

    The first page of a session does that at its end: by then the browser has `navigation.history`.
    """
    st.session_state[key] = run_id
    if FIRST in st.session_state:
        st.session_state[FIRST][key] = run_id
    elif st.query_params.get(key) != run_id:
        st.query_params[key] = run_id
