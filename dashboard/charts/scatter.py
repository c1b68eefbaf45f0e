"""The map of the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, CATEGORIES, GREY, ORANGE, ORDERED, PAN, RED, colours
from trainer.charts.palette import ink

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
MOST_IN_LEGEND = 56  # more would take the room of the map
MOST_BELOW = 24  # classes of a legend below the map; a longer one stands beside it
IMAGE = 34  # pixels on the map
NAME_SIZE = 13  # pixels of a class name on the map
# names of the selections: a dragged box, a clicked point, the zoom, and what was clicked in the legend
BOX, POINT, VIEW, LEGEND = "box", "point", "view", "legend"
DIMMED = 0.13
LABEL_STATE = "label_state"  # column: whether a row has one label of several, and whether that was said
LABEL_SET = "label_set"  # column: all labels of a row, the rarer combinations under one name
RING = ["x", "y", "number", "here"]
PLACES = ["left", "right", "bottom", "top"]
# A plain drag draws a box, with Shift it moves the map; a click at the end of a drag is no click on a point.
MARKED = {"fill": "#3F8FD9", "fillOpacity": 0.07, "stroke": "#3F8FD9", "strokeWidth": 1.5}
PLAIN_DRAG = "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!"
LEGEND_CLICK = "click[event.item && indexof(event.item.mark.role, 'legend') === 0]"
SHIFT_DRAG = "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!"


@dataclass(frozen=True)
class Colouring:
    """What colours the points: a column, of numbers where ``classes`` is empty; its title; and which classes
    are picked in the legend before anybody clicks."""

    column: str
    title: str
    classes: list[str]
    picked: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapOverlays:
    """What is drawn besides the points, and which of them stand out."""

    images: pd.DataFrame | None = None  # rows that are drawn as their ``image``, on top
    lit: pd.DataFrame | None = None  # rows that stand out while the others are dimmed; None dims nothing
    marked: pd.DataFrame | None = None  # rows in a ring, a large one where ``here``
    names: pd.DataFrame | None = None  # ``x, y, name`` of classes, written on the map
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
    """A map of points ``x, y, number, label, pred, confidence, outcome, split, caption, corruption, image``.

    Both axes have the same units per pixel. A class has a colour and a shape, so that more classes than
    colours can be told apart; of ``corruption``, ``group``, ``tag``, `LABEL_STATE` and `LABEL_SET` the first
    is grey. ``image`` (a data URI or null) shows in the tooltip.

    Args:
        extent: of both axes, as a box; left out, that of the points.
    """
    ends = extent or (points["x"].min(), points["x"].max(), points["y"].min(), points["y"].max())
    scales = equal_scales(ends)
    place = {
        "x": alt.X("x:Q", axis=_axis(), scale=scales[0]),
        "y": alt.Y("y:Q", axis=_axis(), scale=scales[1]),
    }
    tooltip = _tooltip(colouring.column, colouring.title)
    if points["confidence"].isna().all():  # of a predicted number there is none
        tooltip = [one for one in tooltip if one.shorthand != "confidence:Q"]
    layers, legend = _dots(points, colouring, overlays, {**place, "tooltip": tooltip})
    layers[0] = layers[0].add_params(*_selections(), *legend)
    over = [_rings(overlays.marked, place, dark=dark), *_names(overlays.names, place, dark=dark)]
    layered: Any = alt.layer(_boxes(overlays.boxes, scales), *layers, *over)
    return layered.properties(height=height)


def equal_scales(ends: tuple[float, float, float, float], *, margin: float = 0.02) -> tuple[Any, Any]:
    """Scales of x and y with the same units per pixel, whatever size the chart has: distances on a map are
    distances in it.

    Args:
        ends: ``x`` from, to, ``y`` from, to; what the chart has to show.
        margin: as a share of the longer side.
    """
    left, right, bottom, top = (float(end) for end in ends)
    more = 2 * margin * max(right - left, top - bottom) or 2.0
    across, up = right - left + more, top - bottom + more
    halves = (
        f"max({across!r}, {up!r} * width / height) / 2",
        f"max({up!r}, {across!r} * height / width) / 2",
    )
    middles = ((left + right) / 2, (bottom + top) / 2)
    return tuple(  # type: ignore[return-value]
        alt.Scale(
            domain=[alt.ExprRef(f"{middle!r} - {half}"), alt.ExprRef(f"{middle!r} + {half}")],
            zero=False,
            nice=False,
        )
        for middle, half in zip(middles, halves, strict=True)
    )


def _dots(
    points: pd.DataFrame, colouring: Colouring, overlays: MapOverlays, encoding: dict[str, Any]
) -> tuple[list[alt.Chart], list[Any]]:
    """The points, those that stand out, and images over them; and the legend's selection."""
    lit = overlays.lit
    tints = _point_colours(colouring.column, colouring.title, colouring.classes, points)
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
    pick, by_legend = _legend_pick(colouring)
    if by_legend:
        # Dots let others through, images do not; points that do not match stay as dim as they are.
        solid = (0.85, 1.0) if lit is None else (DIMMED, 1.0, 1.0)
        layers = [
            layer.encode(opacity=alt.condition(pick, alt.value(full), alt.value(0.06)))
            for layer, full in zip(layers, solid, strict=False)
        ]
    return layers, [pick]


def _legend_pick(colouring: Colouring) -> tuple[Any, bool]:
    """The selection of classes by the legend, and whether there is a legend to click. It is always a part of
    the chart, as Streamlit forgets zoom and box of one that has other selections than before."""
    if not 0 < len(colouring.classes) <= MOST_IN_LEGEND:
        return alt.selection_point(name=LEGEND, fields=["number"], on="nothing", clear=False), False
    known: Any = [{colouring.column: name} for name in colouring.picked if name in colouring.classes]
    before = {"value": known} if known else {}
    # Each click takes a class in or out, without a key to hold. Vega-Lite would let go of them all at any
    # click on the map, and so after every drag.
    how: Any = {"bind": {"legend": LEGEND_CLICK}, "toggle": "true", **before}
    return alt.selection_point(name=LEGEND, fields=[colouring.column], **how), True


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


def _names(names: pd.DataFrame | None, place: dict[str, Any], *, dark: bool) -> list[alt.Chart]:
    """Names of classes, each over its own outline in the colour of the page."""
    if names is None or names.empty:
        return []
    text: dict[str, Any] = {"fontSize": NAME_SIZE, "fontWeight": 600, "aria": False}
    base = alt.Chart(names).encode(**place, text="name:N")
    halo = base.mark_text(stroke=ink(not dark), strokeWidth=4, strokeJoin="round", **text)
    return [halo.encode(strokeOpacity=alt.value(0.85)), base.mark_text(fill=ink(dark), **text)]


def _boxes(boxes: Sequence[tuple[float, float, float, float]], scales: tuple[Any, Any]) -> alt.Chart:
    mark: Any = MARKED
    drawn = alt.Chart(pd.DataFrame(list(boxes), columns=PLACES)).mark_rect(**mark, clip=True, aria=False)
    return drawn.encode(
        x=alt.X("left:Q", axis=_axis(), scale=scales[0]),
        x2="right:Q",
        y=alt.Y("bottom:Q", axis=_axis(), scale=scales[1]),
        y2="top:Q",
    )


def _axis() -> alt.Axis:
    return alt.Axis(title=None, labels=False, ticks=False, domain=False, grid=False)


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
    if colour == LABEL_STATE:
        told.insert(1, alt.Tooltip(f"{colour}:N", title=title))
    if colour in ("corruption", "group", "tag"):
        told.append(alt.Tooltip(f"{colour}:N"))
    if colour == "number_shown":
        told.append(alt.Tooltip("number_shown:Q", title="value", format=".4g"))
    return told


def _point_colours(colour: str, title: str, classes: list[str], points: pd.DataFrame) -> dict[str, Any]:
    if not classes:
        return {"color": _shades(colour, title, points)}
    field = f"{colour}:N"
    shared: Any = {"title": title, "sort": classes, "legend": _legend(classes)}
    if colour == "outcome":
        tints, shapes = [GREY, RED], ["circle", "diamond"]
    elif colour == LABEL_STATE:
        tints, shapes = [GREY, BLUE, ORANGE, RED], ["circle", "circle", "triangle-up", "diamond"]
    else:
        quiet = tuple(classes[:1]) if colour in ("corruption", "group", "tag", LABEL_SET) else ()
        tints = colours(classes, ordered=False, quiet=quiet)
        # One shape more for each round through the colours.
        shapes = [SHAPES[i // len(CATEGORIES) % len(SHAPES)] for i in range(len(classes))]
    return {
        "color": alt.Color(field, scale=alt.Scale(domain=classes, range=tints), **shared),
        "shape": alt.Shape(field, scale=alt.Scale(domain=classes, range=shapes), **shared),
    }


def _shades(colour: str, title: str, points: pd.DataFrame) -> Any:
    """The colours of a number; grey where it is not known."""
    legend: Any = {"orient": "bottom", "gradientOpacity": 1, "gradientLength": 200}
    if colour == "confidence":
        scale = alt.Scale(domain=[0, 1], range=ORDERED[::-1])
        return alt.Color("confidence:Q", title=title, scale=scale, legend=alt.Legend(format=".0%", **legend))
    known = points[colour].dropna()
    # Few extreme values must not share all the colours among themselves.
    ends = [float(end) for end in known.quantile([0.01, 0.99])] if len(known) else [0.0, 1.0]
    scale = alt.Scale(domain=ends, range=ORDERED, clamp=True)
    shaded = alt.Color(f"{colour}:Q", title=title, scale=scale, legend=alt.Legend(format=".3~g", **legend))
    return alt.condition(f"isValid(datum.{colour})", shaded, alt.value(GREY))


def _legend(classes: list[str]) -> alt.Legend | None:
    """Below the map in as many columns as fit, which leaves the map its width; a long one beside it."""
    if len(classes) > MOST_IN_LEGEND:
        return None
    solid: Any = {"symbolLimit": 0, "symbolOpacity": 1, "labelLimit": 180}  # however dim the points are
    if len(classes) > MOST_BELOW:
        return alt.Legend(columns=1 + (len(classes) - 1) // 28, **solid)
    column = min(220, 40 + 7 * max(len(name) for name in classes))
    columns: Any = alt.ExprRef(f"max(1, floor(width / {column}))")
    return alt.Legend(orient="bottom", columns=columns, **solid)
