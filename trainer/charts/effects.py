"""Effects of filters with their intervals: a grid of thresholds, and the rows of a forest plot."""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from trainer.charts.palette import BLUE, GAIN, GREY, LOSS, NONE, RED, ink
from trainer.charts.paper import NARROW
from trainer.charts.rows import rows_high
from trainer.core.text import brackets, signed
from trainer.tracking.schema import Verdict

AGAINST = {"all rows": BLUE, "as many at random": RED}
SHAPES = ["circle", "diamond"]
LEAST_REACH = 0.005  # of the colours: smaller effects shall look small
MIDDLE = 0.179  # luminance at which black and white letters are equally readable


def forest_layers(frame: pd.DataFrame, y: alt.Y, *, title: str) -> list[alt.Chart]:
    """The rule at zero, the intervals, and the marks, filled where significant after correction.

    Args:
        frame: ``against, value, low, high, sure``; one or two rows at each place of ``y``.
        title: of the x axis.
    """
    present = [name for name in AGAINST if name in set(frame["against"])]
    narrow = f"{NARROW} ? 1 : 2"
    legend = alt.Legend(
        orient="top", labelLimit=200, title="against", titleOrient="left", columns=alt.ExprRef(narrow)
    )
    colours = alt.Scale(domain=present, range=[AGAINST[name] for name in present])
    colour = alt.Color("against:N", scale=colours, legend=legend)
    shape = alt.Shape("against:N", scale=alt.Scale(domain=present, range=SHAPES), legend=legend)
    base = alt.Chart(frame).encode(y=y, yOffset=alt.YOffset("against:N", sort=present), color=colour)
    lines = base.mark_rule(strokeWidth=2, opacity=0.7, aria=False).encode(
        x=alt.X("low:Q", title=title), x2="high:Q"
    )
    dots = base.mark_point(size=70, filled=True, opacity=1, strokeWidth=1.5, aria=False).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(format="+.3~r", tickCount=8)),
        stroke=colour,
        fillOpacity=alt.condition("datum.sure == 'p < 0.05'", alt.value(1.0), alt.value(0.0)),
        shape=shape,
    )
    return [zero_rule("value", title, aria=False), lines, dots]


def zero_rule(column: str, title: str, **mark: Any) -> alt.Chart:
    """Where nothing changes."""
    rule = alt.Chart(pd.DataFrame({column: [0.0]})).mark_rule(color=GREY, strokeWidth=1.5, **mark)
    return rule.encode(x=alt.X(f"{column}:Q", title=title))


def reach_of(values: pd.Series) -> float:
    """Where the colours of `grid` are fullest."""
    return max(float(values.abs().max()) if values.notna().any() else 0.0, LEAST_REACH)


class GridAxes(NamedTuple):
    """The two scores of a grid, and their bounds in order."""

    x: str
    y: str
    across: list[str]
    up: list[str]


def grid(
    fields: pd.DataFrame,
    axes: GridAxes,
    *,
    title: str,
    reach: float,
    dark: bool = False,
    width: int | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Draw one panel: cells that help are framed, those that hurt framed by dashes, what was not measured is
    grey.

    Args:
        fields: ``across, up, name, kept, verdict, value, low, high, state``.
        title: of the colours.
        reach: at which effect they are fullest, the same for all panels.
        width: of a panel among others, in pixels; None: as wide as its place.
    """
    value = fields["value"].where(fields["state"] != "baseline", 0.0)
    frame = fields.assign(
        value=value,
        shown=np.where(fields["state"] == "measured", [signed(one) for one in value], fields["state"]),
        ends=[brackets(ends, signed) for ends in zip(fields["low"], fields["high"], strict=True)],
        ink=[_ink(one / reach) if pd.notna(one) else ink(dark) for one in value],
        frame=np.select(
            [fields["verdict"] == Verdict.HELPS, fields["verdict"] == Verdict.HURTS], ["helps", "hurts"], ""
        ),
    )
    base = _grid_base(frame, axes, title)
    frames = [
        base.transform_filter(f"datum.frame == '{verdict}'").mark_rect(
            cornerRadius=3,
            filled=False,
            stroke=ink(dark),
            strokeWidth=3,
            strokeDash=dash,
            tooltip=None,
            aria=False,
        )
        for verdict, dash in (("helps", [1, 0]), ("hurts", [5, 3]))
    ]
    layers = [
        *_tiles(base, title, reach),
        *frames,
        *_figures(base, sorted(set(frame["ink"])), f"{width or 'width'} / {len(axes.across)}"),
    ]
    sizes = rows_high(len(axes.up), 56) if width is None else {"height": 56 * len(axes.up), "width": width}
    return alt.layer(*layers).properties(**sizes)


def _grid_base(frame: pd.DataFrame, axes: GridAxes, title: str) -> alt.Chart:
    """The fields in their places, with what their tooltips say."""
    return alt.Chart(frame).encode(
        x=alt.X(
            "across:N",
            sort=axes.across,
            scale=alt.Scale(domain=axes.across),
            title=f"rows kept by {axes.x}",
            axis=alt.Axis(labelAngle=0, labelLimit=110, orient="bottom", ticks=False, domain=False),
        ),
        y=alt.Y(
            "up:N",
            sort=axes.up,
            scale=alt.Scale(domain=axes.up),
            title=f"rows kept by {axes.y}",
            axis=alt.Axis(labelLimit=110, ticks=False, domain=False),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="cell"),
            alt.Tooltip("shown:N", title=title),
            alt.Tooltip("ends:N", title="95 %"),
            alt.Tooltip("kept:Q", title="training rows", format=",d"),
            alt.Tooltip("verdict:N"),
        ],
    )


def _tiles(base: alt.Chart, title: str, reach: float) -> list[alt.Chart]:
    """What was not measured in grey, what was by its effect."""
    grey = (
        base.transform_filter("datum.state == 'no cell' || datum.state == 'keeps all rows'")
        .mark_rect(cornerRadius=3, color=GREY, opacity=0.22)
        .encode(tooltip=[alt.Tooltip("state:N", title="here")])
    )
    colour = alt.Color(
        "value:Q",
        title=title,
        scale=alt.Scale(domain=[-reach, 0, reach], range=[LOSS, NONE, GAIN], interpolate="rgb"),
        legend=alt.Legend(orient="bottom", format="+.3~r", gradientLength=200, tickCount=3, titleLimit=0),
    )
    tiles = base.transform_filter("isValid(datum.value)").mark_rect(cornerRadius=3).encode(color=colour)
    return [grey, tiles]


def _figures(base: alt.Chart, inks: list[str], size: str) -> list[alt.Chart]:
    """The effects with their intervals in fields of a ``size``, in each of the letters' colours."""
    layers = []
    for letters in inks:  # a channel of their own would share its scale with the tiles
        of_colour = base.transform_filter(f"datum.ink == '{letters}'")
        effect = of_colour.mark_text(
            fontSize=alt.ExprRef(f"clamp({size} / 6, 8, 13)"), dy=-8, fontWeight=600, color=letters
        )
        # of many narrow fields the ends would run into each other: they are in the tooltips
        ends = of_colour.mark_text(
            fontSize=alt.ExprRef(f"min(11, {size} / 8.6)"),
            opacity=alt.ExprRef(f"{size} < 62 ? 0 : 1"),
            dy=9,
            color=letters,
        )
        layers += [effect.encode(text="shown:N"), ends.encode(text="ends:N")]
    return layers


def _ink(fraction: float) -> str:
    """Black or white, whichever can be read on the colour of an effect (a fraction of the reach)."""
    end, share = GAIN if fraction > 0 else LOSS, min(abs(fraction), 1.0)
    mixed = [_channel(NONE, i) * (1 - share) + _channel(end, i) * share for i in range(3)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mixed]
    return "#FFFFFF" if float(np.dot(linear, (0.2126, 0.7152, 0.0722))) < MIDDLE else "#000000"


def _channel(colour: str, number: int) -> float:
    return int(colour[1 + 2 * number : 3 + 2 * number], 16) / 255
