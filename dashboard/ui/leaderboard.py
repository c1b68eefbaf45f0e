"""The table of the best configurations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import trials as trial_frames
from dashboard.runs import foreign
from dashboard.ui import layout
from trainer.stats.objective import OBJECTIVES, Objective
from trainer.tracking.schema import PARAM_PREFIX, Trials, TrialState


def show(trials: pd.DataFrame, count: int, objective: Objective) -> None:
    """Show the leaderboard: scores with intervals, and the hyperparameters that were searched."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader("Leaderboard", width="content")
        st.space("stretch")
        everything = st.toggle("All hyperparameters", key="all_params", bind="query-params")
    best = trial_frames.top(trials, count, objective)
    names = trial_frames.parameters(trials, varying=not everything)
    shown = best[[Trials.TRIAL, objective.column]].assign(
        ci95=[
            "deterministic" if fixed else text.span(ends) or "one seed"
            for *ends, fixed in zip(best["low"], best["high"], best["deterministic"], strict=True)
        ]
    )
    others = [one.column for one in objective.family if one is not objective and one.column in best]
    shown = shown.join(best[[*others, *names, Trials.BEST_EPOCH, Trials.PARAMETERS]])
    st.dataframe(shown, hide_index=True, column_config=_columns(shown), height="content", placeholder="–")
    complete = int((trials[Trials.STATE] == TrialState.COMPLETE).sum())
    layout.sentence(
        f"Top {len(best)} of {complete} by validation {objective.title}, 95 % intervals over "
        f"{trial_frames.interval_over(trials)}. If intervals overlap, the order may be chance."
    )


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    fixed: dict[str, Any] = {
        Trials.TRIAL: st.column_config.NumberColumn("trial", width="small"),
        **{
            one.column: st.column_config.NumberColumn(
                f"val {one.title}", format="%.4g" if one.in_units else "%.3f"
            )
            for one in OBJECTIVES.values()
        },
        "ci95": st.column_config.TextColumn("95 % interval"),
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
    """Show the runs of another program, with whatever they logged."""
    st.subheader("Runs" if len(trials) > 1 else "Parameters and last metrics")
    if len(trials) > 1:
        st.dataframe(trials, hide_index=True, column_config=_columns(trials), placeholder="–")
    else:
        kinds = {PARAM_PREFIX: "parameter", foreign.METRIC_PREFIX: "last metric"}
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
    layout.sentence(f"{text.count(len(trials), 'run')}: the run itself, or its child runs.")
