"""The heat map of a confusion matrix, of two classes or of hundreds.

Classes stand at whole numbers of two number axes, so that a large matrix can be zoomed into and names are
written only where there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from trainer.charts.fonts import undrawable
from trainer.charts.labels import distinct, fitted, visible
from trainer.charts.palette import BLUE, GREY, RED, ink
from trainer.charts.paper import NATURAL

MOST_IN_CELLS = 20  # classes up to which the cells hold their figures
MOST_SQUARE = 40  # classes up to which every name and every cell has room in a square


class Matrix(NamedTuple):
    """The layers of a matrix, from the ground up."""

    ground: alt.Chart
    tiles: alt.Chart
    figures: list[alt.Chart]


def count_matrix(confusion: np.ndarray, names: Sequence[str], *, title: str) -> alt.LayerChart:
    """Draw counts [C, C], true class by row, as a chart of its own, for a file.

    Args:
        names: of the C classes, whatever characters they have; one that no font can draw is a number.
    """
    names, title = [visible(name) for name in names], visible(title)
    lost = undrawable([*names, title])
    names = [f"class {i}" if name in lost else name for i, name in enumerate(names, start=1)]
    title = title if title not in lost else "".join("□" if undrawable([c]) else c for c in title)
    classes, side = distinct(names, 30), int(np.clip(150 + 26 * len(names), 300, 900))
    label, pred = np.nonzero(confusion)
    cells = pd.DataFrame({"label": np.take(classes, label), "pred": np.take(classes, pred)})
    cells = cells.assign(n=confusion[label, pred], share=confusion[label, pred] / confusion.sum(1)[label])
    ground, tiles, figures = answers(cells, classes, shade="share", figure="n", side=side, dark=False)
    key = "Blue: correct. Orange: errors, drawn stronger. Shade: share of the label's rows."
    below = [key + (" Numbers: counts." if figures else "")]
    if lost:
        below.append("Names that no installed font can draw are numbered in the order of the classes.")
    says = alt.Title(fitted(title, 90), subtitle=below)
    return whole([ground, tiles, *figures], classes, side).properties(width=side, title=says)


def answers(
    cells: pd.DataFrame, classes: list[str], *, shade: str, figure: str, side: int, dark: bool
) -> Matrix:
    """Right answers in blue, mistakes in orange and drawn stronger.

    Args:
        cells: ``label, pred, n, share``; only those that occur, so that hundreds of classes stay light.
        classes: in the order of both axes, no two alike.
        shade: ``n``, or ``share`` of each label's rows: what the colours follow.
        figure: the same: what is written down.
        side: height in pixels.
        dark: whether the page is, which decides the colour of figures on pale cells.
    """
    form = {"share": ".0%", "n": ",d"}[figure]
    cells = cells.assign(kind=(cells["label"] == cells["pred"]).map({True: "right", False: "wrong"}))
    cells["strength"] = _strength(cells, shade)
    cells["described"] = [f"{n:{form}}" for n in cells[figure]]
    figures = [(alt.Text(f"{figure}:Q", format=form), "true")] if len(classes) <= MOST_IN_CELLS else []
    return matrix(cells, classes, {"right": BLUE, "wrong": RED}, figures, side=side, dark=dark)


def matrix(
    cells: pd.DataFrame,
    classes: list[str],
    kinds: dict[str, str],
    figures: list[tuple[alt.Text, str]],
    *,
    side: int,
    dark: bool,
) -> Matrix:
    """Tiles of ``cells`` (with ``kind``, ``strength``, ``described``), figures on those that a test picks."""
    told = cells["label"] + " taken for " + cells["pred"] + ": " + cells["described"]
    cells = cells.assign(described=told)
    colour = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    tiles = squares(cells, classes, side).encode(
        color=alt.Color("kind:N", scale=colour, legend=None),
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
        description="described:N",
    )
    ends = {"x": _end(classes, side, "x"), "y": _end(classes, side, "y")}
    texts = [
        alt.Chart(_placed(cells, classes))
        .encode(**ends, text=words)
        .mark_text(fontSize=12, color=tint, clip=True, aria=False)
        .transform_filter(f"datum.strength {test} 0.62 && {wanted}")
        for words, wanted in figures
        for test, tint in (("<=", ink(dark)), (">", "white"))
    ]
    return Matrix(_ground(classes, side), tiles, texts)


def whole(layers: list[alt.Chart], classes: list[str], side: int) -> Any:
    """The layers with the names of the classes."""
    named = alt.layer(*layers).add_params(alt.param(name="names", value=classes))
    return named.properties(height=side, usermeta={NATURAL: side})


def squares(cells: pd.DataFrame, classes: list[str], side: int, **mark: Any) -> alt.Chart:
    """A chart whose rows, with ``label`` and ``pred``, fill their squares."""
    mark.setdefault("cornerRadius", 2 if len(classes) <= MOST_IN_CELLS else 0)
    return (
        alt.Chart(_placed(cells, classes))
        .mark_rect(**mark)
        .encode(
            x=_end(classes, side, "x", "left"),
            x2="right:Q",
            y=_end(classes, side, "y", "top"),
            y2="bottom:Q",
        )
    )


def _placed(cells: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Cells with the middle ``x, y`` and the edges of their squares."""
    at = {name: float(i) for i, name in enumerate(classes)}
    x, y = (cells[name].map(at).astype(float) for name in ("pred", "label"))
    return cells.assign(x=x, y=y, left=x - 0.5, right=x + 0.5, top=y - 0.5, bottom=y + 0.5)


def _end(classes: list[str], side: int, axis: str, column: str = "") -> Any:
    scale = alt.Scale(domain=[-0.5, len(classes) - 0.5], nice=False, reverse=axis == "y")
    kind, title = (alt.X, "predicted") if axis == "x" else (alt.Y, "label")
    return kind(f"{column or axis}:Q", title=title, scale=scale, axis=_axis(classes, side, top=axis == "x"))


def _axis(classes: list[str], side: int, *, top: bool = False) -> alt.Axis:
    """Names at the whole numbers: all of them where there is room, else as many as do not touch."""
    count = len(classes)
    turned = 7 * max(map(len, classes), default=0) > side / max(count, 1)
    where: dict[str, Any] = {"values": list(range(count)), "labelOverlap": False}
    if count > MOST_SQUARE:
        where = {
            "tickCount": min(count, side // 10),
            "tickMinStep": 1,
            "labelOverlap": "greedy",
            "labelSeparation": 3,
        }
    if top:
        where |= {"orient": "top", "labelAngle": -90 if turned else 0}
    return alt.Axis(
        **where,
        labelExpr="names[datum.value]",
        labelLimit=140,
        labelFontSize=12 if count <= 30 else 10,
        grid=False,
        ticks=False,
        domain=False,
    )


def _ground(classes: list[str], side: int) -> alt.Chart:
    """A faint square for every cell where there is room for one, else one for the whole."""
    if len(classes) > MOST_SQUARE:
        return alt.Chart(pd.DataFrame({"all": [0]})).mark_rect(color=GREY, opacity=0.06, aria=False)
    grid = pd.DataFrame([(label, pred) for label in classes for pred in classes], columns=["label", "pred"])
    return squares(grid, classes, side, cornerRadius=2, color=GREY, opacity=0.08, aria=False)


def _strength(cells: pd.DataFrame, value: str) -> pd.Series:
    """Opacity from 0 to 1: right answers against the largest, mistakes against the largest mistake."""
    largest = cells.groupby("kind")[value].transform("max")
    if value == "share":
        largest = largest.where(cells["kind"] == "wrong", 1.0)
    share = cells[value] / largest
    return share.where(cells["kind"] == "right", 0.18 + 0.72 * share).clip(0, 0.95)
