"""What filters do: a grid of thresholds, all cells with their intervals, the way to one cell, its classes."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.palette import BLUE, GREEN, GREY, ORANGE, RED
from trainer.tracking.schema import Verdict

AGAINST = {"all rows": BLUE, "as many at random": RED}
CHROME = 130  # pixels of a chart's height that legend and axis take
LOSS, NONE, GAIN = "#C4521B", "#F3F1EC", "#2166AC"  # blue and orange: told apart by every eye


def grid(
    cells: pd.DataFrame, *, x: str, y: str, across: list[str], up: list[str], value: str, title: str
) -> alt.FacetChart:
    """Effects over the bounds of two scores, without and with augmentation; those that help are framed.

    Args:
        cells: `ablations.grid`, with ``value``, ``value_low``, ``value_high``.
        across, up: bounds in order.
    """
    frame = cells.assign(
        panel=cells["augment"].map({False: "without augmentation", True: "with augmentation"}),
        shown=[_signed(v) if pd.notna(v) else "baseline" for v in cells[value]],
        ends=[
            f"[{_signed(low)}, {_signed(high)}]" if pd.notna(low) else ""
            for low, high in zip(cells[f"{value}_low"], cells[f"{value}_high"], strict=True)
        ],
        filled=cells[value].fillna(0.0),
        helps=cells["verdict"] == Verdict.HELPS,
    )
    reach = float(frame["filled"].abs().max()) or 0.01
    base = alt.Chart(frame).encode(
        x=alt.X(
            "across:N",
            sort=across,
            title=f"rows kept by {x}",
            axis=alt.Axis(labelAngle=0, orient="bottom", ticks=False, domain=False),
        ),
        y=alt.Y("up:N", sort=up, title=f"rows kept by {y}", axis=alt.Axis(ticks=False, domain=False)),
    )
    tiles = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color(
            "filled:Q",
            title=title,
            scale=alt.Scale(domain=[-reach, 0, reach], range=[LOSS, NONE, GAIN], interpolate="rgb"),
            legend=alt.Legend(orient="bottom", format="+.2f", gradientLength=220, tickCount=5, titleLimit=0),
        ),
        stroke=alt.condition("datum.helps", alt.value("#111111"), alt.value(None)),
        strokeWidth=alt.condition("datum.helps", alt.value(3), alt.value(0)),
        tooltip=[
            alt.Tooltip("name:N", title="cell"),
            alt.Tooltip("shown:N", title=title),
            alt.Tooltip("ends:N", title="95 %"),
            alt.Tooltip("kept:Q", title="training rows", format=",d"),
            alt.Tooltip("verdict:N"),
        ],
    )
    ink = alt.condition(f"abs(datum.filled) > {0.55 * reach}", alt.value("white"), alt.value("#1F2933"))
    figures = base.mark_text(fontSize=13, dy=-8, fontWeight=600).encode(text="shown:N", color=ink)
    ends = base.mark_text(fontSize=11, dy=9).encode(text="ends:N", color=ink)
    return (
        alt.layer(tiles, figures, ends)
        .properties(width=alt.Step(128), height=alt.Step(58))
        .facet(column=alt.Column("panel:N", title=None, sort=["without augmentation", "with augmentation"]))
    )


def forest(frame: pd.DataFrame, *, title: str) -> alt.LayerChart | alt.FacetChart:
    """`ablations.forest`: effects with intervals; filled where significant after correction."""
    order = list(dict.fromkeys(frame["name"]))
    present = [name for name in AGAINST if name in set(frame["against"])]
    colour = alt.Color(
        "against:N",
        title="against",
        scale=alt.Scale(domain=present, range=[AGAINST[name] for name in present]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(frame).encode(
        y=alt.Y(
            "name:N", sort=order, title=None, axis=alt.Axis(labelLimit=320, labelOverlap=False, ticks=False)
        ),
        yOffset=alt.YOffset("against:N", sort=present),
        tooltip=[
            alt.Tooltip("name:N", title="cell"),
            alt.Tooltip("against:N"),
            alt.Tooltip("value:Q", title="change", format="+.3f"),
            alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
            alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
            alt.Tooltip("p:Q", title="p (Holm)", format=".3f"),
            alt.Tooltip("kept:Q", title="training rows", format=",d"),
            alt.Tooltip("verdict:N"),
        ],
    )
    pick = alt.selection_point(name="cell", fields=["number"], on="click", empty=False)
    x = alt.X("value:Q", title=title, axis=alt.Axis(format="+.2f"))
    zero = (
        alt.Chart(pd.DataFrame({"value": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5).encode(x="value:Q")
    )
    lines = base.mark_rule(strokeWidth=2, opacity=0.7).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=colour
    )
    dots = base.mark_point(size=70, filled=True, strokeWidth=1.5).encode(
        x=x,
        color=colour,
        stroke=colour,
        fillOpacity=alt.condition("datum.sure == 'p < 0.05'", alt.value(1.0), alt.value(0.0)),
        shape=alt.Shape(
            "against:N",
            scale=alt.Scale(domain=present, range=["circle", "diamond"][: len(present)]),
            legend=None,
        ),
        size=alt.condition(pick, alt.value(180), alt.value(70)),
    )
    return alt.layer(zero, lines, dots.add_params(pick)).properties(height=CHROME + 28 * len(order))


def steps(frame: pd.DataFrame, *, dark: bool) -> alt.LayerChart | alt.FacetChart:
    """`ablations.steps`: macro-F1 with its interval, step by step."""
    order = list(frame["step"])
    base = alt.Chart(frame).encode(
        x=alt.X("step:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelLimit=240)),
        tooltip=[
            alt.Tooltip("step:N"),
            alt.Tooltip("f1_macro:Q", title="macro-F1", format=".3f"),
            alt.Tooltip("f1_macro_low:Q", title="95 % from", format=".3f"),
            alt.Tooltip("f1_macro_high:Q", title="95 % to", format=".3f"),
            alt.Tooltip("kept:Q", title="training rows", format=",d"),
        ],
    )
    y = alt.Y("f1_macro:Q", title="test macro-F1 (0 to 1)", scale=alt.Scale(zero=False, padding=12))
    way = base.mark_line(color=GREY, strokeDash=[4, 3]).encode(y=y)
    ends = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        y=alt.Y("f1_macro_low:Q", title="test macro-F1 (0 to 1)"), y2="f1_macro_high:Q"
    )
    dots = base.mark_point(color=BLUE, size=110, filled=True, opacity=1).encode(y=y)
    words = base.mark_text(dx=12, align="left", fontSize=12, color="#E4E8EC" if dark else "#11171E").encode(
        y=y, text=alt.Text("told:N")
    )
    return (way + ends + dots + words).properties(height=260)


def classes(frame: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """ABLATION_CLASSES of one cell: change of each class's F1 with its interval."""
    order = list(frame["class"])
    base = alt.Chart(frame).encode(
        y=alt.Y(
            "class:N",
            sort=order,
            title=None,
            axis=alt.Axis(labelLimit=220, labelOverlap=len(order) > 60, ticks=False),
        ),
        tooltip=[
            alt.Tooltip("class:N"),
            alt.Tooltip("effect:Q", title="change of F1", format="+.3f"),
            alt.Tooltip("effect_low:Q", title="95 % from", format="+.3f"),
            alt.Tooltip("effect_high:Q", title="95 % to", format="+.3f"),
            alt.Tooltip("effect_p_holm:Q", title="p (Holm, over classes)", format=".3f"),
            alt.Tooltip("kept:Q", title="training rows kept", format=",d"),
            alt.Tooltip("train:Q", title="of", format=",d"),
            alt.Tooltip("test:Q", title="n (test rows)", format=",d"),
        ],
    )
    title = "change of F1 against training on all rows"
    zero = (
        alt.Chart(pd.DataFrame({"effect": [0.0]})).mark_rule(color=GREY, strokeWidth=1.5).encode(x="effect:Q")
    )
    colour = alt.Color(
        "says:N",
        title=None,
        scale=alt.Scale(domain=["better", "worse", "not sure"], range=[GREEN, RED, GREY]),
        legend=alt.Legend(orient="top"),
    )
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("effect_low:Q", title=title), x2="effect_high:Q", color=colour
    )
    dots = base.mark_point(size=80, filled=True, opacity=1).encode(
        x=alt.X("effect:Q", title=title, axis=alt.Axis(format="+.2f")), color=colour
    )
    return alt.layer(zero, lines, dots).properties(height=CHROME + 22 * min(len(order), 60))


def histogram(bins: pd.DataFrame, *, title: str, at: float | None) -> alt.LayerChart | alt.FacetChart:
    """A score's values, spoiled rows and the others apart; a rule where rows begin to be thrown out.

    Args:
        bins: ``kind, low, high, share, n``.
    """
    kinds = [kind for kind in ("training rows", "sound", "spoiled") if kind in set(bins["kind"])]
    colours = {"training rows": BLUE, "sound": BLUE, "spoiled": ORANGE}
    area = (
        alt.Chart(bins)
        .mark_area(interpolate="step-after", opacity=0.35, line=True)
        .encode(
            x=alt.X("low:Q", title=title),
            y=alt.Y(
                "share:Q", title="share of the rows", axis=alt.Axis(format=".0%", tickCount=4), stack=None
            ),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
                legend=alt.Legend(orient="top") if len(kinds) > 1 else None,
            ),
            tooltip=[
                alt.Tooltip("kind:N"),
                alt.Tooltip("low:Q", title="from", format=".3~g"),
                alt.Tooltip("high:Q", title="to", format=".3~g"),
                alt.Tooltip("n:Q", title="rows", format=",d"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
    )
    layers: list[alt.Chart] = [area]
    if at is not None:
        rule = alt.Chart(pd.DataFrame({"low": [at]})).mark_rule(color=RED, strokeWidth=2, strokeDash=[5, 3])
        layers.append(rule.encode(x="low:Q"))
    return alt.layer(*layers).properties(height=250)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
