"""Methods with their intervals, their differences, and what a few labelled images are worth."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.intervals import differences as differences_of
from dashboard.charts.intervals import tooltip_ends
from dashboard.charts.palette import BLUE, CATEGORIES, GREY
from trainer.charts.rows import rows_high

NARROW = "width < 420"
ROW = 34  # pixels


def dots(frame: pd.DataFrame, *, title: str) -> alt.LayerChart | alt.FacetChart:
    """`methods.dots`: one line per method, in the order given."""
    order = list(frame["name"])
    base = alt.Chart(frame).encode(
        y=_names(order),
        tooltip=[
            alt.Tooltip("name:N", title="method"),
            alt.Tooltip("value:Q", title=title, format=".3f"),
            *tooltip_ends(".3f"),
        ],
    )
    lines = base.mark_rule(strokeWidth=2, color=BLUE).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False, padding=12)), x2="high:Q"
    )
    points = base.mark_point(size=90, filled=True, opacity=1, color=BLUE).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(format=".3~r", tickCount=7)),
        shape=alt.condition("datum.chosen", alt.value("diamond"), alt.value("circle")),
    )
    return alt.layer(lines, points).properties(**rows_high(len(order), ROW))


def differences(
    frame: pd.DataFrame, *, title: str, more: dict[str, str] | None = None, pick: str = ""
) -> alt.LayerChart | alt.FacetChart:
    """`methods.forest` or `methods.classes_of`: differences with intervals, coloured by what can be said.

    Args:
        more: further columns for the tooltip, with their titles.
        pick: name under which a click on a dot selects its ``name``; "" for none.
    """
    order = list(frame["name"])
    base = alt.Chart(frame).encode(
        y=_names(order),
        tooltip=[
            alt.Tooltip("name:N", title="difference"),
            alt.Tooltip("value:Q", title=title, format="+.3f"),
            *tooltip_ends("+.3f"),
            alt.Tooltip("p:Q", title="p (Holm)", format=".3f"),
            alt.Tooltip("detectable:Q", title="detectable at 80 % power", format=".3f"),
            *(alt.Tooltip(f"{name}:Q", title=words, format=".3~f") for name, words in (more or {}).items()),
        ],
    )
    layers = differences_of(base, "value", title)
    if pick:
        click = alt.selection_point(name=pick, fields=["name"], toggle=False, clear=False, empty=False)
        layers[-1] = layers[-1].encode(size=alt.value(160)).add_params(click)
    return alt.layer(*layers).properties(**rows_high(len(order), ROW))


def best_so_far(frame: pd.DataFrame, *, title: str) -> alt.Chart:
    """`comparison.searches`: the best score so far of each run, by trials done.

    Args:
        title: of the score, such as macro-F1.
    """
    return _steps(frame, "best", f"best validation {title}", ".3f").encode(
        x=alt.X("done:Q", title="trials done", axis=alt.Axis(tickMinStep=1, format=",d", grid=False))
    )


def trial_scores(frame: pd.DataFrame, *, title: str) -> alt.Chart:
    """`comparison.searches`: the empirical distribution of each run's trial scores."""
    return _steps(frame, "share", "share of trials", ".0%").encode(
        x=alt.X("score:Q", title=f"validation {title} of a trial", scale=alt.Scale(zero=False))
    )


def losses(frame: pd.DataFrame, *, extent: tuple[float, float]) -> alt.Chart:
    """`comparison.losses` of several runs, each with its ``run``: coloured by run, dashed while training.

    Args:
        extent: of the loss; what lies beyond it is cut.
    """
    names = list(dict.fromkeys(frame["run"]))
    return (
        alt.Chart(frame)
        .mark_line(strokeWidth=2, clip=True, point=bool(frame["epoch"].nunique() == 1))
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format=",d", grid=False)),
            y=alt.Y("value:Q", title="loss", scale=alt.Scale(domain=list(extent), zero=False, padding=8)),
            color=_of_runs(names),
            strokeDash=alt.StrokeDash(
                "split:N",
                title=None,
                scale=alt.Scale(domain=["training", "validation"], range=[[5, 4], [1, 0]]),
                legend=alt.Legend(orient="bottom", symbolType="stroke", symbolSize=400),
            ),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("trial:Q", format="d"),
                alt.Tooltip("split:N", title="loss"),
                alt.Tooltip("epoch:Q", format="d"),
                alt.Tooltip("value:Q", title="value", format=".4f"),
            ],
        )
        .properties(height=300)
    )


def _of_runs(names: list[str]) -> alt.Color:
    """A colour for each run, the same in all charts of the same runs."""
    return alt.Color(
        "run:N",
        title=None,
        scale=alt.Scale(domain=names, range=[CATEGORIES[i % len(CATEGORIES)] for i in range(len(names))]),
        legend=alt.Legend(orient="top", labelLimit=300, columns=2),
    )


def _steps(frame: pd.DataFrame, y: str, title: str, form: str) -> alt.Chart:
    names = list(dict.fromkeys(frame["run"]))
    scale = alt.Scale(zero=False, padding=8)
    return (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            y=alt.Y(f"{y}:Q", title=title, axis=alt.Axis(format=form), scale=scale),
            color=_of_runs(names),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("done:Q", title="trials done", format="d"),
                alt.Tooltip("best:Q", title="best so far", format=".3f"),
                alt.Tooltip("score:Q", title="score", format=".3f"),
                alt.Tooltip("share:Q", title="trials up to this score", format=".0%"),
            ],
        )
        .properties(height=240)
    )


def few_shot(
    frame: pd.DataFrame, *, zero: tuple[float, float, float], zero_name: str, title: str
) -> alt.LayerChart | alt.FacetChart:
    """`methods.curve`: a line with its band for each kind of head over images per class, on a scale of
    doublings, and zero-shot as a level. The last mark of a line, a diamond, is that of all training rows.

    Args:
        zero: zero-shot's value and its interval.
    """
    kinds = list(dict.fromkeys(frame["kind"]))
    ends = sorted({int(shots) for shots in frame["shots"]})
    x = alt.X(
        "shots:Q",
        title="training images per class",
        scale=alt.Scale(type="log", base=2, domain=[ends[0], ends[-1]], nice=False),
        axis=alt.Axis(values=ends, format="d", grid=False),
    )
    level = pd.DataFrame(
        {"shots": [ends[0], ends[-1]], "value": zero[0], "low": zero[1], "high": zero[2], "kind": zero_name}
    )
    names = [*kinds, zero_name]
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=names, range=[*CATEGORIES[: len(kinds)], GREY]),
        legend=alt.Legend(
            orient="top",
            columns=alt.ExprRef(f"{NARROW} ? 2 : 4"),
            labelLimit=alt.ExprRef(f"{NARROW} ? 125 : 260"),
            symbolOpacity=1,
        ),
    )
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    flat = alt.Chart(level).encode(x=x, color=colour)
    base = alt.Chart(frame).encode(x=x, color=colour)
    return alt.layer(
        flat.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        flat.mark_line(strokeDash=[6, 4], strokeWidth=2).encode(y=y),
        base.mark_area(opacity=min(0.14, 0.4 / len(kinds))).encode(
            y=alt.Y("low:Q", title=title), y2="high:Q"
        ),  # many bands lie upon each other
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(size=70, filled=True, opacity=1).encode(
            y=y,
            shape=alt.condition("datum.all", alt.value("diamond"), alt.value("circle")),
            tooltip=[
                alt.Tooltip("kind:N", title="head"),
                alt.Tooltip("shots:Q", title="images per class", format="d"),
                alt.Tooltip("value:Q", title=title, format=".3f"),
                *tooltip_ends(".3f"),
                alt.Tooltip("effect:N", title="vs zero-shot [95 %]"),
                alt.Tooltip("p:N", title="p (Holm)"),
                alt.Tooltip("rows:Q", title="training rows", format=",d"),
                alt.Tooltip("draws:Q", title="draws", format="d"),
            ],
        ),
    ).properties(height=380)


def _names(order: list[str]) -> alt.Y:
    """On a telephone long names break at the minus."""
    return alt.Y(
        "name:N",
        sort=order,
        title=None,
        axis=alt.Axis(
            labelExpr=f"{NARROW} ? split(datum.label, / (?=− |\\(n)|, /) : datum.label",
            labelLimit=alt.ExprRef(f"{NARROW} ? 140 : 380"),
            labelFontSize=alt.ExprRef(f"{NARROW} ? 9 : 12"),
            labelBaseline="middle",
            labelOverlap=False,
            ticks=False,
        ),
    )
