"""The table of the best configurations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import trials as trial_frames
from dashboard.runs import foreign
from dashboard.ui import layout
from trainer.tracking.schema import PARAM_PREFIX, Trials, TrialState


def show(trials: pd.DataFrame, count: int) -> None:
    """The leaderboard: scores with intervals, and the hyperparameters that were searched."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Leaderboard", width="content")
        st.space("stretch")
        everything = st.toggle("All hyperparameters", key="all_params", bind="query-params")
    best = trial_frames.top(trials, count)
    names = trial_frames.parameters(trials, varying=not everything)
    shown = best[[Trials.TRIAL, Trials.VAL_F1_MACRO]].assign(
        ci95=[
            text.span(ends) or "one seed"
            for ends in zip(best[Trials.VAL_F1_MACRO_LOW], best[Trials.VAL_F1_MACRO_HIGH], strict=True)
        ]
    )
    shown = shown.join(best[[Trials.VAL_ACCURACY, *names, Trials.BEST_EPOCH, Trials.PARAMETERS]])
    st.dataframe(shown, hide_index=True, column_config=_columns(shown), height="content", placeholder="–")
    states = f"{len(best)} best of {int((trials[Trials.STATE] == TrialState.COMPLETE).sum())} complete trials"
    layout.sentence(
        f"The {states} by validation macro-F1, each a mean over seeds with a 95 % interval over "
        f"{trial_frames.interval_over(trials)}. Overlapping intervals: the order may be chance."
    )


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    fixed: dict[str, Any] = {
        Trials.TRIAL: st.column_config.NumberColumn("trial", width="small"),
        Trials.VAL_F1_MACRO: st.column_config.NumberColumn("val macro-F1", format="%.3f"),
        "ci95": st.column_config.TextColumn("95 % interval"),
        Trials.VAL_ACCURACY: st.column_config.NumberColumn("val accuracy", format="%.3f"),
        Trials.BEST_EPOCH: st.column_config.NumberColumn("best epoch", format="%.1f"),
        Trials.PARAMETERS: st.column_config.NumberColumn("weights", format="localized"),
    }
    for name in frame.columns:
        if name.startswith((PARAM_PREFIX, foreign.METRIC_PREFIX)):
            label = text.clean(name.partition(".")[2])
            fixed[name] = _number_or_text(frame[name], label)
    return fixed


def _number_or_text(values: pd.Series, label: str) -> Any:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return st.column_config.TextColumn(label)
    whole = bool((values.dropna() % 1 == 0).all())
    return st.column_config.NumberColumn(label, format="%d" if whole else "%.3g")


def show_foreign(trials: pd.DataFrame) -> None:
    """The runs of another program, with whatever they logged."""
    st.subheader("Runs" if len(trials) > 1 else "Parameters and last metrics")
    if len(trials) > 1:
        st.dataframe(trials, hide_index=True, column_config=_columns(trials), placeholder="–")
    else:
        kinds = {PARAM_PREFIX: "parameter", foreign.METRIC_PREFIX: "metric, last value"}
        rows = [
            {
                "kind": kind,
                "name": text.clean(name.removeprefix(prefix)),
                "value": text.value(trials[name].iloc[0]),
            }
            for prefix, kind in kinds.items()
            for name in trials.columns
            if name.startswith(prefix)
        ]
        st.dataframe(pd.DataFrame(rows, columns=["kind", "name", "value"]), hide_index=True)
    layout.sentence(f"{text.count(len(trials), 'run')}: the run itself, or its children where it has any.")
