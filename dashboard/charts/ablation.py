"""What filters do: a grid of thresholds, all cells with their intervals, the way to one cell, its classes."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from dashboard import text
from dashboard.charts.histogram import outlines
from dashboard.charts.intervals import differences, tooltip_ends, zero_rule
from dashboard.charts.palette import BLUE, CATEGORIES, GREY, ORANGE, RED
from trainer.tracking.schema import Verdict

AGAINST = {"all rows": BLUE, "as many at random": RED}
CHROME = 130  # pixels of a chart's height that legend and axis take
LOSS, NONE, GAIN = "#C4521B", "#F3F1EC", "#2166AC"  # blue and orange: told apart by every eye
LEAST_REACH = 0.005  # of the colours: smaller effects shall look small
MIDDLE = 0.179  # luminance at which black and white letters are equally readable
NARROW = "windowSize()[0] < 600"  # in Vega: a telephone
MOST_NAMED = 60  # classes; of more, some names are left out


def reach_of(values: pd.Series) -> float:
    """Where the colours of `grid` are fullest."""
    return max(float(values.abs().max()) if values.notna().any() else 0.0, LEAST_REACH)


@dataclass(frozen=True)
class GridAxes:
    """The two scores of a grid, and their bounds in order."""

    x: str
    y: str
    across: list[str]
    up: list[str]


def grid(
    fields: pd.DataFrame, axes: GridAxes, *, title: str, reach: float, dark: bool
) -> alt.LayerChart | alt.FacetChart:
    """One panel of `ablation.fields`: the cells that help are framed, those that hurt framed by dashes, what
    was not measured is grey.

    Args:
        title: of the colours.
        reach: at which effect they are fullest, the same for all panels.
    """
    ink = "#E8ECF0" if dark else "#11171E"
    value = fields["value"].where(fields["state"] != "baseline", 0.0)
    frame = fields.assign(
        value=value,
        shown=np.where(fields["state"] == "measured", [text.signed(one) for one in value], fields["state"]),
        ends=[text.brackets(ends, text.signed) for ends in zip(fields["low"], fields["high"], strict=True)],
        ink=[_ink(one / reach) if pd.notna(one) else ink for one in value],
        frame=np.select(
            [fields["verdict"] == Verdict.HELPS, fields["verdict"] == Verdict.HURTS], ["helps", "hurts"], ""
        ),
    )
    base = _grid_base(frame, axes, title)
    stroke = "#F5F7FA" if dark else "#11171E"
    frames = [
        base.transform_filter(f"datum.frame == '{verdict}'").mark_rect(
            cornerRadius=3,
            filled=False,
            stroke=stroke,
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
        *_figures(base, sorted(set(frame["ink"])), len(axes.across)),
    ]
    return alt.layer(*layers).properties(height=56 * len(axes.up) + CHROME)


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
        legend=alt.Legend(orient="bottom", format="+.2~f", gradientLength=200, tickCount=4, titleLimit=0),
    )
    tiles = base.transform_filter("isValid(datum.value)").mark_rect(cornerRadius=3).encode(color=colour)
    return [grey, tiles]


def _figures(base: alt.Chart, inks: list[str], columns: int) -> list[alt.Chart]:
    """The effects with their intervals in the fields, in each of the letters' colours."""
    size = f"width / {columns}"
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


def forest(frame: pd.DataFrame, *, title: str, selected: int) -> alt.LayerChart | alt.FacetChart:
    """`ablation.forest`: effects with intervals, filled where significant after correction. A click anywhere
    in a row selects its cell.

    Args:
        selected: number of the cell that stands out.
    """
    stars = np.where(frame["chosen"], "★ ", "")
    frame = frame.assign(name=stars + frame["name"].astype(str))
    order = list(dict.fromkeys(frame["name"]))
    present = [name for name in AGAINST if name in set(frame["against"])]
    legend = alt.Legend(orient="top", labelLimit=200)
    colours, shapes = [AGAINST[name] for name in present], ["circle", "diamond"][: len(present)]
    colour = alt.Color("against:N", title=None, scale=alt.Scale(domain=present, range=colours), legend=legend)
    shape = alt.Shape("against:N", title=None, scale=alt.Scale(domain=present, range=shapes), legend=legend)
    y = alt.Y("name:N", sort=order, title=None, axis=_names())
    base = alt.Chart(frame).encode(y=y, yOffset=alt.YOffset("against:N", sort=present))
    band = (
        alt.Chart(frame[frame["number"] == selected].head(1))
        .mark_rect(color=GREY, opacity=0.22, cornerRadius=3, aria=False)
        .encode(y=y)
    )
    lines = base.mark_rule(strokeWidth=2, opacity=0.7, aria=False).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=colour
    )
    dots = base.mark_point(size=70, filled=True, strokeWidth=1.5, aria=False).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(format="+.2~f", tickCount=8)),
        color=colour,
        stroke=colour,
        fillOpacity=alt.condition("datum.sure == 'p < 0.05'", alt.value(1.0), alt.value(0.0)),
        shape=shape,
    )
    layers = [band, zero_rule("value", title, aria=False), lines, dots, _clickable(frame, y, present)]
    return alt.layer(*layers).properties(height=CHROME + 28 * len(order))


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


def _clickable(frame: pd.DataFrame, y: alt.Y, present: list[str]) -> alt.Chart:
    """The whole row of each cell, unseen, for the pointer."""
    pick = alt.selection_point(name="cell", fields=["number"], on="click", empty=False, toggle=False)
    return (
        alt.Chart(_row_words(frame))
        .mark_rect(opacity=0, cursor="pointer")
        .encode(
            y=y,
            tooltip=[
                alt.Tooltip("name:N", title="cell"),
                *(alt.Tooltip(f"{name}:N", title=f"against {name}") for name in present),
                alt.Tooltip("kept:Q", title="training rows", format=",d"),
                alt.Tooltip("verdict:N"),
            ],
        )
        .add_params(pick)
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
    axis = alt.Axis(format="+.2~f", tickCount=6)
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
    ink = "#E8ECF0" if dark else "#11171E"
    ends = base.mark_rule(strokeWidth=2, color=ink).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_point(size=80, filled=True, color=ink, opacity=1).encode(x=alt.X("end:Q", title=title))
    return alt.layer(zero, bars, ends, dots).properties(height=CHROME + 46 * len(order))


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
    height = 34 if len(order) <= MOST_NAMED else 12
    return alt.layer(*layers).properties(height=CHROME + height * min(len(order), 200))


def histogram(bins: pd.DataFrame, *, title: str, at: float | None = None) -> alt.LayerChart | alt.FacetChart:
    """`ablation.spread`: a score's values, kinds of rows apart; a rule where rows begin to be thrown out."""
    totals = bins.drop_duplicates("kind").set_index("kind")["total"]
    names = {kind: f"{kind} (n = {total:,})" for kind, total in totals.items()}
    tints = {"sound": BLUE, "spoiled": ORANGE}
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


def _ink(fraction: float) -> str:
    """Black or white, whichever can be read on the colour of an effect (a fraction of the reach)."""
    end, share = GAIN if fraction > 0 else LOSS, min(abs(fraction), 1.0)
    mixed = [_channel(NONE, i) * (1 - share) + _channel(end, i) * share for i in range(3)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mixed]
    return "#FFFFFF" if float(np.dot(linear, (0.2126, 0.7152, 0.0722))) < MIDDLE else "#000000"


def _channel(colour: str, number: int) -> float:
    return int(colour[1 + 2 * number : 3 + 2 * number], 16) / 255
