"""What the hyperparameters do: importance, parallel coordinates, slices, a map of two, rungs.

Names of parameters and their values come from strangers. They are drawn as data, never as the title of a
tooltip's line, where one named "image" would be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from dashboard import text
from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, CATEGORIES, GREEN, GREY, ORANGE, ORDERED, RED
from dashboard.charts.progress import STATES
from dashboard.frames.hyperparameters import (
    BELOW,
    FAILED,
    PRUNED,
    RUNNING,
    STAYED,
    Objective,
    Parameter,
    Yardstick,
    number_ticks,
    segments,
    wrap,
)
from trainer.charts.palette import ground, ink
from trainer.charts.rows import rows_high

Figure = alt.LayerChart | alt.FacetChart
BRUSH = "brush"  # name of the selection that is dragged over axes
PICK = "pick"  # name of the selection that holds the clicked trial
FATES = {STAYED: BLUE, PRUNED: GREY, FAILED: RED, RUNNING: ORANGE}
STEP = 118  # pixels between two axes
ASLANT = 34  # characters of a line that is written aslant
MOST_LABELS = 16  # of choices side by side
SLICE_HEIGHT = 270  # pixels
MOST_KNOTTED = 60  # lines with a ring at each axis; of more the rings would hide the lines
SMALLEST = 640  # pixels across of parallel coordinates


@dataclass(frozen=True)
class TrialStyle:
    """What charts of trials share."""

    objective: Objective
    chosen: int | None  # the trial that is drawn strongly
    dark: bool


def importance(table: pd.DataFrame, *, dark: bool) -> Figure:
    """`importance.table`'s parameters that could be told: bars with intervals, and what chance gives."""
    names = list(table["title"].map(wrap_name))
    frame = table.assign(
        name=names, says=table["stands_out"].map({True: "above chance", False: "not above chance"})
    )
    x_scale = alt.Scale(
        domain=[0, min(1.0, max(table["high"].max(), table["chance"].max()) * 1.05)], nice=True
    )
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=names, title=None, scale=alt.Scale(paddingInner=0.35),
                axis=alt.Axis(labelLimit=0, labelLineHeight=12, labelOverlap=False, ticks=False, domain=False,
                              labelExpr=r"split(datum.label, '\n')")),
        tooltip=[
            alt.Tooltip("title:N", title="parameter"),
            alt.Tooltip("explained:Q", format=".1%"),
            *tooltip_ends(".1%"),
            alt.Tooltip("chance:Q", title="chance level (Holm)", format=".1%"),
            alt.Tooltip("p_holm:Q", title="p (Holm)", format=".3f"),
            alt.Tooltip("share:Q", title="share of all", format=".1%"),
            alt.Tooltip("n:Q", title="n (trials that have it)", format=",d"),
            alt.Tooltip("best:Q", title="among the best", format=",d"),
        ],
    )  # fmt: skip
    title = "share of “top 10 %” explained"
    x = alt.X("explained:Q", title=title, scale=x_scale, axis=alt.Axis(format=".0%", tickCount=8, grid=True))
    colour = alt.Color(
        "says:N",
        title=None,
        scale=alt.Scale(domain=["above chance", "not above chance"], range=[BLUE, GREY]),
        legend=alt.Legend(orient="top"),
    )
    bars = base.mark_bar(cornerRadiusEnd=2, opacity=0.75).encode(x=x, color=colour)
    ends = base.mark_rule(strokeWidth=1.5, color=ink(dark)).encode(
        x=alt.X("low:Q", title=title, scale=x_scale), x2="high:Q"
    )
    chance = base.mark_tick(thickness=2.5, color=RED, opacity=1).encode(
        x=alt.X("chance:Q", title=title, scale=x_scale)
    )
    lines = max(name.count("\n") + 1 for name in names)
    return (bars + ends + chance).properties(**rows_high(len(names), 13 * lines + 6))


def wrap_name(name: str) -> str:
    return wrap(name, 26)


def parallel_height(ticks: pd.DataFrame) -> int:
    """Pixels that the labels of the fullest axis need."""
    lines = ticks["label"].str.count("\n") + 1
    return max(440, 150 + 14 * int(lines.groupby(ticks["axis"]).sum().max()))


def parallel(
    lines: pd.DataFrame,
    ticks: pd.DataFrame,
    style: TrialStyle,
    *,
    colours: tuple[float, float],
) -> Figure:
    """Trials as lines across the axes of `hyperparameters.polylines`; failed and pruned ones faint.

    Args:
        colours: scores of the first and last colour; what lies beyond has the same.
    """
    chosen, dark = style.chosen, style.dark
    order = list(dict.fromkeys(ticks["axis"]))
    more_lines = max(title.count("\n") for title in order)
    x = alt.X(
        "axis:N",
        sort=order,
        title=None,
        scale=alt.Scale(type="point", domain=order, padding=0.35),
        axis=alt.Axis(orient="top", labelAngle=0, labelLimit=0, labelFontWeight="bold", labelOverlap=False,
                      labelLineHeight=13, labelPadding=8 + 13 * more_lines, ticks=False, domain=False,
                      grid=True, gridOpacity=1, gridWidth=1.5, labelExpr=r"split(datum.label, '\n')"),
    )  # fmt: skip
    low = min(BELOW if (ticks["at"] < 0).any() else 0.0, 0.0)
    y = alt.Y("at:Q", title=None, axis=None, scale=alt.Scale(domain=[low - 0.04, 1.04], nice=False))
    colour = _score_colour(style.objective, colours)
    trials = lines["trial"].nunique()
    strength = min(0.8, max(0.35, 40 / trials))  # of many lines each is fainter
    pieces = alt.Chart(_worded(segments(lines))).encode(x=x, y=y, x2="next:N", y2="next_at:Q")
    drawn = pieces.mark_rule(strokeWidth=1.6, aria=False).encode(
        color=colour,
        opacity=alt.condition("datum.state === 'complete'", alt.value(strength), alt.value(strength / 4)),
    )
    wide = pieces.mark_rule(strokeWidth=9, opacity=0.001, aria=False).encode(tooltip="here:N")
    height = parallel_height(ticks)
    up = (ticks["label"].str.count("\n")) * 6 / (height - 150)  # half of the lines after the first
    at = alt.Chart(ticks.assign(label_at=ticks["at"] + up)).encode(x=x, y=y)
    labels = at.encode(text="label:N", y=alt.Y("label_at:Q", title=None, axis=None))
    words: dict[str, Any] = {
        "align": "left",
        "dx": 7,
        "fontSize": 11,
        "lineBreak": "\n",
        "lineHeight": 12,
        "baseline": "middle",
    }
    halo = labels.mark_text(**words, stroke=ground(dark), strokeWidth=4, strokeJoin="round", opacity=0.85)
    text = labels.mark_text(**words, color=ink(dark))
    marks = at.mark_tick(orient="horizontal", thickness=1.5, width=7, color=GREY)
    drag = "[pointerdown, window:pointerup] > window:pointermove!"
    brush = alt.selection_interval(name=BRUSH, on=drag, translate=False, zoom=False)
    brushed = at.mark_tick(opacity=0, aria=False).add_params(brush)
    strong = [] if chosen is None else [_strong(lines[lines["trial"] == chosen], x, y, dark=dark)]
    knots = [_knots(lines, x, y, colour)] if trials <= MOST_KNOTTED else []
    layers = [brushed, drawn, *strong, wide.add_params(_picked()), *knots, marks, halo, text]
    return alt.layer(*layers).properties(height=height, width=max(SMALLEST, len(order) * STEP))


def _strong(line: pd.DataFrame, x: alt.X, y: alt.Y, *, dark: bool) -> alt.Chart:
    """The line of the chosen trial."""
    return alt.Chart(line).mark_line(strokeWidth=4, color=ink(dark)).encode(x=x, y=y)


def _knots(lines: pd.DataFrame, x: alt.X, y: alt.Y, colour: alt.Color) -> alt.Chart:
    """A ring where a line meets an axis, with what the trial has there."""
    rings = alt.Chart(_worded(lines)).mark_point(size=16, strokeWidth=2.5, filled=False)
    faint = alt.condition("datum.state === 'complete'", alt.value(0.9), alt.value(0.3))
    return rings.encode(x=x, y=y, color=colour, opacity=faint, tooltip="here:N")


def _score_colour(objective: Objective, colours: tuple[float, float]) -> alt.Color:
    ends = list(colours) if colours[0] < colours[1] else [colours[0] - 0.5, colours[0] + 0.5]
    return alt.Color(
        "score:Q",
        title=objective.title,
        scale=alt.Scale(domain=ends, range=ORDERED if objective.up else ORDERED[::-1], clamp=True),
        legend=alt.Legend(
            type="gradient",
            orient="bottom",
            gradientLength=200,
            gradientThickness=10,
            gradientOpacity=1,
            titleLimit=0,
            titleOrient="top",
            format=".3~r",
        ),
    )


def _states(present: pd.Series) -> alt.Color:
    shown = [state for state in STATES if state in set(present)]
    scale = alt.Scale(domain=[str(state) for state in shown], range=[STATES[state] for state in shown])
    return alt.Color("state:N", title=None, scale=scale, legend=None)


def slices(
    rows: pd.DataFrame,
    means: pd.DataFrame | None,
    parameter: Parameter,
    style: TrialStyle,
    *,
    extent: tuple[float, float],
    pick: str = PICK,
) -> Figure:
    """One parameter against the score: `hyperparameters.slice_of`, of choices with their `means`.

    Args:
        extent: of the score's axis, the same for all parameters; what lies beyond is cut.
        pick: name of the selection; charts beside each other must not share one.
    """
    y_scale = alt.Scale(domain=_with_margin(extent), nice=False)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=wrap(style.objective.title, 40), scale=y_scale)

    place = {"x": _axis(alt.X, "x", parameter, rows["x"], room=SLICE_HEIGHT), "y": y("score")}
    base = alt.Chart(_worded(rows))
    dots = base.mark_circle(size=44, opacity=0.65, clip=True).encode(
        **place, color=_states(rows["state"]), tooltip="here:N"
    )
    layers = [dots.add_params(_picked(pick))]
    if means is not None and len(means):
        layers += _means(means, place["x"], y, width=min(22, 220 // len(parameter.choices)), dark=style.dark)
    return alt.layer(*layers, *_ring(base, rows, place, style)).properties(height=SLICE_HEIGHT)


def _means(
    means: pd.DataFrame, x: alt.X, y: Callable[[str], alt.Y], *, width: int, dark: bool
) -> list[alt.Chart]:
    """The mean of each choice as a bar, with its interval where there is one."""
    base = alt.Chart(means).encode(
        x=x,
        tooltip=[
            alt.Tooltip("choice:N"),
            alt.Tooltip("mean:Q", title="mean of complete", format=".3f"),
            *tooltip_ends(".3f"),
            alt.Tooltip("n:Q", title="n (complete)", format="d"),
            alt.Tooltip("tried:Q", title="with a score", format="d"),
        ],
    )
    layers = []
    if means["low"].notna().any():
        ends = base.transform_filter("isValid(datum.low)")
        rule = ends.mark_rule(strokeWidth=2.5, color=ink(dark), clip=True)
        layers.append(rule.encode(y=y("low"), y2="high:Q"))
    tick = base.mark_tick(
        thickness=3, width=width, color=ink(dark), opacity=1, orient="horizontal", clip=True
    )
    return [*layers, tick.encode(y=y("mean"))]


def _picked(name: str = PICK) -> alt.Parameter:
    return alt.selection_point(fields=["trial"], name=name, on="click", empty=False, clear="dblclick")


def _ring(base: alt.Chart, rows: pd.DataFrame, place: dict[str, Any], style: TrialStyle) -> list[alt.Chart]:
    """A ring around the chosen trial where it is drawn."""
    if style.chosen is None or not (rows["trial"] == style.chosen).any():
        return []
    ring = base.transform_filter(f"datum.trial === {int(style.chosen)}").mark_point(
        size=190, strokeWidth=3, color=ink(style.dark), filled=False, clip=True
    )
    return [ring.encode(**place)]


def _worded(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what their tooltips say: ``says`` of the trial, ``here`` of the trial and its place."""
    says = _trial_words(rows)
    return rows.assign(says=says, here=says + ", " + rows["here"])


def _trial_words(rows: pd.DataFrame) -> pd.Series:
    """What the tooltip of each row's dot begins with, in words: a table of values in each of a thousand would
    take the browser longer than drawing the dots."""
    columns = [rows[name] for name in ("trial", "state", "score")]
    says = [
        f"trial {trial} ({state}): {text.score(score)}" for trial, state, score in zip(*columns, strict=True)
    ]
    return pd.Series(says, index=rows.index, dtype=object)


def _axis(channel: Any, column: str, parameter: Parameter, values: pd.Series, *, room: int) -> Any:
    """The axis of a parameter, across or up; choices stand at whole numbers, none cut.

    Args:
        room: pixels that the labels of choices may share before they are written aslant.
    """
    title = wrap(parameter.title + (" (log)" if parameter.log else ""), 40).split("\n")
    if parameter.numeric:
        kind: Any = {"type": "log", "nice": False} if parameter.log else {"zero": False, "nice": False}
        ticks = number_ticks(float(values.min()), float(values.max()), log=parameter.log)
        form = "~g" if parameter.log else "~r"  # the latter never writes 1e+2
        axis = alt.Axis(grid=False, values=ticks, format=form, titleLimit=0)
        return channel(f"{column}:Q", title=title, scale=alt.Scale(padding=8, **kind), axis=axis)
    across = channel is alt.X
    lines = [wrap(choice).split("\n") for choice in parameter.choices]
    widest = max(len(line) for label in lines for line in label)
    aslant = across and 6.5 * (widest + 2) * len(lines) > room
    if aslant:
        lines = [wrap(choice, ASLANT).split("\n") for choice in parameter.choices]
    axis = alt.Axis(
        values=list(range(len(lines))),
        labelExpr=f"{json.dumps(lines)}[datum.value]",  # JSON's literals: nothing in them is evaluated
        labelAngle=-40 if aslant else 0,
        labelAlign="right" if aslant or not across else "center",
        labelLimit=0,
        labelOverlap=across and len(lines) > MOST_LABELS,
        labelLineHeight=11,
        titleLimit=0,
        grid=False,
        ticks=False,
    )
    scale = alt.Scale(domain=[-0.5, len(lines) - 0.5], nice=False)
    return channel(f"{column}:Q", title=title, scale=scale, axis=axis)


def contour(
    cells: pd.DataFrame,
    dots: pd.DataFrame,
    across: Parameter,
    up: Parameter,
    style: TrialStyle,
    *,
    colours: tuple[float, float],
) -> Figure:
    """`hyperparameters.cells`: the mean of each cell that has trials, under its trials."""
    colour = _score_colour(style.objective, colours)
    height = max(430, 150 + sum(13 * (wrap(choice).count("\n") + 1) for choice in up.choices))
    place = {
        "x": _axis(alt.X, "x", across, dots["x"], room=900),
        "y": _axis(alt.Y, "y", up, dots["y"], room=height),
    }
    told = [
        alt.Tooltip("score:Q", title="mean", format=".3f"),
        alt.Tooltip("n:Q", title="n (trials)", format="d"),
    ]
    tiles = alt.Chart(cells.rename(columns={"mean": "score"})).mark_rect(opacity=0.5)
    base = alt.Chart(_worded(dots))
    points = base.mark_circle(size=58, opacity=1, stroke=ink(style.dark), strokeWidth=0.8)
    return alt.layer(
        tiles.encode(**place, x2="x_end:Q", y2="y_end:Q", color=colour, tooltip=told),
        points.encode(**place, color=colour, tooltip="here:N").add_params(_picked()),
        *_ring(base, dots, place, style),
    ).properties(height=height)


def best_so_far(
    frame: pd.DataFrame,
    yardstick: Yardstick | None,
    style: TrialStyle,
    *,
    against: str,
    extent: tuple[float, float],
) -> Figure:
    """`hyperparameters.best_so_far` against ``done`` or ``seconds``, with what the search must beat."""
    title = "trials done" if against == "done" else "seconds since the sweep began"
    known = frame.dropna(subset=[against])
    known = known.assign(says=_trial_words(known) + _reached(known))
    end = float(known[against].max())
    x_scale = alt.Scale(domain=[0, end * 1.02 or 1], nice=False)
    axis = (
        alt.Axis(grid=False, tickMinStep=1, format=",d")
        if against == "done"
        else alt.Axis(grid=False, format=",~r")
    )
    x = alt.X(f"{against}:Q", title=title, scale=x_scale, axis=axis)
    y_scale, y_title = alt.Scale(domain=_with_margin(extent), nice=False), wrap(style.objective.title, 40)
    y = alt.Y("score:Q", title=y_title, scale=y_scale)
    base = alt.Chart(known)
    line = base.mark_line(interpolate="step-after", strokeWidth=2.5, color=ORANGE, clip=True).encode(
        x=x, y=alt.Y("best:Q", title=y_title, scale=y_scale)
    )
    dots = base.mark_circle(size=42, opacity=0.7, clip=True).encode(
        x=x, y=y, color=_states(frame["state"]), tooltip="says:N"
    )
    layers: list[alt.Chart] = [dots.add_params(_picked()), line]
    if yardstick is not None:
        layers += _to_beat(yardstick, alt.X("end:Q", title=title, scale=x_scale), y, end, dark=style.dark)
    return alt.layer(*layers).properties(height=300)


def _reached(known: pd.DataFrame) -> pd.Series:
    """How far the search was when each trial ended, in words."""
    words = [
        f", best so far {text.score(best)} after {text.count(int(done), 'trial')}"
        + ("" if pd.isna(seconds) else f" and {seconds:,.1f} s")
        for best, done, seconds in known[["best", "done", "seconds"]].itertuples(index=False)
    ]
    return pd.Series(words, index=known.index, dtype=object)


def _to_beat(yardstick: Yardstick, x: alt.X, y: alt.Y, end: float, *, dark: bool) -> list[alt.Chart]:
    """A dashed rule with its name at the end of the axis."""
    rule = pd.DataFrame({"score": [yardstick.score], "says": [f"best {yardstick.name}"], "end": [end]})
    at = alt.Chart(rule).encode(y=y)
    words = at.encode(x=x, text="says:N")
    kind: dict[str, Any] = {"align": "right", "dx": -4, "dy": 5, "baseline": "top", "fontWeight": "bold"}
    return [
        at.mark_rule(strokeDash=[6, 4], strokeWidth=2, color=GREEN),
        words.mark_text(**kind, stroke=ground(dark), strokeWidth=5, strokeJoin="round"),
        words.mark_text(**kind, color=GREEN),
    ]


def survival(frame: pd.DataFrame, *, height: int = 260) -> alt.Chart:
    """`hyperparameters.survival`: trials at each rung, by what became of them there."""
    fates = [fate for fate in FATES if fate in set(frame["fate"])]
    frame = frame.assign(
        name=frame["rung"].map(lambda rung: f"epoch {rung}"), order=frame["fate"].map(list(FATES).index)
    )
    names = [f"epoch {rung}" for rung in sorted(frame["rung"].unique())]
    scale = alt.Scale(domain=fates, range=[FATES[fate] for fate in fates])
    return (
        alt.Chart(frame)
        .mark_bar(opacity=0.85)
        .encode(
            x=alt.X("name:N", sort=names, title="rung", axis=alt.Axis(labelAngle=0, ticks=False)),
            y=alt.Y("n:Q", title="trials", axis=alt.Axis(tickMinStep=1, format=",d")),
            color=alt.Color("fate:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            order="order:Q",
            tooltip=[
                alt.Tooltip("name:N", title="rung"),
                alt.Tooltip("fate:N", title="trials that"),
                alt.Tooltip("n:Q", format=",d"),
                alt.Tooltip("reached:Q", title="of", format=",d"),
            ],
        )
        .properties(height=height)
    )


def early_and_late(pairs: pd.DataFrame, *, rung: int, title: str, height: int = 260) -> Figure:
    """Score at a rung against the final one; on the diagonal nothing was gained after the rung."""
    ends = [
        float(min(pairs["at_rung"].min(), pairs["final"].min())),
        float(max(pairs["at_rung"].max(), pairs["final"].max())),
    ]
    scale = alt.Scale(domain=_with_margin((ends[0], ends[1])), nice=False)
    diagonal = alt.Chart(pd.DataFrame({"at_rung": ends, "final": ends})).mark_line(
        color=GREY, strokeDash=[3, 3]
    )
    place = {
        "x": alt.X("at_rung:Q", title=f"{title} at epoch {rung}", scale=scale),
        "y": alt.Y("final:Q", title=f"final {title}", scale=scale),
    }
    dots = (
        alt.Chart(pairs)
        .mark_circle(size=50, opacity=0.75, color=CATEGORIES[0])
        .encode(
            **place,
            tooltip=[
                alt.Tooltip("trial:Q", format="d"),
                alt.Tooltip("at_rung:Q", title="at the rung", format=".3f"),
                alt.Tooltip("final:Q", title="final", format=".3f"),
            ],
        )
    )
    return alt.layer(diagonal.encode(**place), dots.add_params(_picked())).properties(height=height)


def _with_margin(extent: tuple[float, float]) -> list[float]:
    margin = (extent[1] - extent[0]) * 0.05 or abs(extent[0]) * 0.1 or 0.1
    return [extent[0] - margin, extent[1] + margin]
