"""The heat map of a confusion matrix that can be clicked, and of the difference between two."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREY, PAN, RED
from trainer.charts.confusion import MOST_IN_CELLS, MOST_SQUARE, Matrix, answers, matrix, squares, whole
from trainer.charts.palette import ink

__all__ = ["CELL", "MOST_IN_CELLS", "MOST_SQUARE", "SIGNIFICANT", "confusion", "difference"]

CELL = "cell"  # name of the selection that holds the clicked cell
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
    tooltip = [
        alt.Tooltip("label:N"),
        alt.Tooltip("pred:N", title="predicted"),
        alt.Tooltip("n:Q", format=",d"),
        alt.Tooltip("share:Q", title="of this label", format=".1%"),
        alt.Tooltip("support:Q", title="rows with this label", format=",d"),
    ]
    value = "share" if normalised else "n"
    layers = answers(cells, classes, shade=value, figure=value, side=side, dark=dark)
    return _clickable(layers, classes, tooltip, chosen, side=side, dark=dark)


def difference(
    cells: pd.DataFrame,
    classes: list[str],
    *,
    side: int,
    dark: bool,
    chosen: tuple[str, str] | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of `predictions.compare_cells`: rows more or less with the second head, blue where that is
    better, orange where it is worse, and a star where chance does not explain it.

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
    tooltip = [
        alt.Tooltip("label:N"),
        alt.Tooltip("pred:N", title="predicted"),
        alt.Tooltip("first:Q", title="rows, first head", format=",d"),
        alt.Tooltip("second:Q", title="rows, second head", format=",d"),
        alt.Tooltip("only_first:Q", title="only the first", format=",d"),
        alt.Tooltip("only_second:Q", title="only the second", format=",d"),
        alt.Tooltip("p_holm:Q", title="p (Holm)", format=".2g"),
    ]
    figures = [(alt.Text("star:N"), "datum.significant")]
    if len(classes) <= MOST_IN_CELLS:
        figures = [(alt.Text("says:N"), "true")]
    kinds = {"better": BLUE, "worse": RED, "same": GREY}
    layers = matrix(cells, classes, kinds, figures, side=side, dark=dark)
    return _clickable(layers, classes, tooltip, chosen, side=side, dark=dark)


def said_together(
    cells: pd.DataFrame,
    classes: list[str],
    titles: tuple[str, str],
    *,
    side: int,
    dark: bool,
    chosen: tuple[str, str] | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of `comparison.said_together`: blue where the method across is right more often, orange where
    the one down is; grey where they agree, or neither is.

    Args:
        titles: the methods across and down, as titles of the axes.

    Other arguments are those of `confusion`.
    """
    apart = cells["label"] != cells["pred"]
    ahead = cells["one_right"] - cells["other_right"]
    largest = cells["n"].groupby(apart).transform("max")
    cells = cells.assign(
        kind=ahead.map(lambda more: "across" if more > 0 else "down" if more < 0 else "even"),
        strength=(0.15 + 0.75 * cells["n"] / largest).where(apart, 0.08 + 0.25 * cells["n"] / largest),
        described=[f"{n:,d}" for n in cells["n"]],
    )
    tooltip = [
        alt.Tooltip("pred:N", title=titles[0]),
        alt.Tooltip("label:N", title=titles[1]),
        alt.Tooltip("n:Q", title="rows", format=",d"),
        alt.Tooltip("one_right:Q", title="correct, across", format=",d"),
        alt.Tooltip("other_right:Q", title="correct, down", format=",d"),
    ]
    figures = [(alt.Text("n:Q", format=",d"), "true")] if len(classes) <= MOST_IN_CELLS else []
    kinds = {"across": BLUE, "down": RED, "even": GREY}
    layers = matrix(cells, classes, kinds, figures, side=side, dark=dark)
    words = "datum.label + ' and ' + datum.pred + ': ' + datum.n"
    tiles = layers.tiles.transform_calculate(described=words)
    chart = _clickable(layers._replace(tiles=tiles), classes, tooltip, chosen, side=side, dark=dark)
    for layer in chart.layer:
        layer.encoding.x, layer.encoding.y = (
            end.title(title) for end, title in zip((layer.encoding.x, layer.encoding.y), titles, strict=True)
        )
    return chart


def _clickable(
    layers: Matrix,
    classes: list[str],
    tooltip: list[alt.Tooltip],
    chosen: tuple[str, str] | None,
    *,
    side: int,
    dark: bool,
) -> alt.LayerChart | alt.FacetChart:
    """The matrix with the chosen cell framed; a large one can be zoomed into."""
    cell = pd.DataFrame([chosen] if chosen else [], columns=["label", "pred"])
    frame = squares(cell, classes, side, filled=False, aria=False, stroke=ink(dark), strokeWidth=2)
    click: Any = alt.selection_point(name=CELL, fields=["label", "pred"], toggle=False, clear=False)
    tiles, *figures = (layer.encode(tooltip=tooltip) for layer in (layers.tiles, *layers.figures))
    chart = whole([layers.ground, tiles.add_params(click), *figures, frame], classes, side)
    if len(classes) > MOST_IN_CELLS:
        pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
        chart = chart.add_params(pan)
    return chart
