"""Histograms: bars on both sides of a threshold, and outlines in steps that may lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """The kinds of rows whose scores are shown, and what they are called."""

    column: str
    title: str
    share: str  # title of the y axis
    unit: str  # what is counted
    colours: list[str]
    digits: int  # of the bins' ends


def histogram(
    bins: pd.DataFrame, x: alt.X, kinds: Kinds, *, at: float, rule: str
) -> alt.LayerChart | alt.FacetChart:
    """Bars of `trials.spread`, and a rule at the threshold.

    Args:
        x: of the bins' ``low``.
        rule: colour of the rule.
    """
    names = list(dict.fromkeys(bins[kinds.column]))
    bars = (
        alt.Chart(bins)
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("share:Q", title=kinds.share, stack=None, axis=alt.Axis(format=".0%", tickCount=5)),
            color=alt.Color(
                f"{kinds.column}:N",
                title=None,
                sort=names,
                scale=alt.Scale(domain=names, range=kinds.colours),
                legend=alt.Legend(orient="top", columns=1, labelLimit=260),
            ),
            tooltip=[
                alt.Tooltip(f"{kinds.column}:N", title=kinds.title),
                alt.Tooltip("low:Q", title="from", format=f".{kinds.digits}f"),
                alt.Tooltip("high:Q", title="to", format=f".{kinds.digits}f"),
                alt.Tooltip("n:Q", title=kinds.unit, format=",d"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
    )
    at_rule = alt.Chart(pd.DataFrame({"at": [at]})).mark_rule(strokeWidth=2, color=rule).encode(x="at:Q")
    return bars + at_rule


def outlines(
    bins: pd.DataFrame,
    encoding: Sequence[alt.X | alt.Y | alt.Color],
    tooltip: list[alt.Tooltip],
    *,
    opacity: float,
    width: float,
) -> tuple[alt.Chart, ...]:
    """Layers of an outline in steps: its area, its line, and a rectangle per bin that has the tooltip.

    Args:
        bins: ``low, high`` of each bin of each kind, and what the encoding names.
        encoding: x of ``low``, y, and the colour of the kinds.
        opacity: of the area.
        width: of the line, in pixels.
    """
    x, y, _ = encoding
    # A step needs a point at either end: the last bin's right edge is one more.
    last = bins[bins["high"] == bins["high"].max()]
    outline = alt.Chart(pd.concat([bins, last.assign(low=last["high"])])).encode(*encoding)
    return (
        outline.mark_area(interpolate="step-after", opacity=opacity),
        outline.mark_line(interpolate="step-after", strokeWidth=width),
        alt.Chart(bins).mark_rect(opacity=0).encode(x, y, x2="high:Q", y2=alt.datum(0), tooltip=tooltip),
    )
