"""Training curves: mean and interval per group, and how many trials they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from dashboard import text
from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, GREEN, GREY, ORANGE, PAN
from trainer.charts.palette import ink

LINE, HERE = "trial", "here"  # selections: a line, or a field of the shadow, that was clicked
REACH = 5  # pixels: how wide the invisible line is that a pointer may hit
Y_LABELS = 36  # pixels for the labels of a y axis, so that charts above each other line up
FOCUS = {"training": (BLUE, [6, 4]), "validation": (ORANGE, [1, 0])}  # colour and dashes of a loss
PADDING = {"left": 0, "top": 5, "right": 14, "bottom": 10}  # the last label of the x axis stands out


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """How curves are drawn."""

    order: list[str]  # groups in the order of the legend
    palette: list[str]  # their colours
    title: str  # of the y axis, with its unit
    legend: str  # its title
    extent: tuple[float, float]  # of the y axis where it is linear; what lies beyond is cut
    log: bool = False  # logarithmic y axis; parts of a band at or below zero are cut off
    log_x: bool = False
    step: str = "epoch"  # title of the x axis
    dark: bool = False
    height: int = 430


@dataclass(frozen=True)
class CurveOverlays:
    """What is drawn besides the means and single trials."""

    shadow: pd.DataFrame | None = None  # `trials.density` of all lines, where they are too many to be drawn
    stopped: pd.DataFrame | None = None  # the last points of trials that were pruned
    marked: pd.DataFrame | None = None  # the line of one trial, drawn over all


class _Axes(NamedTuple):
    x: alt.X
    x_scale: alt.Scale
    y_scale: alt.Scale
    colour: alt.Color
    pick: alt.Parameter  # a click on the legend
    options: CurveOptions

    def y(self, column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=self.options.title)

    def scaled(self, column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=self.options.title, scale=self.y_scale)

    def opacity(self, picked: float, other: float) -> Any:
        return alt.condition(self.pick, alt.value(picked), alt.value(other))


def curves(
    bands: pd.DataFrame,
    raw: pd.DataFrame,
    best: pd.DataFrame,
    options: CurveOptions,
    overlays: CurveOverlays = CurveOverlays(),
) -> alt.LayerChart | alt.FacetChart:
    """Mean per group with its 95 % band over faint single trials.

    A click selects a line by ``trial`` (``LINE``), a field of the shadow by ``epoch, low, high`` (``HERE``).

    Args:
        bands: `trials.bands`.
        raw: `trials.lines`, already thinned; may be empty.
        best: ``group, trial, epoch, value`` of the trials' best epochs; may be empty.
    """
    shadow = None if overlays.shadow is None or overlays.shadow.empty else overlays.shadow
    if options.log:
        bands = bands[bands["mean"] > 0].assign(low=lambda f: f["low"].clip(lower=f["mean"].min() / 2))
        raw, best = raw[raw["value"] > 0], best[best["value"] > 0]
    axes = _axes(bands, options)
    layers = []
    if shadow is not None:
        left = alt.X("left:Q", title=options.step, scale=axes.x_scale)
        layers.append(_shadow(shadow, left, axes.scaled("low"), log_x=options.log_x))
    if len(raw):  # an empty layer has no extent, and Vega warns
        layers.append(_faint(raw, axes))
    layers += _means(bands, axes)
    singles = bands[bands.groupby("group")["epoch"].transform("nunique") == 1]
    if len(singles):  # a line of one point is not drawn
        single_points = singles.rename(columns={"mean": "value"})
        layers.append(_points(single_points, axes, (1.0, 0.12), size=60, filled=True))
    if len(best):
        layers.append(_points(best, axes, (0.85, 0.05), size=34, filled=True, shape="diamond"))
    if len(raw):
        layers.append(_hit(raw, axes.x, axes.scaled("value"), options.legend))
    # What has neither a selection nor a tooltip lets the pointer through to the fields below it.
    layers.append(_hover(bands, axes, alone=not len(raw) and shadow is None))
    if overlays.stopped is not None and len(overlays.stopped):
        cross = {"shape": "cross", "size": 26, "filled": True, "angle": 45}
        layers.append(_points(overlays.stopped, axes, (0.55, 0.05), **cross))
    if overlays.marked is not None and len(overlays.marked):
        layers.append(_marked(overlays.marked, axes))
    return alt.layer(*layers).properties(height=options.height, padding=PADDING)


def train_and_validation(
    focus: pd.DataFrame,
    others: pd.DataFrame,
    options: CurveOptions,
    shadow: pd.DataFrame | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Training against validation loss of one trial, over the faint validation losses of the others.

    A click selects as in `curves`.

    Args:
        focus: ``series`` (of `FOCUS`), ``trial, epoch, value``, and ``best`` at its best epoch.
        others: `trials.lines`, already thinned; may be empty.
        shadow: `trials.density` of lines that are too many to be drawn.
    """
    if options.log:
        focus, others = focus[focus["value"] > 0], others[others["value"] > 0]
    axes = _axes(pd.concat([focus, others, *([] if shadow is None else [shadow])])[["epoch"]], options)
    layers = []
    if shadow is not None and len(shadow):
        left = alt.X("left:Q", title=options.step, scale=axes.x_scale)
        layers.append(_shadow(shadow, left, axes.scaled("low"), log_x=options.log_x))
    if len(others):
        layers += [_faint(others, axes), _hit(others, axes.x, axes.scaled("value"), options.legend)]
        layers[-2] = layers[-2].add_params(axes.pick)
    layers += _in_focus(focus, axes)
    return alt.layer(*layers).properties(height=options.height, padding=PADDING)


def _in_focus(focus: pd.DataFrame, axes: _Axes) -> list[alt.Chart]:
    """The two lines of one trial, a diamond at its best epoch, and points with tooltips."""
    names = [name for name in FOCUS if name in set(focus["series"])]
    legend = alt.Legend(orient="top", symbolStrokeWidth=3, symbolSize=400, symbolType="stroke", title=None)
    # the colour's own channel is that of the groups; where there are several, these lines are of none
    several = len(axes.options.order) > 1
    tints = [ink(axes.options.dark) if several else FOCUS[name][0] for name in names]
    stroke = alt.Stroke("series:N", scale=alt.Scale(domain=names, range=tints), legend=legend)
    dashes: Any = alt.Scale(domain=names, range=[FOCUS[name][1] for name in names])
    base = alt.Chart(focus).encode(x=axes.x, y=axes.scaled("value"))
    tooltip = [
        alt.Tooltip("series:N", title="loss"),
        alt.Tooltip("trial:Q", format="d"),
        alt.Tooltip("epoch:Q", title=axes.options.step, format="d"),
        alt.Tooltip("value:Q", format=".4g"),
    ]
    lines = base.mark_line(strokeWidth=3, clip=True).encode(
        stroke=stroke, strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend)
    )
    best = base.transform_filter("datum.best").mark_point(
        shape="diamond", size=110, filled=True, opacity=1, color=ink(axes.options.dark), clip=True
    )
    points = base.mark_point(size=70, filled=True, opacity=0, clip=True).encode(tooltip=tooltip)
    pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
    return [lines, best, points.add_params(pan)]


def _axes(bands: pd.DataFrame, options: CurveOptions) -> _Axes:
    x_scale = alt.Scale(type="log" if options.log_x else "linear", nice=False, domain=_ends(bands["epoch"]))
    x_axis = alt.Axis(tickMinStep=1, tickCount=15, format="d", grid=False, labelFlush=True)
    order = options.order
    return _Axes(
        x=alt.X("epoch:Q", title=options.step, axis=x_axis, scale=x_scale),
        x_scale=x_scale,
        y_scale=alt.Scale(type="log")
        if options.log
        else alt.Scale(domain=_with_margin(options.extent), nice=False),
        colour=alt.Color(
            "group:N",
            title=options.legend,
            sort=order,
            scale=alt.Scale(domain=order, range=options.palette),
            legend=None if len(order) == 1 else _legend_above(order),
        ),
        pick=alt.selection_point(fields=["group"], bind="legend", name="group"),
        options=options,
    )


def _faint(raw: pd.DataFrame, axes: _Axes) -> alt.Chart:
    """The single trials."""
    y = alt.Y("value:Q", title=axes.options.title, scale=axes.y_scale, axis=alt.Axis(minExtent=Y_LABELS))
    lines = alt.Chart(raw).mark_line(strokeWidth=1, clip=True)
    return lines.encode(x=axes.x, y=y, color=axes.colour, detail="trial:N", opacity=axes.opacity(0.22, 0.03))


def _means(bands: pd.DataFrame, axes: _Axes) -> list[alt.Chart]:
    """The means, over their bands where a group has more than one trial."""
    base = alt.Chart(bands).encode(x=axes.x, color=axes.colour)
    known = base.transform_filter("isValid(datum.low)")
    band = known.mark_area(clip=True).encode(
        y=axes.scaled("low"), y2="high:Q", opacity=axes.opacity(0.2, 0.03)
    )
    mean = base.mark_line(strokeWidth=2.5, clip=True).encode(
        y=axes.y("mean"), opacity=axes.opacity(1.0, 0.12)
    )
    return [band, mean] if bands["low"].notna().any() else [mean]


def _points(rows: pd.DataFrame, axes: _Axes, opacity: tuple[float, float], **mark: Any) -> alt.Chart:
    """Single points of trials."""
    points = alt.Chart(rows).mark_point(**mark, clip=True)
    return points.encode(x=axes.x, y=axes.y("value"), color=axes.colour, opacity=axes.opacity(*opacity))


def _hover(bands: pd.DataFrame, axes: _Axes, *, alone: bool) -> alt.Chart:
    """A point of a mean that shows below the pointer, with its figures.

    Args:
        alone: there is nothing but means to point at.
    """
    hover = alt.selection_point(nearest=alone, on="pointerover", empty=False, name="near", clear="pointerout")
    pan: Any = alt.selection_interval(**PAN, name="pan")  # type: ignore[arg-type]
    points = alt.Chart(bands).encode(x=axes.x, color=axes.colour).mark_point(size=70, filled=True, clip=True)
    return points.encode(
        y=axes.y("mean"),
        opacity=alt.condition(hover, alt.value(1.0), alt.value(0.0)),
        tooltip=[
            alt.Tooltip("group:N", title=axes.options.legend),
            alt.Tooltip("epoch:Q", title=axes.options.step, format="d"),
            alt.Tooltip("mean:Q", format=".4g"),
            *tooltip_ends(".4g"),
            alt.Tooltip("n:Q", title="n (trials)", format="d"),
        ],
    ).add_params(hover, axes.pick, pan)


def _marked(rows: pd.DataFrame, axes: _Axes) -> alt.Chart:
    """One trial's line, over all others."""
    tint = ink(axes.options.dark)
    line = alt.Chart(rows).mark_line(color=tint, strokeWidth=3, clip=True, point={"color": tint, "size": 30})
    return line.encode(x=axes.x, y=axes.y("value"), tooltip=["trial:N", "epoch:Q", "value:Q"])


def trials_left(bands: pd.DataFrame, *, order: list[str], palette: list[str], height: int = 90) -> alt.Chart:
    """How many trials each mean stands on, epoch by epoch."""
    return (
        alt.Chart(bands)
        .mark_line(interpolate="step-after", strokeWidth=1.5)
        .encode(
            x=alt.X(
                "epoch:Q",
                title=None,
                axis=alt.Axis(labels=False, ticks=False, grid=False),
                scale=alt.Scale(nice=False, domain=_ends(bands["epoch"])),
            ),
            y=alt.Y(
                "n:Q",
                title="n (trials)",
                axis=alt.Axis(tickCount=2, tickMinStep=1, format="d", minExtent=Y_LABELS),
                scale=alt.Scale(zero=True),
            ),
            color=alt.Color("group:N", sort=order, scale=alt.Scale(domain=order, range=palette), legend=None),
            tooltip=["group:N", alt.Tooltip("epoch:Q", format="d"), alt.Tooltip("n:Q", format="d")],
        )
        .properties(height=height, padding=PADDING)
    )


def _hit(raw: pd.DataFrame, x: alt.X, y: alt.Y, legend: str) -> alt.Chart:
    """The single trials again, unseen and above all else, for the pointer."""
    return (
        alt.Chart(raw)
        .mark_line(strokeWidth=REACH, opacity=0, clip=True, cursor="pointer")
        .encode(
            x=x,
            y=y,
            detail=["trial:N", "group:N"],
            tooltip=[
                alt.Tooltip("trial:N", title="click to open trial"),
                alt.Tooltip("group:N", title=legend),
            ],
        )
        .add_params(alt.selection_point(fields=["trial"], empty=False, name=LINE))
    )


def _shadow(shadow: pd.DataFrame, x: alt.X, y: alt.Y, *, log_x: bool) -> alt.Chart:
    """How many lines run where, as fields of grey. There are hundreds: each has one tooltip of words, as a
    table of values would take the browser longer to prepare than all else, and no name to be read out."""
    fields = shadow.assign(
        left=shadow["epoch"] - (0 if log_x else 0.5),
        right=shadow["epoch"] + (1 if log_x else 0.5),
        strength=(shadow["share"] / shadow["share"].max()) ** 0.5,
        says=[
            f"epoch {epoch}, {low:.4g} to {high:.4g}: {text.count(n, 'line')}; click to list them"
            for epoch, low, high, n in shadow[["epoch", "low", "high", "n"]].itertuples(index=False)
        ],
    )
    return (
        alt.Chart(fields[["epoch", "left", "right", "low", "high", "strength", "says"]])
        .mark_rect(color=GREY, clip=True, cursor="pointer", aria=False)
        .encode(
            x=x,
            x2="right:Q",
            y=y,
            y2="high:Q",
            opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.6]), legend=None),
            tooltip="says:N",
        )
        .add_params(alt.selection_point(fields=["epoch", "low", "high"], empty=False, name=HERE))
    )


def rates(
    bands: pd.DataFrame,
    *,
    order: list[str],
    palette: list[str],
    log_x: bool,
    ends: tuple[float, float] | None = None,
) -> alt.Chart:
    """The learning rate below the curves: the mean of each group's trials.

    Args:
        ends: of the x axis; those of the bands where not given.
    """
    domain = _ends(bands["epoch"]) if ends is None else [float(end) for end in ends]
    return (
        alt.Chart(bands[bands["mean"] > 0])
        .mark_line(strokeWidth=1.5, clip=True)
        .encode(
            x=alt.X(
                "epoch:Q",
                title=None,
                axis=alt.Axis(labels=False, ticks=False, grid=False),
                scale=alt.Scale(type="log" if log_x else "linear", nice=False, domain=domain),
            ),
            y=alt.Y(
                "mean:Q",
                title="learning rate",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(tickCount=3, format="~e", minExtent=Y_LABELS),
            ),
            color=alt.Color("group:N", sort=order, scale=alt.Scale(domain=order, range=palette), legend=None),
            tooltip=["group:N", alt.Tooltip("epoch:Q", format="d"), alt.Tooltip("mean:Q", format=".2e")],
        )
        .properties(height=120, padding=PADDING)
    )


def penalty_path(
    rows: pd.DataFrame, *, title: str, penalty: str, log: bool
) -> alt.LayerChart | alt.FacetChart:
    """`trials.penalty_paths`: score over the strength of a penalty, a dot with its interval for each trial; a
    line joins trials of the same head with the same settings.

    Args:
        title: of the score, such as macro-F1.
        penalty: what it is called.
    """
    heads = list(dict.fromkeys(rows["head"]))
    kind: Any = {"type": "log", "nice": False} if log else {"zero": False, "nice": False}
    base = alt.Chart(rows).encode(
        x=alt.X(
            "penalty:Q",
            title=f"{penalty} (log)" if log else penalty,
            scale=alt.Scale(padding=12, **kind),
            axis=alt.Axis(grid=False, format="~g", tickCount=6),
        ),
        color=alt.Color(
            "head:N",
            title=None,
            scale=alt.Scale(domain=heads, range=[BLUE, ORANGE, GREEN][: len(heads)]),
            legend=alt.Legend(orient="top", symbolOpacity=1),
        ),
        tooltip=[
            alt.Tooltip("head:N"),
            alt.Tooltip("trial:Q", format="d"),
            alt.Tooltip("penalty:Q", title=penalty, format=".3g"),
            alt.Tooltip("score:Q", title=title, format=".3f"),
            *tooltip_ends(".3f"),
            alt.Tooltip("loss:Q", title="validation loss", format=".4g"),
            alt.Tooltip("settings:N"),
        ],
    )
    scale = alt.Scale(zero=False, padding=8)
    y = alt.Y("score:Q", title=f"validation {title}", scale=scale)
    ends = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5, opacity=0.35)
    return alt.layer(
        ends.encode(y=alt.Y("low:Q", title=f"validation {title}", scale=scale), y2="high:Q"),
        base.mark_line(strokeWidth=1.2, opacity=0.6).encode(y=y, detail="settings:N"),
        base.mark_circle(size=60, opacity=1).encode(y=y),
        height=280,
    )


def _legend_above(order: list[str]) -> alt.Legend:
    widest = max(map(len, order))
    return alt.Legend(
        orient="top",
        columns=max(1, 950 // (7 * widest + 34)),  # pixels of a page over those of an entry
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolOpacity=1,
        labelLimit=260,
    )


def _with_margin(extent: tuple[float, float]) -> list[float]:
    margin = (extent[1] - extent[0]) * 0.04 or abs(extent[0]) * 0.1 or 0.1
    return [extent[0] - margin, extent[1] + margin]


def _ends(values: pd.Series) -> list[float]:
    return [float(values.min()), float(values.max())]
