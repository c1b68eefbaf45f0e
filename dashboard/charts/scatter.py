"""The map of the features."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import CATEGORIES, GREY, ORDERED, PAN, RED, colours

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]


PICTURE = 34  # pixels on the map


def scatter(
    points: pd.DataFrame,
    *,
    colour: str,
    title: str,
    classes: list[str],
    pictures: pd.DataFrame | None = None,
    height: int = 620,
) -> alt.LayerChart:
    """A map of points ``x, y, label, pred, confidence, outcome, split, caption, spoiled, image``.

    ``colour`` is one of these columns. A class has a colour and a shape, so that more classes than
    colours can be told apart; of ``spoiled`` the first, the rows as they were, is grey. ``image`` (a data
    URI or null) shows in the tooltip. The rows of ``pictures`` are drawn as their ``image``.
    """
    axis = alt.Axis(title=None, labels=False, ticks=False, domain=False, grid=False)
    place = {
        "x": alt.X("x:Q", axis=axis, scale=alt.Scale(zero=False, padding=12, nice=False)),
        "y": alt.Y("y:Q", axis=axis, scale=alt.Scale(zero=False, padding=12, nice=False)),
        "tooltip": [
            alt.Tooltip("image:N"),
            alt.Tooltip("label:N"),
            alt.Tooltip("pred:N", title="predicted"),
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("split:N"),
            alt.Tooltip("caption:N"),
            alt.Tooltip("sample_id:N", title="sample"),
            *([alt.Tooltip("spoiled:N")] if colour == "spoiled" else []),
        ],
    }
    size = max(14, min(60, 60_000 // max(len(points), 1)))
    dots = (
        alt.Chart(points)
        .mark_point(filled=True, size=size, opacity=0.8)
        .encode(**place, **_point_colours(colour, title, classes))
    )
    pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
    layers, params = [dots], [pan]
    if pictures is not None and not pictures.empty:
        shown_as = alt.Chart(pictures).mark_image(width=PICTURE, height=PICTURE)
        layers.append(shown_as.encode(**place, url="image:N"))
    if colour != "confidence":
        pick = alt.selection_point(fields=[colour], bind="legend", name="pick")
        solid = (0.85, 1.0)  # dots let others through, pictures do not
        layers = [
            layer.encode(opacity=alt.condition(pick, alt.value(full), alt.value(0.06)))
            for layer, full in zip(layers, solid, strict=False)
        ]
        params = [pan, pick]
    layered: Any = alt.layer(layers[0].add_params(*params), *layers[1:])
    return layered.properties(height=height)


def _point_colours(colour: str, title: str, classes: list[str]) -> dict[str, Any]:
    if colour == "confidence":
        scale = alt.Scale(domain=[0, 1], range=ORDERED[::-1])
        return {"color": alt.Color("confidence:Q", title=title, scale=scale, legend=alt.Legend(format=".0%"))}
    if colour == "outcome":
        scale = alt.Scale(domain=["right", "wrong"], range=[GREY, RED])
        shape = alt.Scale(domain=["right", "wrong"], range=["circle", "diamond"])
        return {
            "color": alt.Color("outcome:N", title=title, scale=scale),
            "shape": alt.Shape("outcome:N", title=title, scale=shape),
        }
    if colour == "split":
        names = ["train", "val", "test"]
        return {
            "color": alt.Color("split:N", title=title, scale=alt.Scale(domain=names, range=CATEGORIES[:3]))
        }
    # One shape more for each round through the colours.
    quiet = tuple(classes[:1]) if colour == "spoiled" else ()
    shapes = [SHAPES[i // len(CATEGORIES) % len(SHAPES)] for i in range(len(classes))]
    legend = alt.Legend(symbolLimit=0, labelLimit=180, columns=1 + (len(classes) - 1) // 28)
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
