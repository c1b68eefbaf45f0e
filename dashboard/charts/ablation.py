"""What filters do: a grid of thresholds, all cells with their intervals, the way to one cell, its classes."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from dashboard import text
from dashboard.charts.histogram import outlines
from dashboard.charts.intervals import differences, tooltip_ends
from dashboard.charts.palette import BLUE, CATEGORIES, GREY, ORANGE, RED
from dashboard.frames.ablation import BAD, CLEAN
from trainer.charts.effects import AGAINST, GridAxes, forest_layers, grid, reach_of
from trainer.charts.palette import GAIN, LOSS, ink
from trainer.charts.paper import NARROW
from trainer.charts.rows import LEAST, rows_high

__all__ = ["GridAxes", "classes", "forest", "grid", "histogram", "reach_of", "steps"]

MOST_NAMED = 60  # classes; of more, some names are left out


def forest(
    frame: pd.DataFrame, *, title: str, selected: int | None = None
) -> alt.LayerChart | alt.FacetChart:
    """`ablation.forest`: effects with intervals, filled where significant after correction.

    Args:
        selected: number of the cell that stands out; a click anywhere in a row selects another. None: no cell
            does, and a click does nothing.
    """
    stars = np.where(frame["chosen"], "★ ", "")
    frame = frame.assign(name=stars + frame["name"].astype(str))
    order = list(dict.fromkeys(frame["name"]))
    y = alt.Y("name:N", sort=order, title=None, axis=_names())
    band = (
        alt.Chart(frame[frame["number"] == selected].head(1))
        .mark_rect(color=GREY, opacity=0.22, cornerRadius=3, aria=False)
        .encode(y=y)
    )
    told = _told(frame, y)
    if selected is not None:
        pick = alt.selection_point(name="cell", fields=["number"], on="click", empty=False, toggle=False)
        told = told.add_params(pick)
    layers = [band, *forest_layers(frame, y, title=title), told]
    return alt.layer(*layers).properties(**rows_high(len(order), 28))


def _names() -> alt.Axis:
    """Of the cells; on a telephone a long name breaks between its parts."""
    return alt.Axis(
        labelExpr=f"{NARROW} ? split(datum.label, ' & ') : datum.label",
        labelFontSize=alt.ExprRef(f"{NARROW} ? 9 : 11"),
        labelLimit=alt.ExprRef(f"{NARROW} ? 150 : 330"),
        labelBaseline="middle",
        labelOverlap=False,
        ticks=False,
    )


def _told(frame: pd.DataFrame, y: alt.Y) -> alt.Chart:
    """The whole row of each cell, unseen, for the pointer."""
    cells = _row_words(frame)
    return (
        alt.Chart(cells)
        .mark_rect(opacity=0, cursor="pointer")
        .encode(
            y=y,
            tooltip=[
                alt.Tooltip("name:N", title="filter"),
                *(alt.Tooltip(f"{name}:N", title=f"against {name}") for name in AGAINST if name in cells),
                alt.Tooltip("kept:Q", title="training rows", format=",d"),
                alt.Tooltip("verdict:N"),
            ],
        )
    )


def _row_words(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, with a column of words for each comparison."""
    cells = frame.drop_duplicates("number")[["number", "name", "kept", "verdict"]].reset_index(drop=True)
    for against, rows in frame.groupby("against"):
        words = {
            row["number"]: f"{text.interval(row['value'], (row['low'], row['high']), text.signed)}, "
            f"p {text.p_value(row['p'])} (Holm)"
            for row in rows.to_dict("records")
        }
        cells[against] = [words.get(number, "–") for number in cells["number"]]
    return cells


def steps(frame: pd.DataFrame, *, title: str, dark: bool) -> alt.LayerChart | alt.FacetChart:
    """`ablation.steps`, with ``label``: a waterfall, each bar from the change before to the change after."""
    order = list(frame["label"])
    base = alt.Chart(frame.assign(way=np.where(frame["end"] >= frame["start"], "better", "worse"))).encode(
        y=alt.Y("label:N", sort=order, title=None, axis=_lines(230)),
        tooltip=[
            alt.Tooltip("step:N"),
            alt.Tooltip("end:Q", title="change against all rows", format="+.3f"),
            *tooltip_ends("+.3f"),
            alt.Tooltip("f1_macro:Q", title="macro-F1", format=".3f"),
            *tooltip_ends(".3f", "f1_macro_low", "f1_macro_high"),
            alt.Tooltip("kept:Q", title="training rows", format=",d"),
        ],
    )
    axis = alt.Axis(format="+.3~r", tickCount=6)
    bars = base.mark_bar(size=20, cornerRadius=2, opacity=0.75).encode(
        x=alt.X("start:Q", title=title, axis=axis),
        x2="end:Q",
        color=alt.Color(
            "way:N",
            scale=alt.Scale(domain=["better", "worse"], range=[GAIN, LOSS]),
            legend=alt.Legend(orient="top", title="the step is"),
        ),
    )
    zero = (
        alt.Chart(pd.DataFrame({"start": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5).encode(x="start:Q")
    )
    ends = base.mark_rule(strokeWidth=2, color=ink(dark)).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_point(size=80, filled=True, color=ink(dark), opacity=1).encode(
        x=alt.X("end:Q", title=title)
    )
    return alt.layer(zero, bars, ends, dots).properties(**rows_high(len(order), 46))


def classes(frame: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """`ablation.classes_of`, with ``label``: change of each class's F1 with its interval."""
    order = list(frame["label"])
    title = "change of F1 against training on all rows"
    base = alt.Chart(frame).encode(
        y=alt.Y("label:N", sort=order, title=None, axis=_lines(260, overlap=len(order) > MOST_NAMED)),
        tooltip=[
            alt.Tooltip("class:N"),
            alt.Tooltip("effect:Q", title="change of F1", format="+.3f"),
            *tooltip_ends("+.3f", "effect_low", "effect_high"),
            alt.Tooltip("effect_p_holm:Q", title="p (Holm, over classes)", format=".3f"),
            alt.Tooltip("kept:Q", title="training rows kept", format=",d"),
            alt.Tooltip("train:Q", title="of", format=",d"),
            alt.Tooltip("test:Q", title="n (test rows)", format=",d"),
        ],
    )
    layers = differences(base, "effect", title)
    return alt.layer(*layers).properties(**rows_high(len(order), 34 if len(order) <= MOST_NAMED else LEAST))


def histogram(bins: pd.DataFrame, *, title: str, at: float | None = None) -> alt.LayerChart | alt.FacetChart:
    """`ablation.spread`: a score's values, kinds of rows apart; a line at the lowest value kept."""
    totals = bins.drop_duplicates("kind").set_index("kind")["total"]
    names = {kind: f"{kind} (n = {total:,})" for kind, total in totals.items()}
    tints = {CLEAN: BLUE, BAD: ORANGE}
    palette = [tints.get(str(kind), CATEGORIES[i % len(CATEGORIES)]) for i, kind in enumerate(names)]
    bins = bins.assign(name=bins["kind"].map(names))
    low, high = float(bins["low"].min()), float(bins["high"].max())
    ends = [min(low, at), max(high, at)] if at is not None else [low, high]
    x = alt.X("low:Q", title=title, scale=alt.Scale(domain=ends, nice=False), axis=alt.Axis(tickCount=6))
    y = alt.Y("share:Q", title="share of its rows", axis=alt.Axis(format=".0%", tickCount=4), stack=None)
    colour = alt.Color(
        "name:N",
        title=None,
        sort=list(names.values()),
        scale=alt.Scale(domain=list(names.values()), range=palette),
        legend=alt.Legend(orient="top", labelLimit=220, columns=2, symbolOpacity=1),
    )
    tooltip = [
        alt.Tooltip("kind:N", title="rows"),
        alt.Tooltip("low:Q", title="from", format=".3~g"),
        alt.Tooltip("high:Q", title="to", format=".3~g"),
        alt.Tooltip("n:Q", title="rows", format=",d"),
        alt.Tooltip("share:Q", title="of its kind", format=".1%"),
    ]
    layers = list(outlines(bins, (x, y, colour), tooltip, opacity=0.15 if len(names) > 2 else 0.3, width=1.8))
    if at is not None:
        rule = alt.Chart(pd.DataFrame({"low": [at]})).mark_rule(color=RED, strokeWidth=2, strokeDash=[5, 3])
        layers.append(rule.encode(x="low:Q"))
    return alt.layer(*layers).properties(height=250)


def _lines(limit: int, *, overlap: bool = False) -> alt.Axis:
    """Of an axis whose labels have more than one line; on a telephone they are shorter."""
    return alt.Axis(
        labelExpr="split(datum.label, '\\n')",
        labelBaseline="middle",
        labelOffset=-6,  # of the first of two lines
        labelLimit=alt.ExprRef(f"{NARROW} ? 140 : {limit}"),
        labelFontSize=alt.ExprRef(f"{NARROW} ? 9 : 11"),
        labelOverlap=overlap,
        ticks=False,
    )
