"""Dots with their 95 % intervals, and the parts that charts of such are made of."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREEN, GREY, RED
from trainer.charts.effects import zero_rule
from trainer.charts.paper import NARROW
from trainer.charts.rows import LEAST, rows_high

VERDICTS = ["better", "worse", "not significant"]


def tooltip_ends(form: str, low: str = "low", high: str = "high") -> list[alt.Tooltip]:
    """The two lines of a tooltip that tell an interval."""
    return [
        alt.Tooltip(f"{low}:Q", title="95 % from", format=form),
        alt.Tooltip(f"{high}:Q", title="95 % to", format=form),
    ]


def verdicts() -> alt.Color:
    """The colours of the column ``says``, one of `VERDICTS`."""
    return alt.Color(
        "says:N",
        title=None,
        scale=alt.Scale(domain=VERDICTS, range=[GREEN, RED, GREY]),
        legend=alt.Legend(orient="top", columns=alt.ExprRef(f"{NARROW} ? 1 : {len(VERDICTS)}")),
    )


def differences(base: alt.Chart, value: str, title: str) -> list[alt.Chart]:
    """The layers of differences by row: the rule at 0, intervals, dots, coloured by `verdicts`.

    Args:
        base: the rows with their y axis and tooltip.
        value: the column; its interval is in ``low`` and ``high``, or in columns that begin with its name.
    """
    low, high = ("low", "high") if value == "value" else (f"{value}_low", f"{value}_high")
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X(f"{low}:Q", title=title, scale=alt.Scale(padding=12)), x2=f"{high}:Q", color=verdicts()
    )
    dots = base.mark_point(size=80, filled=True, opacity=1).encode(
        x=alt.X(f"{value}:Q", title=title, axis=alt.Axis(format="+.3~r", tickCount=7)), color=verdicts()
    )
    return [zero_rule(value, title), lines, dots]


def best_trials(best: pd.DataFrame, *, title: str, most: float = 1, least: float = 0) -> alt.LayerChart:
    """`trials.top`: a dot and its 95 % interval per trial, best on top.

    Args:
        title: of the score, such as macro-F1.
        most, least: the ends of what it can be.
    """
    frame = best.assign(name=best["trial"].astype(str))
    y = alt.Y(
        "name:N", sort=list(frame["name"]), title="trial", axis=alt.Axis(labelOverlap=False, labelFlush=False)
    )
    low, high = frame["score"].min(), frame["score"].max()
    reach = (frame["high"] - frame["low"]).median() / 2
    # room for the usual interval; a much wider one is cut, not the dots squeezed
    margin = max(0.25 * (high - low), 0 if pd.isna(reach) else 1.2 * reach) or 0.01
    scale = alt.Scale(domain=[max(low - margin, least), min(high + margin, most)], nice=False)
    x = alt.X("score:Q", title=f"validation {title}", scale=scale)
    base = alt.Chart(frame).encode(
        y=y,
        tooltip=[
            alt.Tooltip("trial:Q", format="d"),
            alt.Tooltip("score:Q", title=title, format=".3f"),
            *tooltip_ends(".3f"),
            alt.Tooltip("seeds:Q", title="n (seeds)", format="d"),
        ],
    )
    ends = base.transform_filter("isValid(datum.low)")
    lines = ends.mark_rule(strokeWidth=2, color=BLUE, opacity=0.55, clip=True).encode(
        x=alt.X("low:Q", title=f"validation {title}", scale=scale), x2="high:Q"
    )
    dots = base.mark_circle(size=55, color=BLUE, opacity=1).encode(x=x)
    return (lines + dots).properties(**rows_high(len(frame), LEAST))
