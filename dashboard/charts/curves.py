"""Training curves: mean and interval per group, and how many trials they stand on."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard import text
from dashboard.charts.palette import GREY, PAN

LINE, HERE = "trial", "here"  # selections: a line, or a field of the shadow, that was clicked
REACH = 5  # pixels: how wide the invisible line is that a pointer may hit
Y_LABELS = 36  # pixels for the labels of a y axis, so that charts above each other line up
PADDING = {"left": 0, "top": 5, "right": 14, "bottom": 10}  # the last label of the x axis stands out


def curves(
    bands: pd.DataFrame,
    raw: pd.DataFrame,
    best: pd.DataFrame,
    *,
    order: list[str],
    palette: list[str],
    title: str,
    legend: str,
    log: bool,
    extent: tuple[float, float],
    step: str = "epoch",
    height: int = 430,
    shadow: pd.DataFrame | None = None,
    stopped: pd.DataFrame | None = None,
    marked: pd.DataFrame | None = None,
    log_x: bool = False,
    dark: bool = False,
) -> alt.LayerChart | alt.FacetChart:
    """Mean per group with its 95 % band over faint single trials.

    A click selects a line by ``trial`` (``LINE``), a field of the shadow by ``epoch, low, high`` (``HERE``).

    Args:
        bands: `frames.bands`.
        raw: `frames.lines`, already thinned; may be empty.
        best: ``group, trial, epoch, value`` of the trials' best epochs; may be empty.
        order: groups in the order of the legend, ``palette`` their colours.
        title: of the y axis, with its unit.
        legend: title of the legend.
        log: logarithmic y axis; parts of a band at or below zero are cut off.
        extent: of the y axis where it is linear; what lies beyond (bands of two trials do) is cut.
        step: title of the x axis.
        shadow: `frames.density` of all lines, where they are too many to be drawn.
        stopped: the last points of trials that were given up.
        marked: the line of one trial, drawn over all.
        log_x: logarithmic x axis.
    """
    if shadow is not None and shadow.empty:
        shadow = None
    if log:
        bands = bands[bands["mean"] > 0].assign(low=lambda f: f["low"].clip(lower=f["mean"].min() / 2))
        raw, best = raw[raw["value"] > 0], best[best["value"] > 0]
    scale = alt.Scale(type="log") if log else alt.Scale(domain=_with_margin(extent), nice=False)
    colour = alt.Color(
        "group:N",
        title=legend,
        sort=order,
        scale=alt.Scale(domain=order, range=palette),
        legend=None if len(order) == 1 else _legend_above(order),
    )
    x_scale = alt.Scale(type="log" if log_x else "linear", nice=False, domain=_ends(bands["epoch"]))
    x = alt.X(
        "epoch:Q",
        title=step,
        axis=alt.Axis(tickMinStep=1, tickCount=15, format="d", grid=False, labelFlush=True),
        scale=x_scale,
    )
    y_axis = alt.Axis(minExtent=Y_LABELS)
    pick = alt.selection_point(fields=["group"], bind="legend", name="group")
    alone = not len(raw) and shadow is None  # else there is more to point at than means
    hover = alt.selection_point(nearest=alone, on="pointerover", empty=False, name="near", clear="pointerout")
    seen = alt.condition(pick, alt.value(1.0), alt.value(0.12))
    faint = (
        alt.Chart(raw)
        .mark_line(strokeWidth=1, clip=True)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=scale, axis=y_axis),
            color=colour,
            detail="trial:N",
            opacity=alt.condition(pick, alt.value(0.22), alt.value(0.03)),
        )
    )
    base = alt.Chart(bands).encode(x=x, color=colour)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title=title, scale=scale),
        y2="high:Q",
        opacity=alt.condition(pick, alt.value(0.2), alt.value(0.03)),
    )
    mean = base.mark_line(strokeWidth=2.5, clip=True).encode(y=alt.Y("mean:Q", title=title), opacity=seen)
    points = base.mark_point(size=70, filled=True, clip=True).encode(
        y=alt.Y("mean:Q", title=title),
        opacity=alt.condition(hover, alt.value(1.0), alt.value(0.0)),
        tooltip=[
            alt.Tooltip("group:N", title=legend),
            alt.Tooltip("epoch:Q", title=step, format="d"),
            alt.Tooltip("mean:Q", format=".4g"),
            alt.Tooltip("low:Q", title="95 % from", format=".4g"),
            alt.Tooltip("high:Q", title="95 % to", format=".4g"),
            alt.Tooltip("n:Q", title="n (trials)", format="d"),
        ],
    )
    marks = (
        alt.Chart(best)
        .mark_point(size=34, filled=True, shape="diamond", clip=True)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=title),
            color=colour,
            opacity=alt.condition(pick, alt.value(0.85), alt.value(0.05)),
        )
    )
    pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
    layers = [mean]
    if len(best):  # an empty layer has no extent, and Vega warns
        layers.append(marks)
    if (bands["n"] > 1).any():
        layers.insert(0, band)
    if len(raw):
        layers.insert(0, faint)
        layers.append(_hit(raw, x, alt.Y("value:Q", title=title, scale=scale), legend))
    if shadow is not None:
        left = alt.X("left:Q", title=step, scale=x_scale)
        fields = _shadow(shadow, left, alt.Y("low:Q", title=title, scale=scale), log_x=log_x)
        layers.insert(0, fields)
    # What has neither a selection nor a tooltip lets the pointer through to the fields below it.
    layers.append(points.add_params(hover, pick, pan))
    if stopped is not None and len(stopped):
        crosses = alt.Chart(stopped).mark_point(shape="cross", size=26, filled=True, clip=True, angle=45)
        layers.append(
            crosses.encode(
                x=x,
                y=alt.Y("value:Q", title=title),
                color=colour,
                opacity=alt.condition(pick, alt.value(0.55), alt.value(0.05)),
            )
        )
    if marked is not None and len(marked):
        ink = "#FFFFFF" if dark else "#11171E"
        line = alt.Chart(marked).mark_line(
            color=ink, strokeWidth=3, clip=True, point={"color": ink, "size": 30}
        )
        layers.append(
            line.encode(x=x, y=alt.Y("value:Q", title=title), tooltip=["trial:N", "epoch:Q", "value:Q"])
        )
    return alt.layer(*layers).properties(height=height, padding=PADDING)


def trials_left(bands: pd.DataFrame, *, order: list[str], palette: list[str], height: int = 90) -> alt.Chart:
    """How many trials each mean stands on, epoch by epoch."""
    return (
        alt.Chart(bands)
        .mark_line(interpolate="step-after", strokeWidth=1.5)
        .encode(
            x=alt.X(
                "epoch:Q",
                title=None,
                axis=alt.Axis(labels=False, ticks=False, grid=False),
                scale=alt.Scale(nice=False, domain=_ends(bands["epoch"])),
            ),
            y=alt.Y(
                "n:Q",
                title="n (trials)",
                axis=alt.Axis(tickCount=2, tickMinStep=1, format="d", minExtent=Y_LABELS),
                scale=alt.Scale(zero=True),
            ),
            color=alt.Color("group:N", sort=order, scale=alt.Scale(domain=order, range=palette), legend=None),
            tooltip=["group:N", alt.Tooltip("epoch:Q", format="d"), alt.Tooltip("n:Q", format="d")],
        )
        .properties(height=height, padding=PADDING)
    )


def _hit(raw: pd.DataFrame, x: alt.X, y: alt.Y, legend: str) -> alt.Chart:
    """The single trials again, unseen and above all else, for the pointer."""
    return (
        alt.Chart(raw)
        .mark_line(strokeWidth=REACH, opacity=0, clip=True, cursor="pointer")
        .encode(
            x=x,
            y=y,
            detail=["trial:N", "group:N"],
            tooltip=[
                alt.Tooltip("trial:N", title="click to open trial"),
                alt.Tooltip("group:N", title=legend),
            ],
        )
        .add_params(alt.selection_point(fields=["trial"], empty=False, name=LINE))
    )


def _shadow(shadow: pd.DataFrame, x: alt.X, y: alt.Y, *, log_x: bool) -> alt.Chart:
    """How many lines run where, as fields of grey. There are hundreds: each has one tooltip of words, as a
    table of values would take the browser longer to prepare than all else, and no name to be read out."""
    fields = shadow.assign(
        left=shadow["epoch"] - (0 if log_x else 0.5),
        right=shadow["epoch"] + (1 if log_x else 0.5),
        strength=(shadow["share"] / shadow["share"].max()) ** 0.5,
        says=[
            f"epoch {epoch}, {low:.4g} to {high:.4g}: {text.count(n, 'line')}; click to list them"
            for epoch, low, high, n in shadow[["epoch", "low", "high", "n"]].itertuples(index=False)
        ],
    )
    return (
        alt.Chart(fields[["epoch", "left", "right", "low", "high", "strength", "says"]])
        .mark_rect(color=GREY, clip=True, cursor="pointer", aria=False)
        .encode(
            x=x,
            x2="right:Q",
            y=y,
            y2="high:Q",
            opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.6]), legend=None),
            tooltip="says:N",
        )
        .add_params(alt.selection_point(fields=["epoch", "low", "high"], empty=False, name=HERE))
    )


def rates(
    bands: pd.DataFrame, *, order: list[str], palette: list[str], log_x: bool, height: int = 120
) -> alt.Chart:
    """The learning rate below the curves: the mean of each group's trials."""
    return (
        alt.Chart(bands[bands["mean"] > 0])
        .mark_line(strokeWidth=1.5, clip=True)
        .encode(
            x=alt.X(
                "epoch:Q",
                title=None,
                axis=alt.Axis(labels=False, ticks=False, grid=False),
                scale=alt.Scale(type="log" if log_x else "linear", nice=False, domain=_ends(bands["epoch"])),
            ),
            y=alt.Y(
                "mean:Q",
                title="learning rate",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(tickCount=3, format="~e", minExtent=Y_LABELS),
            ),
            color=alt.Color("group:N", sort=order, scale=alt.Scale(domain=order, range=palette), legend=None),
            tooltip=["group:N", alt.Tooltip("epoch:Q", format="d"), alt.Tooltip("mean:Q", format=".2e")],
        )
        .properties(height=height, padding=PADDING)
    )


def _legend_above(order: list[str]) -> alt.Legend:
    widest = max(map(len, order))
    return alt.Legend(
        orient="top",
        columns=max(1, 950 // (7 * widest + 34)),  # pixels of a page over those of an entry
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolOpacity=1,
        labelLimit=260,
    )


def _with_margin(extent: tuple[float, float]) -> list[float]:
    margin = (extent[1] - extent[0]) * 0.04 or abs(extent[0]) * 0.1 or 0.1
    return [extent[0] - margin, extent[1] + margin]


def _ends(values: pd.Series) -> list[float]:
    return [float(values.min()), float(values.max())]
