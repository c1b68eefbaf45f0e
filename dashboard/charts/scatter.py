"""The map of the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import CATEGORIES, GREY, ORDERED, PAN, RED, colours
from trainer.charts.palette import ink

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
MOST_IN_LEGEND = 56  # more would take the room of the map
IMAGE = 34  # pixels on the map
BOX, POINT, VIEW = "box", "point", "view"  # names of the selections: a dragged box, a clicked point, the zoom
DIMMED = 0.13
FULL = alt.Legend(symbolOpacity=1)  # however dim the points are
RING = ["x", "y", "number", "here"]
PLACES = ["left", "right", "bottom", "top"]
# A plain drag draws a box, with Shift it moves the map; a click at the end of a drag is no click on a point.
MARKED = {"fill": "#3F8FD9", "fillOpacity": 0.07, "stroke": "#3F8FD9", "strokeWidth": 1.5}
PLAIN_DRAG = "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!"
SHIFT_DRAG = "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!"


@dataclass(frozen=True)
class Colouring:
    """What colours the points: a column, of numbers where ``classes`` is empty; and its title."""

    column: str
    title: str
    classes: list[str]


@dataclass(frozen=True)
class MapOverlays:
    """What is drawn besides the points, and which of them stand out."""

    images: pd.DataFrame | None = None  # rows that are drawn as their ``image``, on top
    lit: pd.DataFrame | None = None  # rows that stand out while the others are dimmed; None dims nothing
    marked: pd.DataFrame | None = None  # rows in a ring, a large one where ``here``
    boxes: Sequence[tuple[float, float, float, float]] = ()  # drawn before: ``x`` from, to, ``y`` from, to


def scatter(
    points: pd.DataFrame,
    colouring: Colouring,
    overlays: MapOverlays = MapOverlays(),
    *,
    extent: tuple[float, float, float, float] | None = None,
    dark: bool = False,
    height: int = 620,
) -> alt.LayerChart:
    """A map of points ``x, y, number, label, pred, confidence, outcome, split, caption, spoiled, image``.

    A class has a colour and a shape, so that more classes than colours can be told apart; of ``spoiled`` and
    ``group`` the first is grey. ``image`` (a data URI or null) shows in the tooltip.

    Args:
        extent: of both axes, as a box; left out, that of the points.
    """
    ends = extent or (points["x"].min(), points["x"].max(), points["y"].min(), points["y"].max())
    place = {
        "x": alt.X("x:Q", axis=_axis(), scale=_scale(*ends[:2])),
        "y": alt.Y("y:Q", axis=_axis(), scale=_scale(*ends[2:])),
    }
    tooltip = _tooltip(colouring.column, colouring.title)
    layers, legend = _dots(points, colouring, overlays, {**place, "tooltip": tooltip})
    layers[0] = layers[0].add_params(*_selections(), *legend)
    layered: Any = alt.layer(_boxes(overlays.boxes, ends), *layers, _rings(overlays.marked, place, dark=dark))
    return layered.properties(height=height)


def _dots(
    points: pd.DataFrame, colouring: Colouring, overlays: MapOverlays, encoding: dict[str, Any]
) -> tuple[list[alt.Chart], list[Any]]:
    """The points, those that stand out, and images over them; and the legend's selection, if it has one."""
    lit, classes = overlays.lit, colouring.classes
    tints = _point_colours(colouring.column, colouring.title, classes, points)
    size = max(14, min(60, 60_000 // max(len(points), 1)))
    dots = alt.Chart(points).mark_point(
        filled=True, size=size, opacity=0.8 if lit is None else DIMMED, aria=False
    )
    layers: list[alt.Chart] = [dots.encode(**encoding, **tints)]
    if lit is not None:
        stand_out = alt.Chart(lit).mark_point(filled=True, size=max(size, 50), opacity=1, aria=False)
        layers.append(stand_out.encode(**encoding, **tints))
    if overlays.images is not None and not overlays.images.empty:
        shown_as = alt.Chart(overlays.images).mark_image(width=IMAGE, height=IMAGE, aria=False)
        layers.append(shown_as.encode(**encoding, url="image:N"))
    if not 0 < len(classes) <= MOST_IN_LEGEND or lit is not None:
        return layers, []
    pick = alt.selection_point(fields=[colouring.column], bind="legend", name="pick")
    solid = (0.85, 1.0)  # dots let others through, images do not
    layers = [
        layer.encode(opacity=alt.condition(pick, alt.value(full), alt.value(0.06)))
        for layer, full in zip(layers, solid, strict=False)
    ]
    return layers, [pick]


def _selections() -> list[Any]:
    """The zoom, a dragged box, and a clicked point."""
    mark: Any = MARKED
    return [
        alt.selection_interval(
            name=VIEW, bind="scales", zoom=PAN["zoom"], on=SHIFT_DRAG, translate=SHIFT_DRAG
        ),
        alt.selection_interval(name=BOX, on=PLAIN_DRAG, translate=False, zoom=False, mark=mark),
        alt.selection_point(name=POINT, fields=["number"], toggle=False),
    ]


def _rings(marked: pd.DataFrame | None, place: dict[str, Any], *, dark: bool) -> alt.Chart:
    rows = pd.DataFrame(columns=RING) if marked is None else marked[RING]
    ring = alt.Chart(rows).mark_point(filled=False, stroke=ink(dark), strokeWidth=2, opacity=1, aria=False)
    return ring.encode(**place, size=alt.condition("datum.here", alt.value(700), alt.value(220)))


def _boxes(
    boxes: Sequence[tuple[float, float, float, float]], ends: tuple[float, float, float, float]
) -> alt.Chart:
    mark: Any = MARKED
    drawn = alt.Chart(pd.DataFrame(list(boxes), columns=PLACES)).mark_rect(**mark, clip=True, aria=False)
    return drawn.encode(
        x=alt.X("left:Q", axis=_axis(), scale=_scale(*ends[:2])),
        x2="right:Q",
        y=alt.Y("bottom:Q", axis=_axis(), scale=_scale(*ends[2:])),
        y2="top:Q",
    )


def _axis() -> alt.Axis:
    return alt.Axis(title=None, labels=False, ticks=False, domain=False, grid=False)


def _scale(low: float, high: float) -> alt.Scale:
    margin = 0.02 * (high - low) or 1.0
    return alt.Scale(domain=[float(low - margin), float(high + margin)], zero=False, nice=False)


def _tooltip(colour: str, title: str) -> list[alt.Tooltip]:
    told = [
        alt.Tooltip("image:N"),
        alt.Tooltip("label:N"),
        alt.Tooltip("pred:N", title="predicted"),
        alt.Tooltip("confidence:Q", format=".1%"),
        alt.Tooltip("split:N"),
        alt.Tooltip("caption:N"),
        alt.Tooltip("sample_id:N", title="sample"),
    ]
    if colour in ("spoiled", "group"):
        told.append(alt.Tooltip(f"{colour}:N"))
    if colour == "number_shown":
        told.append(alt.Tooltip("number_shown:Q", title="value", format=".4g"))
    return told


def _point_colours(colour: str, title: str, classes: list[str], points: pd.DataFrame) -> dict[str, Any]:
    if colour == "confidence":
        scale = alt.Scale(domain=[0, 1], range=ORDERED[::-1])
        return {
            "color": alt.Color(
                "confidence:Q", title=title, scale=scale, legend=alt.Legend(format=".0%", gradientOpacity=1)
            )
        }
    if colour == "outcome":
        scale = alt.Scale(domain=["right", "wrong"], range=[GREY, RED])
        shape = alt.Scale(domain=["right", "wrong"], range=["circle", "diamond"])
        return {
            "color": alt.Color("outcome:N", title=title, scale=scale, legend=FULL),
            "shape": alt.Shape("outcome:N", title=title, scale=shape, legend=FULL),
        }
    if colour == "split":
        names = ["train", "val", "test"]
        scale = alt.Scale(domain=names, range=CATEGORIES[:3])
        return {"color": alt.Color("split:N", title=title, scale=scale, legend=FULL)}
    if not classes:
        known = points[colour].dropna()
        # Few extreme values must not share all the colours among themselves.
        ends = [float(end) for end in known.quantile([0.01, 0.99])] if len(known) else [0.0, 1.0]
        scale = alt.Scale(domain=ends, range=ORDERED, clamp=True)
        shaded = alt.Color(
            f"{colour}:Q", title=title, scale=scale, legend=alt.Legend(format=".3~g", gradientOpacity=1)
        )
        return {"color": alt.condition(f"isValid(datum.{colour})", shaded, alt.value(GREY))}
    # One shape more for each round through the colours.
    quiet = tuple(classes[:1]) if colour in ("spoiled", "group") else ()
    shapes = [SHAPES[i // len(CATEGORIES) % len(SHAPES)] for i in range(len(classes))]
    legend: Any = (
        None
        if len(classes) > MOST_IN_LEGEND
        else alt.Legend(symbolLimit=0, symbolOpacity=1, labelLimit=180, columns=1 + (len(classes) - 1) // 28)
    )
    return {
        "color": alt.Color(
            f"{colour}:N",
            title=title,
            sort=classes,
            scale=alt.Scale(domain=classes, range=colours(classes, ordered=False, quiet=quiet)),
            legend=legend,
        ),
        "shape": alt.Shape(
            f"{colour}:N",
            title=title,
            sort=classes,
            scale=alt.Scale(domain=classes, range=shapes),
            legend=legend,
        ),
    }
