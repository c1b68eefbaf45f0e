"""The average precision of each label, with its interval and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from trainer.charts.fonts import undrawable
from trainer.charts.labels import distinct, fitted, visible
from trainer.charts.palette import BLUE, GREY
from trainer.charts.rows import rows_high
from trainer.stats.label_tables import average_precisions

MOST_ROWS, STEP = 40, 22  # labels that have a row, and its pixels
WIDTH, TITLE = 420, 42  # pixels, of a file; characters of a line of its title


def precision_rows(
    names: Sequence[str], label_nc: np.ndarray, probability_nc: np.ndarray, unit_n: np.ndarray
) -> pd.DataFrame:
    """Return ``label, n`` (rows that have it), ``ap, ap_low, ap_high, chance`` (the share of rows that have
    it), a row per label in the order of ``names``; the average precision is NaN without rows of both kinds.

    Args:
        label_nc: bool [N, C].
        unit_n: int [N], see `trainer.stats.units`.
    """
    ranked_c3 = np.array(average_precisions(label_nc, probability_nc, unit_n), dtype=float).reshape(-1, 3)
    return pd.DataFrame(
        {
            "label": list(names),
            "n": label_nc.sum(0),
            "ap": ranked_c3[:, 0],
            "ap_low": ranked_c3[:, 1],
            "ap_high": ranked_c3[:, 2],
            "chance": label_nc.sum(0) / max(len(label_nc), 1),
        }
    )


def precisions(frame: pd.DataFrame, **encodings: Any) -> alt.LayerChart:
    """Draw a dot with its interval for each label, and a grey tick at chance: the share of rows that have it.

    Args:
        frame: `precision_rows` of labels with an average precision, in the order of the rows, no two
            ``label`` alike.
        encodings: further ones, such as tooltips.
    """
    y = alt.Y(
        "label:N",
        sort=list(frame["label"]),
        title=None,
        axis=alt.Axis(labelLimit=180, labelOverlap=False, ticks=False),
    )
    x: dict[str, Any] = {"title": "average precision", "scale": alt.Scale(domain=[0, 1])}
    base = alt.Chart(frame).encode(y=y, **encodings)
    lines = base.mark_rule(strokeWidth=2, color=BLUE, opacity=0.55).encode(
        x=alt.X("ap_low:Q", **x), x2="ap_high:Q"
    )
    dots = base.mark_circle(size=60, color=BLUE, opacity=1).encode(
        x=alt.X("ap:Q", axis=alt.Axis(format=".1f", tickCount=6), **x)
    )
    chance = base.mark_tick(color=GREY, thickness=2, height={"band": 0.6}, aria=False).encode(
        x=alt.X("chance:Q", **x)
    )
    layered: Any = alt.layer(chance, lines, dots)
    return layered.properties(**rows_high(len(frame), STEP))


def worst_precisions(rows: pd.DataFrame, *, title: str) -> alt.LayerChart | None:
    """Draw `precision_rows` as a chart of its own, for a file: the worst label first, `MOST_ROWS` at most.

    None where no label has an average precision.

    Args:
        title: whatever characters it has, as the labels.
    """
    ranked = rows[rows["ap"].notna()].sort_values("ap", kind="stable", ignore_index=True)
    if ranked.empty:
        return None
    drawn = ranked.head(MOST_ROWS)
    names, title = [visible(str(name)) for name in drawn["label"]], visible(title)
    lost = undrawable([*names, title])
    names = [f"label {i}" if name in lost else name for i, name in enumerate(names, start=1)]
    title = "".join("□" if undrawable([c]) else c for c in title) if title in lost else title
    below = ["95 % intervals. Grey ticks: chance."]
    if len(drawn) < len(ranked):
        below.append(f"The {len(drawn)} worst of {len(ranked)} labels.")
    if lost - {title}:
        below.append("Names that no installed font can draw are numbered from the top.")
    says = alt.Title(fitted(title, TITLE).splitlines(), subtitle=below)
    return precisions(drawn.assign(label=distinct(names, 30))).properties(width=WIDTH, title=says)
