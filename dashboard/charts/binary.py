"""Two classes: curves with thresholds on them, spread of probabilities, reliability."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.histogram import Kinds, histogram
from dashboard.charts.palette import BLUE, GREEN, GREY, ORANGE, RED
from dashboard.frames.binary import AGREED, CHOSEN, SAID, SCALED

HEIGHT = 330
SHARE: Any = alt.Scale(domain=[0, 1], nice=False)
MARKS = {CHOSEN: ("circle", RED), AGREED: ("diamond", GREEN)}


def _which(points: pd.DataFrame) -> dict[str, Any]:
    names = [name for name in MARKS if name in set(points["which"])]
    legend = alt.Legend(orient="top", columns=1, labelLimit=260)
    return {
        "shape": alt.Shape(
            "which:N",
            title=None,
            scale=alt.Scale(domain=names, range=[MARKS[name][0] for name in names]),
            legend=legend,
        ),
        "color": alt.Color(
            "which:N",
            title=None,
            scale=alt.Scale(domain=names, range=[MARKS[name][1] for name in names]),
            legend=legend,
        ),
    }


def _curve(
    curves: pd.DataFrame, points: pd.DataFrame, x: str, y: str, titles: tuple[str, str], floor: pd.DataFrame
) -> alt.LayerChart | alt.FacetChart:
    """A curve, what chance gives (``floor``), and thresholds with intervals both ways."""
    across = alt.X(f"{x}:Q", title=titles[0], scale=SHARE, axis=alt.Axis(format=".0%", tickCount=6))
    up = alt.Y(f"{y}:Q", title=titles[1], scale=SHARE, axis=alt.Axis(format=".0%", tickCount=6))
    told = [
        alt.Tooltip("threshold:Q", format=".3f"),
        alt.Tooltip(f"{x}:Q", title=titles[0], format=".1%"),
        alt.Tooltip(f"{y}:Q", title=titles[1], format=".1%"),
    ]
    looks = _which(points)
    base = alt.Chart(points)
    by_chance = alt.Chart(floor).mark_line(strokeDash=[3, 3], color=GREY, strokeWidth=1, aria=False)
    line = alt.Chart(curves).mark_line(color=BLUE, strokeWidth=2, interpolate="linear")
    return alt.layer(
        by_chance.encode(x=across, y=up),
        line.encode(x=across, y=up, order=alt.Order("threshold:Q", sort="descending")),
        alt.Chart(curves)
        .mark_point(filled=True, opacity=0, size=80, aria=False)
        .encode(x=across, y=up, tooltip=told),
        base.mark_rule(strokeWidth=1.5).encode(
            x=across, y=alt.Y(f"{y}_low:Q", title=titles[1]), y2=f"{y}_high:Q", color=looks["color"]
        ),
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X(f"{x}_low:Q", title=titles[0]), x2=f"{x}_high:Q", y=up, color=looks["color"]
        ),
        base.mark_point(filled=True, size=110, opacity=1).encode(
            x=across, y=up, tooltip=[alt.Tooltip("which:N", title="at"), *told], **looks
        ),
    ).properties(height=HEIGHT)


def roc(curves: pd.DataFrame, points: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Sensitivity over 1 - specificity; the dashed diagonal is chance."""
    chance = pd.DataFrame({"false_alarms": [0.0, 1.0], "sensitivity": [0.0, 1.0]})
    titles = ("1 − specificity", "sensitivity")
    return _curve(curves, points, "false_alarms", "sensitivity", titles, chance)


def precision_recall(
    curves: pd.DataFrame, points: pd.DataFrame, *, prevalence: float
) -> alt.LayerChart | alt.FacetChart:
    """Precision (PPV) over recall (sensitivity); the dashed rule is chance."""
    chance = pd.DataFrame({"sensitivity": [0.0, 1.0], "precision": [prevalence, prevalence]})
    titles = ("recall (sensitivity)", "precision (PPV)")
    return _curve(curves, points, "sensitivity", "precision", titles, chance)


def spread(bins: pd.DataFrame, *, at: float) -> alt.LayerChart | alt.FacetChart:
    """`twoclass.spread`, and a rule at the threshold: what lies right of it is called positive."""
    x = alt.X(
        "low:Q",
        title="probability",
        bin="binned",
        scale=SHARE,
        axis=alt.Axis(format=".1f", grid=False, labelFlush=True),
    )
    kinds = Kinds(
        column="class",
        title="class",
        share="share of its class",
        unit="rows",
        colours=[BLUE, ORANGE],
        digits=2,
    )
    return histogram(bins, x, kinds, at=at, rule=RED).properties(height=250)


def reliability(bins: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Frequency of the positive class over its mean probability, bin by bin, with intervals; on the dashed
    diagonal probabilities are true."""
    names = [name for name in (SAID, SCALED) if name in set(bins["version"])]
    x = alt.X(
        "probability:Q", title="mean probability", scale=SHARE, axis=alt.Axis(format=".1f", tickCount=6)
    )
    y = alt.Y(
        "frequency:Q", title="observed frequency", scale=SHARE, axis=alt.Axis(format=".1f", tickCount=6)
    )
    colour = alt.Color(
        "version:N",
        title=None,
        sort=names,
        scale=alt.Scale(domain=[SAID, SCALED], range=[ORANGE, BLUE]),
        legend=alt.Legend(orient="top", columns=1, labelLimit=260),
    )
    base = alt.Chart(bins)
    ends = pd.DataFrame({"probability": [0.0, 1.0], "frequency": [0.0, 1.0]})
    diagonal = alt.Chart(ends).mark_line(strokeDash=[3, 3], color=GREY, strokeWidth=1, aria=False)
    told = [
        alt.Tooltip("version:N"),
        alt.Tooltip("probability:Q", format=".3f"),
        alt.Tooltip("frequency:Q", format=".3f"),
        alt.Tooltip("low:Q", title="from", format=".3f"),
        alt.Tooltip("high:Q", title="to", format=".3f"),
        alt.Tooltip("n:Q", title="rows", format=",d"),
    ]
    return alt.layer(
        diagonal.encode(x=x, y=y),
        base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
            x=x, y=alt.Y("low:Q", title="observed frequency"), y2="high:Q", color=colour
        ),
        base.mark_line(strokeWidth=1.5, opacity=0.6, aria=False).encode(x=x, y=y, color=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=told, shape=alt.Shape("version:N", sort=names, legend=None)
        ),
    ).properties(height=HEIGHT)
