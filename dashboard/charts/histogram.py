"""How scores of two kinds of rows are spread, on both sides of a threshold."""

from __future__ import annotations

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
