"""The heat map of a confusion matrix, of two classes or of hundreds, and of the difference between two.

Classes stand at whole numbers of two number axes, so that a large matrix can be zoomed into and names are
written only where there is room.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREY, PAN, RED

MOST_IN_CELLS = 20  # classes up to which the cells hold their figures
MOST_SQUARE = 40  # classes up to which every name and every cell has room in a square
CELL = "cell"  # name of the selection that holds the clicked cell
PLACES = ["left", "right", "top", "bottom"]
SIGNIFICANT = "★"


def confusion(
    cells: pd.DataFrame,
    classes: list[str],
    *,
    normalised: bool,
    side: int,
    dark: bool,
    chosen: tuple[str, str] | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of `frames.confusion`; right answers blue, mistakes orange and drawn stronger.

    A click on a cell selects its ``label`` and ``pred`` under the name `CELL`.

    Args:
        cells: only those that occur, so that hundreds of classes stay light.
        classes: in the order of both axes, no two alike.
        normalised: shares of each label's rows instead of counts.
        side: height in pixels; the width is that of the page's column.
        dark: whether the page is, which decides the colour of figures on pale cells.
        chosen: label and prediction of the cell that is framed.
    """
    value, form = ("share", ".0%") if normalised else ("n", ",d")
    cells = cells.assign(kind=(cells["label"] == cells["pred"]).map({True: "right", False: "wrong"}))
    cells["strength"] = _strength(cells, value)
    cells["described"] = [f"{n:,d}" if value == "n" else f"{n:.0%}" for n in cells[value]]
    return _matrix(
        cells,
        classes,
        kinds={"right": BLUE, "wrong": RED},
        figures=[(alt.Text(f"{value}:Q", format=form), "true")] if len(classes) <= MOST_IN_CELLS else [],
        tooltip=[
            alt.Tooltip("label:N"),
            alt.Tooltip("pred:N", title="predicted"),
            alt.Tooltip("n:Q", format=",d"),
            alt.Tooltip("share:Q", title="of this label", format=".1%"),
            alt.Tooltip("support:Q", title="rows with this label", format=",d"),
        ],
        look=_Look(side, dark, chosen),
    )


def difference(
    cells: pd.DataFrame,
    classes: list[str],
    *,
    side: int,
    dark: bool,
    chosen: tuple[str, str] | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of `answers.compare_cells`: rows more or less with the second head, blue where that is better,
    orange where it is worse, and a star where chance does not explain it.

    Arguments are those of `confusion`.
    """
    largest = max(int(cells["difference"].abs().max()), 1) if len(cells) else 1
    cells = cells.assign(
        kind=cells["better"].map({True: "better", False: "worse"}).where(cells["difference"] != 0, "same"),
        strength=(0.15 + 0.8 * cells["difference"].abs() / largest).where(cells["difference"] != 0, 0.08),
        says=[
            f"{d:+d}{SIGNIFICANT if s else ''}".replace("-", "−") if d else "0"
            for d, s in zip(cells["difference"], cells["significant"], strict=True)
        ],
        star=SIGNIFICANT,
    )
    cells["described"] = cells["says"]
    small = len(classes) <= MOST_IN_CELLS
    return _matrix(
        cells,
        classes,
        kinds={"better": BLUE, "worse": RED, "same": GREY},
        figures=[(alt.Text("says:N"), "true")] if small else [(alt.Text("star:N"), "datum.significant")],
        tooltip=[
            alt.Tooltip("label:N"),
            alt.Tooltip("pred:N", title="predicted"),
            alt.Tooltip("first:Q", title="rows, first head", format=",d"),
            alt.Tooltip("second:Q", title="rows, second head", format=",d"),
            alt.Tooltip("only_first:Q", title="only the first", format=",d"),
            alt.Tooltip("only_second:Q", title="only the second", format=",d"),
            alt.Tooltip("p:Q", title="p (sign test)", format=".2g"),
            alt.Tooltip("p_holm:Q", title="p (Holm)", format=".2g"),
        ],
        look=_Look(side, dark, chosen),
    )


class _Look(NamedTuple):
    side: int
    dark: bool
    chosen: tuple[str, str] | None


def _matrix(
    cells: pd.DataFrame,
    classes: list[str],
    *,
    kinds: dict[str, str],
    figures: list[tuple[alt.Text, str]],
    tooltip: list[alt.Tooltip],
    look: _Look,
) -> alt.LayerChart | alt.FacetChart:
    """Tiles of ``cells`` (with ``kind``, ``strength``, ``described``), figures on those that a test picks."""
    side, small = look.side, len(classes) <= MOST_IN_CELLS
    ink = "#D7DDE3" if look.dark else "#1F2933"
    names = alt.param(name="names", value=classes)
    told = cells["label"] + " taken for " + cells["pred"] + ": " + cells["described"]
    placed = _placed(cells.assign(described=told), classes)
    colour = alt.Scale(domain=list(kinds), range=list(kinds.values()))
    tiles = _squares(placed, classes, side).mark_rect(cornerRadius=2 if small else 0)
    tiles = tiles.encode(
        color=alt.Color("kind:N", scale=colour, legend=None),
        opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
        tooltip=tooltip,
        description="described:N",
    )
    click: Any = alt.selection_point(name=CELL, fields=["label", "pred"], toggle=False, clear=False)
    frame = pd.DataFrame([look.chosen] if look.chosen else [], columns=["label", "pred"])
    framed = _squares(_placed(frame, classes), classes, side).mark_rect(
        filled=False, aria=False, stroke=ink, strokeWidth=2, cornerRadius=2 if small else 0
    )
    layers = [_ground(classes, side), tiles.add_params(click)]
    ends = {"x": _end(classes, side, "x"), "y": _end(classes, side, "y")}
    for words, wanted in figures:
        written = alt.Chart(placed).encode(**ends, text=words, tooltip=tooltip)
        for test, tint in (("<=", ink), (">", "white")):
            layers.append(
                written.mark_text(fontSize=12, color=tint, clip=True, aria=False).transform_filter(
                    f"datum.strength {test} 0.62 && {wanted}"
                )
            )
    matrix: Any = alt.layer(*layers, framed).add_params(names).properties(height=side)
    if not small:
        pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
        matrix = matrix.add_params(pan)
    return matrix


def _placed(cells: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Cells with the middle ``x, y`` and the edges of their squares."""
    at = {name: float(i) for i, name in enumerate(classes)}
    x, y = (cells[name].map(at).astype(float) for name in ("pred", "label"))
    return cells.assign(x=x, y=y, left=x - 0.5, right=x + 0.5, top=y - 0.5, bottom=y + 0.5)


def _squares(placed: pd.DataFrame, classes: list[str], side: int) -> alt.Chart:
    """A chart whose rows fill their squares."""
    return alt.Chart(placed).encode(
        x=_end(classes, side, "x", "left"),
        x2="right:Q",
        y=_end(classes, side, "y", "top"),
        y2="bottom:Q",
    )


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
        where = {"tickCount": count, "tickMinStep": 1, "labelOverlap": "greedy", "labelSeparation": 3}
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
        whole = pd.DataFrame([(-0.5, len(classes) - 0.5) * 2], columns=PLACES)
        return _squares(whole, classes, side).mark_rect(color=GREY, opacity=0.06, clip=True, aria=False)
    grid = pd.DataFrame([(label, pred) for label in classes for pred in classes], columns=["label", "pred"])
    return _squares(_placed(grid, classes), classes, side).mark_rect(
        cornerRadius=2, color=GREY, opacity=0.08, aria=False
    )


def _strength(cells: pd.DataFrame, value: str) -> pd.Series:
    """Opacity from 0 to 1: right answers against the largest, mistakes against the largest mistake."""
    largest = cells.groupby("kind")[value].transform("max")
    if value == "share":
        largest = largest.where(cells["kind"] == "wrong", 1.0)
    share = cells[value] / largest
    return share.where(cells["kind"] == "right", 0.18 + 0.72 * share).clip(0, 0.95)
