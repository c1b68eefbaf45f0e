"""How a measure of the images is spread, split by split."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.histogram import outlines
from dashboard.charts.palette import GREY, SPLITS
from trainer.charts.rows import LEAST, rows_high

MOST_NAMED = 60  # classes; of more, some names are left out
# Of an axis over orders of magnitude.
TICKS = [0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000]


def histogram(
    bins: pd.DataFrame, *, title: str, wide: bool, height: int = 280
) -> alt.LayerChart | alt.FacetChart:
    """`frames.histogram`: a step line over a faint area for each split, which the legend names with its n.

    Args:
        title: of the x axis, with its unit.
        wide: bins are even in log(1 + value), and so is the axis.
    """
    totals = bins.drop_duplicates("split").set_index("split")["total"]
    present = [split for split in SPLITS if split in totals.index]
    names = {split: f"{split} (n = {totals[split]:,})" for split in present}
    bins = bins.assign(name=bins["split"].map(names))
    low, high = float(bins["low"].min()), float(bins["high"].max())
    x = alt.X(
        "low:Q",
        title=title,
        scale=alt.Scale(type="symlog", constant=1, domain=[low, high], nice=False)
        if wide
        else alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(grid=False, values=_ticks(low, high)) if wide else alt.Axis(grid=False),
    )
    y = alt.Y(
        "share:Q",
        title="share of the split’s images",
        axis=alt.Axis(format=".0%", tickCount=5),
        stack=None,  # areas lie over each other, they do not add up
    )
    colour = alt.Color(
        "name:N",
        title=None,
        sort=list(names.values()),
        scale=alt.Scale(domain=list(names.values()), range=[SPLITS.get(split, GREY) for split in present]),
        legend=alt.Legend(
            orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, labelLimit=260
        ),
    )
    tooltip = [
        alt.Tooltip("split:N"),
        alt.Tooltip("low:Q", title="from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("n:Q", title="images", format=",d"),
        alt.Tooltip("share:Q", title="of its split", format=".1%"),
    ]
    layers = outlines(bins, (x, y, colour), tooltip, opacity=0.12, width=2)
    return alt.layer(*layers).properties(height=height)


def class_balance(balance: pd.DataFrame) -> alt.Chart:
    """`health.class_balance`: for each class one bar per split, as shares of the splits."""
    totals = balance.drop_duplicates("split").set_index("split")["total"]
    present = [split for split in SPLITS if split in totals.index]
    names = {split: f"{split} (n = {totals[split]:,})" for split in present}
    order = list(dict.fromkeys(balance["label"]))
    return (
        alt.Chart(balance.assign(name=balance["split"].map(names)))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y(
                "label:N",
                sort=order,
                title=None,
                axis=alt.Axis(labelLimit=220, labelOverlap=len(order) > MOST_NAMED, ticks=False),
            ),
            yOffset=alt.YOffset("name:N", sort=list(names.values())),
            x=alt.X("share:Q", title="share of the split’s rows", axis=alt.Axis(format=".0%", tickCount=6)),
            color=alt.Color(
                "name:N",
                title=None,
                sort=list(names.values()),
                scale=alt.Scale(
                    domain=list(names.values()), range=[SPLITS.get(split, GREY) for split in present]
                ),
                legend=alt.Legend(orient="top", labelLimit=260),
            ),
            tooltip=[
                alt.Tooltip("label:N", title="class"),
                alt.Tooltip("split:N"),
                alt.Tooltip("n:Q", title="rows", format=",d"),
                alt.Tooltip("share:Q", title="of its split", format=".1%"),
            ],
        )
        .properties(
            **rows_high(len(order), min(11 * len(present), 30) if len(order) <= MOST_NAMED else LEAST)
        )
    )


def _ticks(low: float, high: float) -> list[float]:
    """The round numbers in the range; its ends where there are too few of them."""
    inside = [float(tick) for tick in TICKS if low <= tick <= high]
    return inside if len(inside) > 1 else [low, *inside, high]
