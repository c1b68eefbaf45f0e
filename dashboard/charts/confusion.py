"""The heat map of a confusion matrix, from two classes to about a hundred."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREY, RED

MOST_IN_CELLS = 20  # classes up to which the cells hold their figures
MOST_SQUARE = 40  # classes up to which the matrix is a square; a larger one takes all the width


def confusion(
    cells: pd.DataFrame, classes: list[str], *, normalised: bool, side: int, dark: bool
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of `frames.confusion`; right answers blue, mistakes orange and drawn stronger.

    Args:
        cells: only those that occur, so that a hundred classes stay light.
        classes: in the order of both axes.
        normalised: shares of each label's rows instead of counts.
        side: height in pixels; the width too, up to `MOST_SQUARE` classes.
        dark: whether the page is, which decides the colour of figures on pale cells.
    """
    value, form = ("share", ".0%") if normalised else ("n", ",d")
    cells = cells.assign(kind=(cells["label"] == cells["pred"]).map({True: "right", False: "wrong"}))
    cells["strength"] = _strength(cells, value)
    axis: dict[str, Any] = {
        "labelLimit": 140,
        "labelFontSize": 12 if len(classes) <= 30 else 8.5,
        "grid": len(classes) > MOST_SQUARE,
        "gridOpacity": 0.5,
        "labelOverlap": False,
        "ticks": False,
        "domain": False,
    }
    turned = -90 if 7 * max(map(len, classes), default=0) > side / max(len(classes), 1) else 0
    base = alt.Chart(cells).encode(
        x=alt.X("pred:N", sort=classes, title="predicted", scale=alt.Scale(domain=classes),
                axis=alt.Axis(**axis, labelAngle=turned, orient="top")),
        y=alt.Y("label:N", sort=classes, title="label", scale=alt.Scale(domain=classes),
                axis=alt.Axis(**axis)),
    )  # fmt: skip
    tiles = base.mark_rect(cornerRadius=2 if len(classes) <= MOST_IN_CELLS else 0).encode(
        color=alt.Color("kind:N", scale=alt.Scale(domain=["right", "wrong"], range=[BLUE, RED]), legend=None),
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
        tooltip=[
            alt.Tooltip("label:N"),
            alt.Tooltip("pred:N", title="predicted"),
            alt.Tooltip("n:Q", format=",d"),
            alt.Tooltip("share:Q", title="of this label", format=".1%"),
            alt.Tooltip("support:Q", title="rows with this label", format=",d"),
        ],
    )
    layers: list[alt.Chart] = [_ground(classes, base), tiles]
    if len(classes) <= MOST_IN_CELLS:
        figures = base.mark_text().encode(text=alt.Text(f"{value}:Q", format=form))
        pale = "#D7DDE3" if dark else "#1F2933"
        layers += [
            figures.mark_text(fontSize=12, color=pale).transform_filter("datum.strength <= 0.62"),
            figures.mark_text(fontSize=12, color="white").transform_filter("datum.strength > 0.62"),
        ]
    matrix = alt.layer(*layers).properties(height=side)
    return matrix if len(classes) > MOST_SQUARE else matrix.properties(width=side)


def _ground(classes: list[str], base: alt.Chart) -> alt.Chart:
    """A faint square for every cell where there is room for one, else one for the whole."""
    if len(classes) > MOST_SQUARE:
        return base.mark_point(opacity=0)
    grid = pd.DataFrame([(label, pred) for label in classes for pred in classes], columns=["label", "pred"])
    return base.properties(data=grid).mark_rect(cornerRadius=2, color=GREY, opacity=0.08)


def _strength(cells: pd.DataFrame, value: str) -> pd.Series:
    """Opacity from 0 to 1: right answers against the largest, mistakes against the largest mistake."""
    largest = cells.groupby("kind")[value].transform("max")
    if value == "share":
        largest = largest.where(cells["kind"] == "wrong", 1.0)
    share = cells[value] / largest
    return share.where(cells["kind"] == "right", 0.18 + 0.72 * share).clip(0, 0.95)
