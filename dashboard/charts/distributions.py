"""How scores of two kinds of rows are spread, on both sides of a threshold."""

from __future__ import annotations

import altair as alt
import pandas as pd


def spread(
    bins: pd.DataFrame,
    x: alt.X,
    *,
    at: float,
    by: str,
    kind: str,
    share: str,
    unit: str,
    colours: list[str],
    rule: str,
    digits: int,
) -> alt.LayerChart | alt.FacetChart:
    """Bars of `frames.spread`, and a rule at the threshold.

    Args:
        x: of the bins' ``low``.
        by: the column that tells the kinds apart, ``colours`` being theirs, ``kind`` its title.
        share: title of the y axis.
        unit: what is counted.
        rule: colour of the rule.
        digits: of the bins' ends.
    """
    kinds = list(dict.fromkeys(bins[by]))
    bars = (
        alt.Chart(bins)
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("share:Q", title=share, stack=None, axis=alt.Axis(format=".0%", tickCount=5)),
            color=alt.Color(
                f"{by}:N",
                title=None,
                sort=kinds,
                scale=alt.Scale(domain=kinds, range=colours),
                legend=alt.Legend(orient="top", columns=1, labelLimit=260),
            ),
            tooltip=[
                alt.Tooltip(f"{by}:N", title=kind),
                alt.Tooltip("low:Q", title="from", format=f".{digits}f"),
                alt.Tooltip("high:Q", title="to", format=f".{digits}f"),
                alt.Tooltip("n:Q", title=unit, format=",d"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
    )
    at_rule = alt.Chart(pd.DataFrame({"at": [at]})).mark_rule(strokeWidth=2, color=rule).encode(x="at:Q")
    return bars + at_rule
