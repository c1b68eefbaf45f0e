"""Several labels per image: the average precision of each, and pairs of labels as heat maps."""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, GREY, ORANGE, RED
from trainer.charts.palette import ink
from trainer.charts.precisions import MOST_ROWS, STEP
from trainer.charts.precisions import precisions as dots_of_precisions
from trainer.charts.rows import rows_high

__all__ = ["BLUE", "MOST_ROWS", "MOST_SQUARES", "ORANGE", "RED", "PairLook", "bars", "pairs", "precisions"]

MOST_SQUARES = 30  # labels of a heat map
MOST_FIGURES = 14  # labels up to which the squares hold their shares
ROW = 28  # pixels of a row of a heat map
LEAST_WIDE = 34  # pixels of a square that holds a figure
SAID, NOT_SAID = "said", "not said"
PALE, STRONG = 0.12, 0.62  # opacity of a share near 0; from which letters are white


class PairLook(NamedTuple):
    """How a heat map of pairs looks, and what it calls them."""

    colour: str
    row: str  # title of the rows
    column: str  # and of the columns
    of: str  # what the shares are of
    dark: bool  # whether the page is


def precisions(frame: pd.DataFrame) -> alt.LayerChart:
    """Draw the average precision of each label.

    Args:
        frame: `frames.labels.per_label` of labels with an average precision, in the order of the rows, no two
            ``label`` alike.
    """
    tooltip = [
        alt.Tooltip("label:N"),
        alt.Tooltip("ap:Q", title="average precision", format=".3f"),
        *tooltip_ends(".3f", "ap_low", "ap_high"),
        alt.Tooltip("chance:Q", title="chance", format=".3f"),
        alt.Tooltip("n:Q", title="rows that have it", format=",d"),
        alt.Tooltip("f1:Q", title="F1", format=".3f"),
    ]
    return dots_of_precisions(frame, tooltip=tooltip)


def bars(frame: pd.DataFrame, *, dark: bool) -> alt.LayerChart:
    """Draw the probability of each label of one image, and a tick at its threshold.

    Args:
        frame: ``label, probability, threshold, said`` (bool), in the order of the rows, no two labels alike.
    """
    y = alt.Y(
        "label:N",
        sort=list(frame["label"]),
        title=None,
        axis=alt.Axis(labelLimit=200, labelOverlap=False, ticks=False),
    )
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format=".0%", tickCount=5)
    told = [
        alt.Tooltip("label:N"),
        alt.Tooltip("probability:Q", format=".2%"),
        alt.Tooltip("threshold:Q", format=".2%"),
        alt.Tooltip("state:N", title="said"),
    ]
    base = alt.Chart(frame.assign(state=frame["said"].map({True: SAID, False: NOT_SAID}))).encode(
        y=y, tooltip=told
    )
    colour = alt.Color(
        "state:N",
        title=None,
        scale=alt.Scale(domain=[SAID, NOT_SAID], range=[BLUE, GREY]),
        legend=alt.Legend(orient="top", symbolType="circle"),
    )
    drawn = base.mark_bar(cornerRadiusEnd=2, height={"band": 0.62}).encode(
        x=alt.X("probability:Q", title="probability", scale=scale, axis=axis), color=colour
    )
    ticks = base.mark_tick(color=ink(dark), thickness=2, height={"band": 0.85}, aria=False).encode(
        x=alt.X("threshold:Q", title="probability", scale=scale, axis=axis)
    )
    layered: Any = alt.layer(drawn, ticks)
    return layered.properties(**rows_high(len(frame), STEP))


def pairs(cells: pd.DataFrame, names: list[str], look: PairLook) -> alt.LayerChart:
    """Draw the shares of pairs of labels.

    Args:
        cells: ``label, other, n, of, share``, of pairs that occur.
        names: in the order of both axes, no two alike.
    """
    largest = max(float(cells["share"].max()) if len(cells) else 0.0, 0.01)
    cells = cells.assign(
        strength=PALE + (0.95 - PALE) * cells["share"] / largest,
        described=[
            f"{label}, {other}: {share:.0%}, {n} of {of}"
            for label, other, n, of, share in cells[["label", "other", "n", "of", "share"]].itertuples(
                index=False
            )
        ],
    )
    grid = pd.DataFrame([(a, b) for a in names for b in names if a != b], columns=["label", "other"])
    x, y = _axes(names, look)
    ground = (
        alt.Chart(grid)
        .mark_rect(color=GREY, opacity=0.08, cornerRadius=2, aria=False, tooltip=None)
        .encode(x=x, y=y)
    )
    tiles = (
        alt.Chart(cells)
        .mark_rect(color=look.colour, cornerRadius=2)
        .encode(
            x=x,
            y=y,
            opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
            description="described:N",
            tooltip=[
                alt.Tooltip("label:N", title=look.row),
                alt.Tooltip("other:N", title=look.column),
                alt.Tooltip("share:Q", title=f"share of {look.of}", format=".1%"),
                alt.Tooltip("n:Q", title="rows", format=",d"),
                alt.Tooltip("of:Q", title=look.of, format=",d"),
            ],
        )
    )
    layered: Any = alt.layer(ground, tiles, *_figures(cells, names, x, y, look))
    return layered.properties(**rows_high(len(names), ROW))


def _axes(names: list[str], look: PairLook) -> tuple[alt.X, alt.Y]:
    scale = alt.Scale(domain=names, paddingInner=0.06, paddingOuter=0.03)
    plain: dict[str, Any] = {"labelOverlap": False, "ticks": False, "domain": False, "grid": False}
    top = alt.Axis(orient="top", labelAngle=-90, labelLimit=110, **plain)
    return (
        alt.X("other:N", sort=names, scale=scale, title=look.column, axis=top),
        alt.Y("label:N", sort=names, scale=scale, title=look.row, axis=alt.Axis(labelLimit=130, **plain)),
    )


def _figures(cells: pd.DataFrame, names: list[str], x: alt.X, y: alt.Y, look: PairLook) -> list[alt.Chart]:
    """The shares, where squares are wide enough for them; white on strong squares."""
    if len(names) > MOST_FIGURES:
        return []
    wide = alt.ExprRef(f"width / {len(names)} < {LEAST_WIDE} ? 0 : 1")
    return [
        alt.Chart(of)
        .mark_text(fontSize=11, color=tint, aria=False, opacity=wide, tooltip=None)
        .encode(x=x, y=y, text=alt.Text("share:Q", format=".0%"))
        for of, tint in (
            (cells[cells["strength"] <= STRONG], ink(look.dark)),
            (cells[cells["strength"] > STRONG], "white"),
        )
        if len(of)
    ]
