"""Charts with a row for each thing: rows of one height, however few they are."""

from __future__ import annotations

from typing import Any

import altair as alt

LEAST = 18  # pixels of a row that a line of text fits into


def rows_high(count: int, step: float) -> dict[str, Any]:
    """Return the properties of a chart of ``count`` rows that are ``step`` pixels high, `LEAST` at least.

    Axis and legend take room beside the rows. In a chart of a given height, which Streamlit fits whole into
    its place, they would leave a few rows next to nothing.
    """
    fits: Any = alt.AutoSizeParams(type="fit-x", contains="padding")
    return {"height": count * max(step, LEAST), "autosize": fits}
