"""Charts of one prediction: probabilities by class, and the position among the rows of the map."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREY, ORANGE, PAN
from dashboard.charts.scatter import equal_scales
from trainer.charts.palette import ink

HEAD, ZERO_SHOT = "head", "zero-shot"
IMAGE = 56  # pixels of the image on the map


def probabilities(answers: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """A bar for each class of ``class, by, probability``; zero-shot, where it is there, as a dot.

    The classes keep the order they come in.
    """
    order = list(dict.fromkeys(answers["class"]))
    by = [name for name in (HEAD, ZERO_SHOT) if name in set(answers["by"])]
    y = alt.Y(
        "class:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, labelOverlap=False, ticks=False)
    )
    x = alt.X(
        "probability:Q",
        title="probability",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    colour = alt.Color(
        "by:N",
        title=None,
        scale=alt.Scale(domain=by, range=[BLUE, ORANGE][: len(by)]),
        legend=alt.Legend(orient="top", symbolType="circle", labelLimit=260) if len(by) > 1 else None,
    )
    told = [
        alt.Tooltip("class:N"),
        alt.Tooltip("by:N", title="predicted by"),
        alt.Tooltip("probability:Q", format=".2%"),
    ]
    bars = (
        alt.Chart(answers[answers["by"] == HEAD])
        .mark_bar(cornerRadiusEnd=2, height={"band": 0.62})
        .encode(x=x, y=y, color=colour, tooltip=told)
    )
    dots = (
        alt.Chart(answers[answers["by"] == ZERO_SHOT])
        .mark_point(filled=True, size=90, opacity=1, stroke="white", strokeWidth=1)
        .encode(x=x, y=y, color=colour, tooltip=told)
    )
    layers = [bars, dots][: len(by)]  # an empty layer would be a figure without a name to who cannot see
    return alt.layer(*layers).properties(height=90 + 24 * len(order))


def place(
    rows: pd.DataFrame, here: pd.DataFrame, *, title: str, dark: bool, height: int = 560
) -> alt.LayerChart:
    """The map's rows ``x, y, likely, label, split, sample_id, near`` and the image ``x, y, image`` on it.

    Rows of the predicted class (``likely``) are blue, the others grey; neighbours have a ring. A null
    ``image`` is drawn as an orange diamond. Shift and drag moves, Shift and wheel zooms.
    """
    both = pd.concat([rows[["x", "y"]], here[["x", "y"]]])
    scales = equal_scales(tuple(float(f(both[c])) for c in ("x", "y") for f in (min, max)), margin=0.04)  # type: ignore[arg-type]
    axis = alt.Axis(title=None, labels=False, ticks=False, domain=False, grid=False)
    x, y = alt.X("x:Q", axis=axis, scale=scales[0]), alt.Y("y:Q", axis=axis, scale=scales[1])
    names = [title, "other rows"]
    told = [
        alt.Tooltip("label:N"),
        alt.Tooltip("split:N"),
        alt.Tooltip("sample_id:N", title="sample"),
    ]
    dots = (
        alt.Chart(rows.assign(group=rows["likely"].map({True: title, False: "other rows"})))
        .mark_point(filled=True, size=max(14, min(50, 50_000 // max(len(rows), 1))), opacity=0.7, aria=False)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "group:N",
                title=None,
                scale=alt.Scale(domain=names, range=[BLUE, GREY]),
                legend=alt.Legend(orient="top", symbolOpacity=1, labelLimit=260),
            ),
            tooltip=told,
        )
        .add_params(alt.selection_interval(**PAN))  # type: ignore[arg-type]
    )
    rings = (
        alt.Chart(rows[rows["near"]])
        .mark_point(filled=False, stroke=ink(dark), strokeWidth=1.5, size=130, opacity=1, aria=False)
        .encode(x=x, y=y, tooltip=told)
    )
    layered: Any = alt.layer(dots, rings, *_marker(here, x, y, dark=dark))
    return layered.properties(height=height)


def _marker(here: pd.DataFrame, x: Any, y: Any, *, dark: bool) -> list[alt.Chart]:
    """The image in a ring, or a diamond where there is none: a null image is drawn as a broken file."""
    base = alt.Chart(here).encode(x=x, y=y)
    if here["image"].isna().all():
        diamond: dict[str, Any] = {"shape": "diamond", "fill": ORANGE, "strokeWidth": 2, "size": 420}
        return [base.mark_point(filled=True, stroke=ink(dark), opacity=1, aria=False, **diamond)]
    size = (IMAGE + 18) ** 2
    ring = base.mark_point(filled=False, stroke=ink(dark), strokeWidth=2.5, size=size, opacity=1, aria=False)
    return [base.mark_image(width=IMAGE, height=IMAGE, aria=False).encode(url="image:N"), ring]
