"""Images on which one of two runs of numbers, or of several labels, is better than the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.frames import row_differences as frames
from dashboard.frames.row_differences import FIRST, SECOND, RowDifferences
from dashboard.ui import gallery, layout, state

SIDE, PAGE = "only", "rows"  # parameters of the address, as for runs of classes
PER_PAGE, WIDTH = 12, 136  # images, and pixels of one: numbers and labels need a wide line


def show(
    make: Callable[[], RowDifferences], names: tuple[str, str], samples: pd.DataFrame | None, *, key: Hashable
) -> None:
    """Show the images on which one run is better, those where it is far better first.

    Args:
        make: returns what the two runs say.
        names: of the first run and of the second.
        samples: SAMPLES, for the images.
        key: names what ``make`` returns, with the versions of its tables.
    """
    st.subheader("Where they differ most")
    found = state.kept(("row differences", key), make)
    layout.sentence(counts(found, names))
    sides = {text.plain(name): place for place, name in enumerate(names)}

    def first_page() -> None:
        st.session_state[PAGE] = 1

    side = st.segmented_control(
        "Better for",
        list(sides),
        default=next(iter(sides)),
        required=True,
        key=SIDE,
        bind="query-params",
        on_change=first_page,
    )
    better = found.better(first=sides[side] == 0)
    lines = frames.lines(better, names)
    shown = gallery.with_images(better.rows, samples)
    shown[gallery.SAYS] = ["; ".join(one) for one in lines]
    shown[gallery.LINES] = pd.Series(lines, index=shown.index, dtype=object)
    gallery.show(shown, key=PAGE, order="largest difference first", per_page=PER_PAGE, width=WIDTH)
    if len(better.rows):
        called = {FIRST: names[0], SECOND: names[1]}
        layout.export(better.rows.rename(columns=called), name="better-images")


def counts(found: RowDifferences, names: tuple[str, str]) -> str:
    """On how many rows which of the two is better, in words."""
    first, second, neither = found.counts
    one, other = (text.plain(name, longest=40) for name in names)
    rows = text.count(len(found.rows), "test row")
    return (
        f"By the {found.measure}, {one} is better on {first:,} of {rows}, {other} on {second:,}, neither on "
        f"{neither:,}."
    )
