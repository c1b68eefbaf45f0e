"""Same person or not: ROC and DET curves, the spread of scores, at which place people are found."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.histogram import Kinds, histogram
from dashboard.charts.palette import BLUE, GREEN, GREY, ORANGE, RED

COLOURS = {"trained head": BLUE, "LDA": GREEN, "PCA whitening": ORANGE, "raw cosine": GREY}
DASHES = {"trained head": [1, 0], "LDA": [6, 3], "PCA whitening": [2, 2], "raw cosine": [1, 0]}
BANDED = ("trained head", "raw cosine")  # of more methods bands would hide each other
RATES = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6]  # ticks of the DET axes
HEIGHT = 360


def _colour(names: list[str]) -> alt.Color:
    known = [name for name in COLOURS if name in names]
    return alt.Color(
        "method:N",
        title=None,
        sort=known,
        scale=alt.Scale(domain=known, range=[COLOURS[name] for name in known]),
        legend=alt.Legend(
            orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=2, labelLimit=160
        ),
    )


def _dash(names: list[str]) -> alt.StrokeDash:
    known = [name for name in DASHES if name in names]
    scale: Any = alt.Scale(domain=known, range=[DASHES[name] for name in known])
    return alt.StrokeDash("method:N", scale=scale, legend=None)


TOLD = [
    alt.Tooltip("method:N"),
    alt.Tooltip("far:Q", title="FAR", format=".2%"),
    alt.Tooltip("tar:Q", title="TAR", format=".1%"),
    alt.Tooltip("tar_low:Q", title="from", format=".1%"),
    alt.Tooltip("tar_high:Q", title="to", format=".1%"),
    alt.Tooltip("threshold:Q", format=".3f"),
]


def roc(curves: pd.DataFrame, *, least: float) -> alt.LayerChart | alt.FacetChart:
    """TAR over FAR on a logarithmic axis from ``least`` on, with 95 % bands for two methods."""
    names = list(dict.fromkeys(curves["method"]))
    shown = curves[curves["far"] >= least]
    x = alt.X(
        "far:Q",
        title="false accept rate (log)",
        scale=alt.Scale(type="log", domain=[least, 1], nice=False),
        axis=alt.Axis(format="~%", grid=False, values=[0.0001, 0.001, 0.01, 0.1, 1]),
    )
    y = alt.Y(
        "tar:Q",
        title="true accept rate",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", tickCount=6),
    )
    banded = alt.Chart(shown[shown["method"].isin(BANDED)]).mark_area(
        opacity=0.14, interpolate="step-after", aria=False
    )
    lines = alt.Chart(shown).mark_line(interpolate="step-after", strokeWidth=2)
    reading = alt.Chart(shown).mark_point(filled=True, opacity=0, size=90, aria=False)
    colour = _colour(names)
    return alt.layer(
        banded.encode(x=x, y=alt.Y("tar_low:Q", title="true accept rate"), y2="tar_high:Q", color=colour),
        lines.encode(x=x, y=y, color=colour, strokeDash=_dash(names)),
        reading.encode(x=x, y=y, color=colour, tooltip=TOLD),
    ).properties(height=HEIGHT)


def det(curves: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """FRR over FAR, both on the scale of the normal distribution, on which normal scores give straight lines
    (Martin et al. 1997); where a curve meets the diagonal is its equal error rate."""
    names = list(dict.fromkeys(curves["method"]))
    shown = curves.dropna(subset=["far_deviate", "frr_deviate"])
    deviate = {rate: NormalDist().inv_cdf(rate) for rate in RATES}
    words = " : ".join(
        f"abs(datum.value - ({at:.6f})) < 1e-4 ? '{100 * rate:g}%'" for rate, at in deviate.items()
    )
    axis = alt.Axis(values=list(deviate.values()), labelExpr=f"{words} : ''", grid=True, gridOpacity=0.35)
    ends = [deviate[RATES[0]], deviate[RATES[-1]]]
    scale = alt.Scale(domain=ends, nice=False, zero=False)
    x = alt.X("far_deviate:Q", title="false accept rate", scale=scale, axis=axis)
    y = alt.Y("frr_deviate:Q", title="false reject rate", scale=scale, axis=axis)
    colour = _colour(names)
    told = [*TOLD[:2], alt.Tooltip("frr:Q", title="FRR", format=".1%"), TOLD[-1]]
    diagonal = alt.Chart(pd.DataFrame({"far_deviate": ends, "frr_deviate": ends})).mark_line(
        strokeDash=[3, 3], color=GREY, strokeWidth=1, clip=True, aria=False
    )
    return alt.layer(
        diagonal.encode(x=x, y=y),
        alt.Chart(shown)
        .mark_line(strokeWidth=2, clip=True)
        .encode(x=x, y=y, color=colour, strokeDash=_dash(names), order="far:Q"),
        alt.Chart(shown)
        .mark_point(filled=True, opacity=0, size=90, clip=True, aria=False)
        .encode(x=x, y=y, color=colour, tooltip=told),
    ).properties(height=HEIGHT)


def spread(bins: pd.DataFrame, *, at: float) -> alt.LayerChart | alt.FacetChart:
    """`verification.spread`, and a rule at the threshold: what lies right of it is accepted."""
    axis = alt.Axis(format=".2f", grid=False)
    kinds = Kinds(
        column="kind",
        title="pairs",
        share="share of its pairs",
        unit="pairs",
        colours=[GREEN, RED],
        digits=3,
    )
    return histogram(
        bins, alt.X("low:Q", title="score of a pair", bin="binned", axis=axis), kinds, at=at, rule=GREY
    ).properties(height=260)


def cmc(frame: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Cumulative match characteristic: share of photos whose person is among the first names."""
    names = list(dict.fromkeys(frame["method"]))
    low = min(0.95, float(frame["share"].min()))
    base = alt.Chart(frame).encode(
        x=alt.X("rank:O", title="rank", axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "share:Q",
            title="photos identified within the rank",
            scale=alt.Scale(domain=[max(0.0, low - 0.03), 1], nice=False),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
        color=alt.Color(
            "method:N",
            title=None,
            sort=names,
            scale=alt.Scale(domain=names, range=[BLUE, GREY]),
            legend=alt.Legend(orient="top", columns=2, labelLimit=180),
        ),
        tooltip=[
            alt.Tooltip("method:N"),
            alt.Tooltip("rank:O", title="rank"),
            alt.Tooltip("share:Q", format=".1%"),
        ],
    )
    return (base.mark_line(strokeWidth=2) + base.mark_point(filled=True, size=55)).properties(height=260)
