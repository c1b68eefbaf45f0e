"""Where a head is worst: kinds of rows with fewer right answers than elsewhere, and their images."""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import projection, slices
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, layout, state
from trainer.tracking.schema import Artifact, Predictions

PAGE = "slice_rows"  # parameter of the address: which page of the images
PICKED, DOT = "slice", "dot"  # parameter of the address: whose images; selection: the clicked slice
REDRAWN = "slices-redrawn"  # session: how often the chart must forget its click
HOW = (
    f"Slices are the {slices.MOST_NAMED} largest folders and groups, the {slices.MOST_WORDS} most frequent "
    "words of captions, rows with and without a copy or near-duplicate in the training rows, and the lowest "
    f"and highest quarter of each number on record of the images, of at least {slices.FEWEST} rows. Each is "
    "compared with all other rows of the split.",
    "Intervals are Newcombe’s; p-values are of Fisher’s exact test, one-sided, with Holm’s correction for "
    "all slices. With groups both are for as many rows as the groups are worth. A slice may be worse because "
    "it holds more of a hard class.",
)


def show(info: RunInfo, rows: pd.DataFrame, version: Hashable, *, split: str) -> None:
    """Show the slices of a head's rows in a split, the least likely by chance first, and images of one."""
    samples, measured = state.table(info, Artifact.SAMPLES), state.measured(info)
    duplicates, of_duplicates = state.duplicates(info)

    def found() -> tuple[list[slices.Slice], pd.DataFrame]:
        numbers = None
        if samples is not None:
            numbers = projection.numbers(samples, measured.images, measured.scores)
        each = slices.slices(rows, samples, numbers, duplicates)
        return each, slices.compared(rows, each)

    each, table = state.kept(("slices", version, measured.version, of_duplicates), found)
    st.subheader("Where is it worst?")
    if not each:
        layout.sentence("No folder, group, caption or number on record divides these rows into slices of 10.")
        return
    layout.verdict(slices.verdict(table))
    shown = table.head(slices.MOST_SHOWN)
    chart(shown, n=text.count(len(rows), f"{split} row"))
    read = slices.as_read(shown)
    st.dataframe(read, hide_index=True, alt=f"Figures of {text.count(len(read), 'slice')}")
    layout.export(slices.as_read(table), name="slices-figures")
    layout.sentence(
        f"The {len(shown)} of {text.count(len(table), 'slice')} that are least likely by chance; 95 % "
        f"intervals over {slices.drawn_over(rows)}. Coloured: worse after Holm’s correction. "
        "Click a dot for its mistakes."
    )
    images(rows, samples, each, shown)
    layout.how(*HOW)


def chart(shown: pd.DataFrame, *, n: str) -> None:
    """The slices, of which a click chooses one."""
    key = f"slices-{st.session_state.get(REDRAWN, 0)}"

    def clicked() -> None:
        picked = st.session_state[key]["selection"].get(DOT)
        name = picked[0].get("name") if picked else None
        if name in set(shown["name"]):
            st.session_state[PICKED], st.session_state[PAGE] = name, 1

    more = {"accuracy": "accuracy", "n": "rows"}
    layout.chart(
        charts.differences(shown, title="difference in accuracy", more=more, pick=DOT),
        shown,
        name="slices",
        alt_text=f"Difference in accuracy of {text.count(len(shown), 'slice')} to all other rows; the list "
        "below chooses one without a mouse",
        n=n,
        key=key,
        on_select=clicked,
        selection_mode=DOT,
    )


def images(
    rows: pd.DataFrame, samples: pd.DataFrame | None, each: list[slices.Slice], shown: pd.DataFrame
) -> None:
    """The mistakes in one slice."""
    places = dict(zip(shown["name"], shown["place"], strict=True))

    def forget() -> None:
        st.session_state[PAGE] = 1
        st.session_state[REDRAWN] = st.session_state.get(REDRAWN, 0) + 1

    picked = st.selectbox(
        "Mistakes in", list(places), key=PICKED, bind="query-params", width=520, on_change=forget
    )
    inside = rows[each[places[picked]].inside_n]
    wrong = inside[inside[Predictions.LABEL] != inside[Predictions.PRED]]
    wrong = wrong.sort_values(Predictions.CONFIDENCE, ascending=False, kind="stable")
    tiles = gallery.with_images(wrong, samples)
    tiles[gallery.SAYS] = tiles[Predictions.LABEL]
    tiles[gallery.ALSO] = [
        f"{text.clean(one, longest=30)}: {p:.0%}"
        for one, p in zip(tiles[Predictions.PRED], tiles[Predictions.CONFIDENCE], strict=True)
    ]
    gallery.show(tiles, key=PAGE, order="most confident first; below each the label and the answer")
