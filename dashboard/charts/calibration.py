"""Reliability diagram of the most probable class, and accuracy by share answered."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, GREY, ORANGE

HEIGHT = 330
X, Y = "confidence (mean of the bin)", "share correct"


def reliability(bins: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Share right over mean confidence of `frames.calibration.reliability`, with intervals and counts; on the
    dashed diagonal probabilities are true."""
    start = _floor(min(bins["low"].min(), bins["confidence"].min()))
    scale: Any = alt.Scale(domain=[start, 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    x = alt.X("confidence:Q", title=X, scale=scale, axis=axis)
    y = alt.Y("right:Q", title=Y, scale=scale, axis=axis)
    ends = pd.DataFrame({"confidence": [start, 1.0], "right": [start, 1.0]})
    base = alt.Chart(bins)
    told = [
        alt.Tooltip("confidence:Q", title="mean confidence", format=".1%"),
        alt.Tooltip("right:Q", title=Y, format=".1%"),
        *tooltip_ends(".1%"),
        alt.Tooltip("n:Q", title="n (rows)", format=",d"),
    ]
    return alt.layer(
        alt.Chart(ends).mark_line(strokeDash=[3, 3], color=GREY, strokeWidth=1, aria=False).encode(x=x, y=y),
        base.mark_rule(color=BLUE, strokeWidth=2, opacity=0.55).encode(
            x=x, y=alt.Y("low:Q", title=Y), y2="high:Q"
        ),
        base.mark_point(color=BLUE, filled=True, size=70, opacity=1).encode(x=x, y=y, tooltip=told),
        base.mark_text(color=GREY, dx=7, dy=10, align="left", fontSize=10).encode(x=x, y=y, text="n:Q"),
    ).properties(height=HEIGHT)


def answered(curve: pd.DataFrame, point: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Accuracy over share answered of `frames.calibration.answered`, its band, and one ``point`` of it."""
    enough = curve["n"] >= min(10, curve["n"].max())  # of fewer rows the band says nothing
    scale: Any = alt.Scale(domain=[_floor(curve.loc[enough, "low"].min()), 1], nice=False)
    axis = alt.Axis(format=".0%", tickCount=6)
    x = alt.X("share:Q", title="share answered, the most confident first", axis=axis)
    y = alt.Y("accuracy:Q", title="accuracy", scale=scale, axis=axis)
    told = [
        alt.Tooltip("share:Q", title="share answered", format=".0%"),
        alt.Tooltip("accuracy:Q", format=".1%"),
        *tooltip_ends(".1%"),
        alt.Tooltip("n:Q", title="n (rows)", format=",d"),
    ]
    base = alt.Chart(curve)
    return alt.layer(
        base.mark_area(color=BLUE, opacity=0.2, clip=True, aria=False).encode(
            x=x, y=alt.Y("low:Q", title="accuracy", scale=scale), y2="high:Q"
        ),
        base.mark_line(color=BLUE, strokeWidth=2, clip=True).encode(x=x, y=y),
        base.mark_point(filled=True, opacity=0, size=80, aria=False).encode(x=x, y=y, tooltip=told),
        alt.Chart(point)
        .mark_point(color=ORANGE, filled=True, size=100, opacity=1)
        .encode(x=x, y=y, tooltip=told),
    ).properties(height=HEIGHT)


def _floor(value: float) -> float:
    """Return the tenth below, and never more than 0.9: where an axis of shares begins."""
    return min(math.floor(10 * value) / 10, 0.9)
