"""How a sweep went: its scores in time."""

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


def best_so_far(frame: pd.DataFrame, *, title: str, height: int = 300) -> alt.LayerChart:
    """`frames.best_so_far`: a dot per trial, a step line for the best complete one so far.

    Args:
        title: of the score, such as macro-F1.
    """
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
        y=alt.Y("score:Q", title=f"validation {title}", scale=y_scale),
        color=alt.Color(
            "state:N",
            title=None,
            scale=alt.Scale(domain=[str(s) for s in states], range=[STATES[s] for s in states]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[
            alt.Tooltip("trial:Q", title="trial", format="d"),
            alt.Tooltip("score:Q", title=title, format=".3f"),
            alt.Tooltip("best:Q", title="best so far", format=".3f"),
            alt.Tooltip("state:N", title="state"),
        ],
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2, color=ORANGE).encode(x=x, y="best:Q")
    return (line + dots).properties(height=height)
