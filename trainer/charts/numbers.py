"""Predicted numbers against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from trainer.charts.fonts import undrawable
from trainer.charts.labels import fitted, visible
from trainer.charts.palette import BLUE, GREY
from trainer.charts.paper import NATURAL

SIDE = 420  # pixels
TRUE, PREDICTED = "true", "predicted"


def against_true(
    rows: pd.DataFrame, extent: tuple[float, float], *, params: Sequence[Any] = (), **encodings: Any
) -> alt.LayerChart:
    """Draw a point for each row, and the line on which both numbers are the same.

    Args:
        rows: ``true, predicted`` and what else is encoded.
        extent: of both axes.
        params: of the points, such as a selection.
        encodings: further ones of the points, such as tooltips.
    """
    scale = alt.Scale(domain=list(extent), nice=False, zero=False)
    x, y = (
        alt.X(f"{TRUE}:Q", title="true", scale=scale),
        alt.Y(f"{PREDICTED}:Q", title=PREDICTED, scale=scale),
    )
    line = (
        alt.Chart(pd.DataFrame({TRUE: extent, PREDICTED: extent}))
        .mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1.5, aria=False)
        .encode(x=x, y=y)
    )
    points = (
        alt.Chart(rows)
        .mark_circle(color=BLUE, opacity=0.55, size=36, clip=True)
        .encode(x=x, y=y, **encodings)
    )
    layered: Any = alt.layer(line, points.add_params(*params))
    return layered.properties(height=SIDE, usermeta={NATURAL: SIDE})


def extent_of(*numbers: np.ndarray) -> tuple[float, float]:
    """Return where the axes begin and end, with a margin."""
    low, high = min(float(one.min()) for one in numbers), max(float(one.max()) for one in numbers)
    margin = (high - low or abs(high) or 1.0) * 0.04
    return low - margin, high + margin


def against_true_image(target_n: np.ndarray, number_n: np.ndarray, *, title: str) -> bytes:
    """Return a PNG of the rows, whatever characters the title has."""
    from trainer.charts.render import png

    title = visible(title)
    title = "".join("□" if undrawable([one]) else one for one in title) if undrawable([title]) else title
    rows = pd.DataFrame({TRUE: target_n, PREDICTED: number_n})
    says = alt.Title(fitted(title, 70), subtitle=["Dashed: predicted = true."])
    chart = against_true(rows, extent_of(target_n, number_n)).properties(width=SIDE, title=says)
    return png(chart)
