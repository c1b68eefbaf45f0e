"""The run that all pages are about: picked here, summed up here."""

from __future__ import annotations

import streamlit as st

from dashboard import text
from dashboard.runs.artifacts import StoreProblem
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout, state
from trainer.stats.objective import F1
from trainer.tracking.schema import RunState


def show() -> None:
    """Show picker and card; nothing where there is no run (the page says why)."""
    try:
        infos = state.sweeps()
    except StoreProblem:
        return
    if not infos:
        return
    info = state.chosen(infos)
    with st.sidebar:
        _pick(infos, info)
        live = info.state == RunState.LIVE
        st.fragment(_card, run_every=state.REFRESH_S if live else None)(info)


def _pick(infos: list[RunInfo], info: RunInfo) -> None:
    names = {found.run_id: layout.run_label(found) for found in infos}
    key = f"picker-{info.run_id}"  # a new widget whenever the run was chosen elsewhere
    st.selectbox(
        "Run",
        list(names),
        index=list(names).index(info.run_id),
        format_func=names.__getitem__,
        key=key,
        on_change=lambda: state.choose(st.session_state[key]),
    )


def _card(info: RunInfo) -> None:
    info = next((found for found in state.sweeps() if found.run_id == info.run_id), info)
    score, test = ("F1" if one is F1 else one.title for one in (info.objective, info.objective.leading))
    facts = {
        f"test {test}": text.interval(info.figures.test, info.figures.test_ci95) if info.ours else "",
        f"val {score}": text.over_seeds(info.figures.best_val, info.figures.best_val_ci95)
        if info.ours
        else "",
        "trials": info.trials_done,
        "time left": layout.time_left(info),
        "data": info.data,
        "encoder": info.encoder,
        "started": text.ago(info.started),
        "took": text.duration(info.duration_s),
    }
    # One element: one for every name and every value would take each page a tenth of a second.
    lines = [
        f":gray[{name}]\u2002{text.plain(value)}" for name, value in facts.items() if value not in ("", "–")
    ]
    with st.container(border=True, gap="xsmall"):
        layout.badge(info)
        st.markdown("  \n".join(lines))
