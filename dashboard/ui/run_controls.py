"""Start, stop and resume runs: the buttons, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from dashboard import text
from dashboard.runs import launcher
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.launcher import Job
from dashboard.runs.run_info import RunInfo
from dashboard.runs.sweep_command import in_this_store
from dashboard.ui import state
from dashboard.ui.pages import COMPARE, HOME, START
from dashboard.ui.run_permission import why_not
from trainer.core.errors import InputError
from trainer.core.locations import folder_beside_store
from trainer.tracking.schema import RunState

SAID = "said-of-jobs"  # session: why the last click came to nothing
CLICKED = "clicked-on-a-job"  # session: something was started, and the page has not been drawn since
REFRESH_S = 2  # how often a running job is looked at
LINES = 6  # of its log


def home() -> Path:
    """Where jobs are kept."""
    return folder_beside_store() / launcher.FOLDER


def running() -> Job | None:
    """The job that runs, if any."""
    return next((one for one in launcher.jobs(home()) if one.running), None)


def works_on(info: RunInfo) -> bool:
    """Whether a job that was started from a page works on this run."""
    return bool(info.ours and info.study) and not why_not() and _job_of(info) is not None


def was_started(study: str) -> bool:
    """Whether a page has started this study."""
    return any(one.study == study for one in launcher.jobs(home()))


def start_button(
    label: str, words: Sequence[str], *, study: str, key: str, baseline: str = "", main: bool = True
) -> None:
    """A button that starts a command; disabled while another runs. Show it only where `why_not` is "".

    A second click on it does nothing: both have the ticket that was drawn when the button was shown.

    Args:
        key: unique on the page.
        baseline: id of the run that the result is to be compared with.
        main: whether it is what the page is for.
    """
    name = launcher.ticket(home(), study)
    busy = running()
    st.button(
        label,
        key=f"start-{name}-{key}",
        icon=":material/play_arrow:",
        type="primary" if main else "secondary",
        disabled=busy is not None,
        help=None if busy is None else "One run at a time.",
        on_click=_start,
        args=(list(words), study, name, baseline),
    )
    said()


def said() -> None:
    """Say why the last click came to nothing, once."""
    if problem := st.session_state.pop(SAID, ""):
        st.error(text.plain(problem, longest=600), icon=":material/error:")


def of_run(info: RunInfo) -> None:
    """Stop a run that a page started, or resume one that was interrupted; nothing where neither applies."""
    if not info.ours or not info.study or why_not():
        return
    redraw()
    job = _job_of(info)
    if job is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            stop_button(job)
            link_to_running()
    elif info.state == RunState.INTERRUPTED:
        resume_button(info)


def redraw() -> None:
    """After a click, draw the whole page: in a fragment, the rest of it would not notice."""
    if st.session_state.pop(CLICKED, False):
        st.rerun()


def resume_button(info: RunInfo) -> None:
    """Resume an interrupted run by its recorded command."""
    try:
        words = in_this_store(launcher.words_of(state.command(info)))
    except InputError as problem:
        st.caption(text.plain(problem, longest=400))
        return
    start_button("Resume", words, study=info.study, key=info.run_id, main=False)


def stop_button(job: Job) -> None:
    """Stop a job as Ctrl-C does."""
    st.button(
        "Stop",
        key=f"stop-{job.folder.name}",
        icon=":material/stop:",
        on_click=_stop,
        args=(job.folder,),
        help="Finished trials are saved; Resume goes on from there.",
    )


def latest() -> Job | None:
    """The job that was started last: how far it is, what it says, and where its result is shown."""
    found = next(iter(launcher.jobs(home())), None)
    if found is not None:
        st.fragment(_job, run_every=REFRESH_S if found.running else None)(found)
    return found


def link_to_running() -> None:
    """Lead to the page where the running job is followed; nothing where none runs."""
    if job := running():
        label = f"{_verdict(job)} {text.plain(job.study, longest=80)}"
        st.page_link(START.file, label=label, icon=START.shortcode)


def _job(before: Job) -> None:
    redraw()
    job = launcher.read(before.folder)
    if job is None:
        return
    if job.running != before.running:
        state.forget_lists()
        st.rerun()  # Start and Resume wait for that
    info = _run_of(job)
    with st.container(border=True):
        st.markdown(f"**{_verdict(job)}** {text.plain(job.study, longest=80)}")
        if job.running:
            _progress(info)
        if lines := launcher.last_lines(job, LINES):
            st.code(lines, language=None, wrap_lines=True)
        with st.container(horizontal=True, vertical_alignment="center"):
            if job.running:
                stop_button(job)
            _links(job, info)
            if not job.running and info is not None and info.state == RunState.INTERRUPTED:
                resume_button(info)
        st.caption(f"Started {text.ago(_moment(job))}. Log: {text.plain(job.folder, longest=200)}")


def _progress(info: RunInfo | None) -> None:
    """Trials that have ended, the pace and the time left, once the run is on record."""
    figures = info.figures if info is not None and info.state == RunState.LIVE else None
    if info is None or figures is None or not figures.total or figures.ended is None:
        return
    pace, left_s = figures.per_s, figures.left_s
    left = f" · {text.rate(pace)}, {text.left(left_s)}" if pace and left_s else ""
    done = f"{figures.ended:,} of {figures.total:,} trials done{left}"
    st.progress(min(figures.ended / figures.total, 1.0), text=done)


def _links(job: Job, info: RunInfo | None) -> None:
    if info is None:
        return
    asked = {state.RUN: info.run_id}
    st.page_link(HOME.file, label="Open the run", icon=HOME.shortcode, query_params=asked)
    if job.baseline and info.state == RunState.DONE:
        asked = {"runs": f"{info.run_id},{job.baseline}", "base": job.baseline}
        label = "Did the corrections help?"
        st.page_link(COMPARE.file, label=label, icon=COMPARE.shortcode, query_params=asked)


def _verdict(job: Job) -> str:
    if job.running:
        return "Stopping; finished trials are being saved:" if job.stopping else "Running:"
    if job.code is None:
        return "Ended (exit code unknown, the dashboard was not there):"
    if job.code == 0:
        return "Finished:"
    return "Stopped; finished trials are saved:" if job.stopped else f"Failed (exit code {job.code}):"


def _moment(job: Job) -> datetime:
    return datetime.fromtimestamp(job.started, UTC)


def _job_of(info: RunInfo) -> Job | None:
    job = running()
    return job if job is not None and job.study == info.study else None


def _run_of(job: Job) -> RunInfo | None:
    """The newest run of the job's study."""
    try:
        return next((info for info in state.every_run() if info.ours and info.study == job.study), None)
    except StoreProblem:
        return None


def _start(words: list[str], study: str, name: str, baseline: str) -> None:
    """Start a command, if that is still allowed."""
    try:
        if refusal := why_not():
            raise InputError(refusal)
        launcher.start(home(), words, study=study, name=name, baseline=baseline)
        st.session_state[CLICKED] = True
    except (InputError, OSError) as problem:
        st.session_state[SAID] = str(problem)
    state.forget_lists()


def _stop(folder: Path) -> None:
    job = None if why_not() else launcher.read(folder)
    if job is not None:
        launcher.stop(job)
