"""Predicted numbers against the true ones, and their errors."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE
from dashboard.charts.scatter import BOX, MARKED
from trainer.charts.numbers import PREDICTED, TRUE, against_true, extent_of
from trainer.charts.palette import GREY

__all__ = ["PREDICTED", "TRUE", "errors", "scatter"]
ERRORS_HIGH = 220  # pixels of the histogram


def scatter(rows: pd.DataFrame) -> alt.LayerChart:
    """Draw ``true, predicted, error, sample_id, caption, image`` (a data URI or null); a drag draws a box."""
    told = [
        alt.Tooltip("image:N"),
        alt.Tooltip(f"{TRUE}:Q", format=".4~g"),
        alt.Tooltip(f"{PREDICTED}:Q", format=".4~g"),
        alt.Tooltip("error:Q", format="+.4~g"),
        alt.Tooltip("caption:N"),
        alt.Tooltip("sample_id:N", title="sample"),
    ]
    extent = extent_of(rows[TRUE].to_numpy(), rows[PREDICTED].to_numpy())
    mark: Any = MARKED
    box = alt.selection_interval(name=BOX, zoom=False, translate=False, mark=mark)
    return against_true(rows, extent, params=[box], tooltip=told)


def errors(bins: pd.DataFrame) -> alt.LayerChart:
    """Draw the histogram of errors ``low, high, n``, and a line at none."""
    bars = (
        alt.Chart(bins)
        .mark_bar(color=BLUE, opacity=0.7, binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", title="error (predicted − true)", axis=alt.Axis(format=".3~g")),
            x2="high:Q",
            y=alt.Y("n:Q", title="rows"),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format="+.4~g"),
                alt.Tooltip("high:Q", title="to", format="+.4~g"),
                alt.Tooltip("n:Q", title="rows", format=",d"),
            ],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"at": [0.0]}))
        .mark_rule(color=GREY, strokeWidth=2, aria=False)
        .encode(x="at:Q")
    )
    layered: Any = alt.layer(bars, rule)
    return layered.properties(height=ERRORS_HIGH)
