"""A form for a sweep: the command to copy, and on a local server that allows it, Start, Stop and Resume."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import streamlit as st

from dashboard import text
from dashboard.runs import sweep_command
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.runs.sweep_command import DEFAULT, DEMO, OBJECTIVES, VALIDATIONS, SweepForm
from dashboard.ui import layout, run_controls, state
from dashboard.ui.pages import START as PAGE
from dashboard.ui.run_permission import why_not
from trainer.core.config import new_study_name
from trainer.tracking.schema import RunState

STUDY = "study-to-start"  # session: data, and the name of the study that its sweep will have
KNOWN = 20  # data and encoders that are offered
RESUMABLE = 5  # interrupted runs that are listed


def main() -> None:
    st.header(PAGE.title)
    try:
        show(state.every_run())
    except StoreProblem as problem:
        layout.trouble(problem)


def show(infos: list[RunInfo]) -> None:
    refusal = why_not()
    latest = None if refusal else run_controls.latest()
    form = filled_in(infos)
    wrong = sweep_command.refused(form)
    if wrong:
        st.caption("The command appears when the form is complete.")
    else:
        study = study_of(form.data)
        words = sweep_command.words(form, study)
        st.code(shlex.join(words), language=None, wrap_lines=True)
        if refusal:
            layout.sentence(f"Copy the command into a terminal. {refusal}")
        else:
            run_controls.start_button("Start", words, study=study, key="form")
    if not refusal:
        interrupted([one for one in infos if latest is None or one.study != latest.study])


def filled_in(infos: list[RunInfo]) -> SweepForm:
    """The form, all of it in the address; what is wrong with a field stands below it."""
    left, right = st.columns(2)
    with left:
        data = chosen("data", "Data", [DEMO, *(one.data for one in infos)])
        complain("data", SweepForm(data=data))
    with right:
        known = [one for one in map(encoder_of, infos) if not sweep_command.refused(SweepForm(encoder=one))]
        encoder = chosen("encoder", "Encoder", [DEFAULT, DEMO, *known])
        complain("encoder", SweepForm(encoder=encoder))
    trials_at, seeds_at, objective_at, validation_at = st.columns(4)
    with trials_at:
        trials = st.number_input("Trials", value=64, step=1, key="trials", bind="query-params")
        complain("trials", SweepForm(trials=trials))
    with seeds_at:
        seeds = st.number_input("Seeds", value=3, step=1, key="seeds", bind="query-params")
        complain("seeds", SweepForm(seeds=seeds))
    objective = objective_at.selectbox("Objective", OBJECTIVES, key="objective", bind="query-params")
    validate = validation_at.selectbox("Validation", VALIDATIONS, key="validate", bind="query-params")
    return SweepForm(data, encoder, trials, seeds, objective or DEFAULT, validate or VALIDATIONS[0])


def chosen(name: str, label: str, known: Iterable[str]) -> str:
    """A field for one of the known texts, or another; kept in the address."""
    if name not in st.session_state and name in st.query_params:
        st.session_state[name] = st.query_params[name]
    options = [one for one in dict.fromkeys(known) if one][:KNOWN]
    if st.session_state.get(name) not in (None, *options):
        options.append(st.session_state[name])
    picked = st.selectbox(
        label,
        options,
        format_func=lambda one: text.clean(one, longest=200),
        key=name,
        accept_new_options=True,
        help="Choose, or type another one and press Enter.",
    )
    if picked and picked != options[0]:
        st.query_params[name] = picked
    else:
        st.query_params.pop(name, None)
    return picked or ""


def encoder_of(info: RunInfo) -> str:
    """What --encoder was, of `Tag.ENCODER`, which says more; of ready features, words that are no encoder."""
    return info.encoder.partition(" (")[0]


def complain(field: str, form: SweepForm) -> None:
    """Say what is wrong with a field."""
    if sentence := sweep_command.refused(form).get(field):
        st.error(text.plain(sentence, longest=400))


def study_of(data: str) -> str:
    """The name of the study that the form would start: a new one for other data, and once it was started."""
    before, study = st.session_state.get(STUDY, ("", ""))
    if before != data or run_controls.was_started(study):
        study = new_study_name(data)
        st.session_state[STUDY] = (data, study)
    return study


def interrupted(infos: list[RunInfo]) -> None:
    """Runs that can go on, newest first."""
    found = [one for one in infos if one.ours and one.study and one.state == RunState.INTERRUPTED]
    if not found:
        return
    st.subheader("Interrupted")
    for info in found[:RESUMABLE]:
        with st.container(border=True):
            st.text(f"{layout.run_label(info)} {info.trials_done}")
            st.code(state.command(info), language=None, wrap_lines=True)
            run_controls.of_run(info)
    if len(found) > RESUMABLE:
        layout.sentence(f"The newest {RESUMABLE} of {len(found):,}.")


main()
