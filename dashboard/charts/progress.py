"""How a sweep went: its scores in time, and its best trials with their intervals."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREY, ORANGE, RED
from trainer.tracking.schema import TrialState

STATES = {
    TrialState.COMPLETE: BLUE,
    TrialState.PRUNED: GREY,
    TrialState.FAILED: RED,
    TrialState.RUNNING: ORANGE,
}


def best_so_far(frame: pd.DataFrame, *, height: int = 300) -> alt.LayerChart:
    """`frames.best_so_far`: a dot per trial, a step line for the best complete one so far."""
    states = [state for state in STATES if state in set(frame["state"])]
    x = alt.X(
        "done:Q",
        title="trials done",
        axis=alt.Axis(tickMinStep=1, format=",d", grid=False),
        scale=alt.Scale(domain=[0, len(frame) + 1], nice=False),
    )
    y_scale = alt.Scale(zero=False, nice=True, padding=8)
    base = alt.Chart(frame)
    dots = base.mark_circle(size=42, opacity=0.75).encode(
        x=x,
        y=alt.Y("score:Q", title="validation macro-F1", scale=y_scale),
        color=alt.Color(
            "state:N",
            title=None,
            scale=alt.Scale(domain=[str(s) for s in states], range=[STATES[s] for s in states]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[
            alt.Tooltip("trial:Q", title="trial", format="d"),
            alt.Tooltip("score:Q", title="macro-F1", format=".3f"),
            alt.Tooltip("best:Q", title="best so far", format=".3f"),
            alt.Tooltip("state:N", title="state"),
        ],
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2, color=ORANGE).encode(x=x, y="best:Q")
    return (line + dots).properties(height=height)


def intervals(best: pd.DataFrame, *, height: int = 300) -> alt.LayerChart:
    """`frames.top`: a dot and its 95 % interval per trial, best on top."""
    frame = best.assign(name=best["trial"].astype(str))
    y = alt.Y(
        "name:N", sort=list(frame["name"]), title="trial", axis=alt.Axis(labelOverlap=False, labelFlush=False)
    )
    low, high = frame["val_f1_macro"].min(), frame["val_f1_macro"].max()
    reach = (frame["val_f1_macro_high"] - frame["val_f1_macro_low"]).median() / 2
    # room for the usual interval; a much wider one is cut, not the dots squeezed
    margin = max(0.25 * (high - low), 0 if pd.isna(reach) else 1.2 * reach) or 0.01
    scale = alt.Scale(domain=[max(low - margin, 0), min(high + margin, 1)], nice=False)
    x = alt.X("val_f1_macro:Q", title="validation macro-F1", scale=scale)
    base = alt.Chart(frame).encode(
        y=y,
        tooltip=[
            alt.Tooltip("trial:Q", format="d"),
            alt.Tooltip("val_f1_macro:Q", title="macro-F1", format=".3f"),
            alt.Tooltip("val_f1_macro_low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("val_f1_macro_high:Q", title="95 % to", format=".3f"),
            alt.Tooltip("seeds:Q", title="n (seeds)", format="d"),
        ],
    )
    ends = base.transform_filter("isValid(datum.val_f1_macro_low)")
    lines = ends.mark_rule(strokeWidth=2, color=BLUE, opacity=0.55, clip=True).encode(
        x=alt.X("val_f1_macro_low:Q", title="validation macro-F1", scale=scale), x2="val_f1_macro_high:Q"
    )
    dots = base.mark_circle(size=55, color=BLUE, opacity=1).encode(x=x)
    return (lines + dots).properties(height=height)
