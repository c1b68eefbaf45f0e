"""What an encoder's accuracy costs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, GREEN, GREY

SAYS = ["recommended", "best on validation", "other"]


def bargain(frame: pd.DataFrame, *, title: str, device: str) -> alt.LayerChart | alt.FacetChart:
    """Score over images per second, on a logarithmic axis: a dot with its interval for each encoder.

    Args:
        frame: ``name, value, low, high, images_per_s, says`` (one of `SAYS`), ``parameters, dimension,
            memory``.
    """
    x = alt.X(
        "images_per_s:Q",
        title=f"images per second ({device})",
        scale=alt.Scale(type="log", padding=30),
        axis=alt.Axis(format="~s", tickCount=6),
    )
    colour = alt.Color(
        "says:N",
        title=None,
        scale=alt.Scale(domain=SAYS, range=[GREEN, BLUE, GREY]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(frame).encode(
        x=x,
        color=colour,
        tooltip=[
            alt.Tooltip("name:N", title="encoder"),
            alt.Tooltip("value:Q", title=title, format=".3f"),
            *tooltip_ends(".3f"),
            alt.Tooltip("images_per_s:Q", title="images per second", format=",.1f"),
            alt.Tooltip("memory:N", title="peak memory"),
            alt.Tooltip("parameters:Q", title="weights", format=".3s"),
            alt.Tooltip("dimension:Q", title="dimension"),
        ],
    )
    scale = alt.Scale(zero=False, padding=16)
    lines = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q")
    dots = base.mark_point(size=110, filled=True, opacity=1).encode(
        y=alt.Y("value:Q", title=title, axis=alt.Axis(format=".3~r", tickCount=7))
    )
    words = base.mark_text(align="left", dx=9, dy=-7, fontSize=12).encode(y="value:Q", text="name:N")
    return alt.layer(lines, dots, words).properties(height=380)
