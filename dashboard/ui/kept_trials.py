"""The trials that a reader has brushed: kept in the address, and from page to page of a run."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import trial_filter as frames
from dashboard.frames.trial_filter import Filter
from dashboard.runs.run_info import RunInfo
from trainer.tracking.schema import PARAM_PREFIX

KEEP = "keep"  # parameter of the address
KEPT = "kept-trials-{}"  # session: the same, of a run


def asked(info: RunInfo) -> Filter:
    """Return what the address asks for, else what was brushed on another page of the run."""
    key = KEPT.format(info.run_id)
    words: str | None = st.query_params.get(KEEP)
    before: str | None = st.session_state.get(key)
    if words is None and before:
        words = st.query_params[KEEP] = before
    st.session_state[key] = words
    return frames.read(words) if words else {}


def ask(info: RunInfo, kept: Filter) -> None:
    """Put a filter into the address; an empty one removes it."""
    words = frames.written(kept) if kept else None
    st.session_state[KEPT.format(info.run_id)] = words
    if words:
        st.query_params[KEEP] = words
    else:
        st.query_params.pop(KEEP, None)


def apply(info: RunInfo, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that match what is asked for, and show each part of it as a button that removes it.
    Nothing is shown where nothing is asked for."""
    kept = asked(info)
    if not kept:
        return trials
    found = trials[frames.matching(trials, kept)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{len(found):,} of {text.count(len(trials), 'trial')}**", width="content")
        for column, one in kept.items():
            title = text.plain(column.removeprefix(PARAM_PREFIX), longest=40)
            st.button(
                f"{title}: {text.plain(one.said(), longest=60)}",
                key=f"keep-{column}",
                icon=":material/filter_alt_off:",
                help="Remove this filter",
                on_click=ask,
                args=(info, {name: other for name, other in kept.items() if name != column}),
            )
    return found
