"""The map of the features."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import CATEGORIES, GREY, ORDERED, PAN, RED, colours

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
MOST_IN_LEGEND = 56  # more would take the room of the map
PICTURE = 34  # pixels on the map
BOX, POINT, VIEW = "box", "point", "view"  # names of the selections: a dragged box, a clicked point, the zoom
DIMMED = 0.13
FULL = alt.Legend(symbolOpacity=1)  # however dim the points are
RING = ["x", "y", "number", "here"]
PLACES = ["left", "right", "bottom", "top"]
# A plain drag draws a box, with Shift it moves the map; a click at the end of a drag is no click on a point.
MARKED = {"fill": "#3F8FD9", "fillOpacity": 0.07, "stroke": "#3F8FD9", "strokeWidth": 1.5}
PLAIN_DRAG = "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!"
SHIFT_DRAG = "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!"


def scatter(
    points: pd.DataFrame,
    *,
    colour: str,
    title: str,
    classes: list[str],
    pictures: pd.DataFrame | None = None,
    lit: pd.DataFrame | None = None,
    marked: pd.DataFrame | None = None,
    boxes: list[tuple[float, float, float, float]] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    dark: bool = False,
    height: int = 620,
) -> alt.LayerChart:
    """A map of points ``x, y, number, label, pred, confidence, outcome, split, caption, spoiled, image``.

    ``colour`` is one of these columns, or another one: of numbers where ``classes`` is empty. A class has a
    colour and a shape, so that more classes than colours can be told apart; of ``spoiled`` and ``group`` the
    first is grey. ``image`` (a data URI or null) shows in the tooltip.

    Args:
        pictures: rows that are drawn as their ``image``, on top.
        lit: rows that stand out while the others are dimmed; ``None`` dims nothing.
        marked: rows in a ring, a large one where ``here``.
        boxes: that were drawn before, ``x`` from and to, ``y`` from and to.
        extent: of both axes, likewise; left out, that of the points.
    """
    ends = extent or (points["x"].min(), points["x"].max(), points["y"].min(), points["y"].max())
    place = {
        "x": alt.X("x:Q", axis=_axis(), scale=_scale(*ends[:2])),
        "y": alt.Y("y:Q", axis=_axis(), scale=_scale(*ends[2:])),
    }
    told = {"tooltip": _tooltip(colour, title)}
    tints = _point_colours(colour, title, classes, points)
    size = max(14, min(60, 60_000 // max(len(points), 1)))
    ink = "#E8ECF0" if dark else "#11171E"
    loud = 0.8 if lit is None else DIMMED
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=size, opacity=loud, aria=False)
        .encode(**place, **told, **tints)
    )
    layers: list[alt.Chart] = [dots]
    mark: Any = MARKED
    params: list[Any] = [
        alt.selection_interval(
            name=VIEW, bind="scales", zoom=PAN["zoom"], on=SHIFT_DRAG, translate=SHIFT_DRAG
        ),
        alt.selection_interval(name=BOX, on=PLAIN_DRAG, translate=False, zoom=False, mark=mark),
        alt.selection_point(name=POINT, fields=["number"], toggle=False),
    ]
    if lit is not None:
        stand_out = alt.Chart(lit).mark_point(filled=True, size=max(size, 50), opacity=1, aria=False)
        layers.append(stand_out.encode(**place, **told, **tints))
    if pictures is not None and not pictures.empty:
        shown_as = alt.Chart(pictures).mark_image(width=PICTURE, height=PICTURE, aria=False)
        layers.append(shown_as.encode(**place, **told, url="image:N"))
    if 0 < len(classes) <= MOST_IN_LEGEND and lit is None:
        pick = alt.selection_point(fields=[colour], bind="legend", name="pick")
        solid = (0.85, 1.0)  # dots let others through, pictures do not
        layers = [
            layer.encode(opacity=alt.condition(pick, alt.value(full), alt.value(0.06)))
            for layer, full in zip(layers, solid, strict=False)
        ]
        params.append(pick)
    empty = pd.DataFrame(columns=RING)
    ring = alt.Chart(empty if marked is None else marked[RING]).mark_point(
        filled=False, stroke=ink, strokeWidth=2, opacity=1, aria=False
    )
    layers.append(ring.encode(**place, size=alt.condition("datum.here", alt.value(700), alt.value(220))))
    drawn = alt.Chart(pd.DataFrame(boxes or [], columns=PLACES))
    layers.insert(0, drawn.mark_rect(**mark, clip=True, aria=False).encode(
        x=alt.X("left:Q", axis=_axis(), scale=_scale(*ends[:2])), x2="right:Q",
        y=alt.Y("bottom:Q", axis=_axis(), scale=_scale(*ends[2:])), y2="top:Q",
    ))  # fmt: skip
    layers[1] = layers[1].add_params(*params)
    layered: Any = alt.layer(*layers)
    return layered.properties(height=height)


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
