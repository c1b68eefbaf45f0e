"""Two methods' answers against each other: a matrix of what they say, and the images of a cell."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts.chart_spec import drawing
from dashboard.charts.confusion import CELL, MOST_SQUARE, said_together
from dashboard.frames import comparison
from dashboard.frames import predictions as prediction_frames
from dashboard.ui import gallery, layout, state
from trainer.tracking.schema import Predictions

PICKED, ROWS = "said", "said_rows"  # parameters of the address: the cell, and the page of its images
REDRAWN = "said-redrawn"  # session: how often the chart must forget its click
MOST_LISTED = 200  # cells in the select box, the largest


class Disagreement(NamedTuple):
    """Two methods on the rows that both answered."""

    one: str  # across
    other: str  # down
    rows: pd.DataFrame  # `comparison.answers`
    cells: pd.DataFrame  # `comparison.said_together`
    classes: list[str]  # that are drawn
    shown: dict[str, str]  # class → what stands for it
    version: Hashable

    @property
    def listed(self) -> dict[str, tuple[str, str]]:
        """Cells in which they differ by name, the largest first: (what ``other`` says, what ``one`` says)."""
        apart = self.cells[self.cells["label"] != self.cells["pred"]].head(MOST_LISTED)
        return {
            f"{self.shown[row['label']]} → {self.shown[row['pred']]} ({row['n']:,})": (
                row["label"],
                row["pred"],
            )
            for row in apart.to_dict("records")
        }


def show(
    predictions: pd.DataFrame,
    samples: pd.DataFrame | None,
    pair: tuple[str, str],
    *,
    key: Hashable,
) -> None:
    """Show what two methods say of the same rows, one against the other.

    Args:
        predictions: PREDICTIONS, HEAD being the name of a method.
        samples: SAMPLES, for the images.
        pair: names of the methods.
        key: names the tables, with their versions.
    """
    one, other = pair
    said = state.kept(("answers", key), lambda: comparison.answers(predictions))
    if not {one, other} <= set(said.columns):
        return
    cells = state.kept(("said together", key, pair), lambda: comparison.said_together(said, one, other))
    classes = comparison.most_disputed(cells, MOST_SQUARE)
    names = comparison.most_disputed(cells, len(cells) * 2)
    found = Disagreement(
        one, other, said, cells, classes, prediction_frames.shown_names(names), ("said together", key, pair)
    )
    st.subheader("One against the other")
    layout.sentence(counts(found))
    if not found.listed:
        return
    left, right = st.columns([4, 3], gap="medium")
    with right:
        cell = pick(found)
    with left:
        matrix(found, cell)
    with right:
        images(found, cell, samples)


def counts(found: Disagreement) -> str:
    """How many rows which of them has right, in words."""
    table = comparison.right_and_wrong(found.rows, found.one, found.other)
    one, other = (text.plain(name, longest=40) for name in (found.one, found.other))
    apart = int((found.rows[found.one] != found.rows[found.other]).sum())
    return (
        f"Of {text.count(len(found.rows), 'test row')} both have {table.both:,} right, only {one} "
        f"{table.only_one:,}, only {other} {table.only_other:,}, neither {table.neither:,}. They give "
        f"different answers to {apart:,}."
    )


def pick(found: Disagreement) -> tuple[str, str]:
    """The cell whose images are shown, kept in the address."""

    def forget() -> None:
        st.session_state[ROWS] = 1
        st.session_state[REDRAWN] = st.session_state.get(REDRAWN, 0) + 1

    name = f"{text.plain(found.other, longest=30)} → {text.plain(found.one, longest=30)}"
    picked = st.selectbox(name, list(found.listed), key=PICKED, bind="query-params", on_change=forget)
    return found.listed[picked]


def matrix(found: Disagreement, cell: tuple[str, str]) -> None:
    """The cells, of which a click chooses one in which the methods differ."""
    key = f"{PICKED}-{st.session_state.get(REDRAWN, 0)}"
    size = max(240, min(560, 130 + 46 * len(found.classes)))
    drawn = found.cells[found.cells["label"].isin(found.classes) & found.cells["pred"].isin(found.classes)]
    named = drawn.assign(label=drawn["label"].map(found.shown), pred=drawn["pred"].map(found.shown))
    by_cell = {place: words for words, place in found.listed.items()}
    real = {words: name for name, words in found.shown.items()}

    def clicked() -> None:
        picked = st.session_state[key]["selection"].get(CELL)
        place = tuple(real.get(picked[0].get(end), "") for end in ("label", "pred")) if picked else ()
        if place in by_cell:
            st.session_state[PICKED], st.session_state[ROWS] = by_cell[place], 1

    titles = comparison.name_of(found.one), comparison.name_of(found.other)
    framed = (found.shown[cell[0]], found.shown[cell[1]]) if set(cell) <= set(found.classes) else None
    dark = state.is_dark()
    figure = state.kept(
        (found.version, size, framed, dark),
        lambda: drawing(
            said_together(
                named,
                [found.shown[one] for one in found.classes],
                titles,
                side=size,
                dark=dark,
                chosen=framed,
            )
        ),
    )
    with st.container(width=size):
        layout.chart(
            figure,
            found.cells,
            name="said-together",
            alt_text=f"Answers of two runs against each other for {len(found.classes)} classes; the list "
            "chooses a cell without a mouse",
            n=text.count(len(found.rows), "test row"),
            key=key,
            on_select=clicked,
            selection_mode=CELL,
        )
    one, other = (text.plain(name, longest=30) for name in (found.one, found.other))
    left_out = len(found.shown) - len(found.classes)
    fewer = f" The {len(found.classes)} most disputed of {len(found.shown)} classes." if left_out else ""
    layout.sentence(
        f"Across: answers of {one}; down: of {other}. Blue: {one} right more often; orange: {other}; grey: "
        f"neither. Click a cell for its images.{fewer}"
    )


def images(found: Disagreement, cell: tuple[str, str], samples: pd.DataFrame | None) -> None:
    """The rows of a cell, each with its true label."""
    here = found.rows[(found.rows[found.other] == cell[0]) & (found.rows[found.one] == cell[1])]
    shown = gallery.with_images(here[[Predictions.SAMPLE_ID, Predictions.LABEL]], samples)
    shown[gallery.SAYS] = shown[Predictions.LABEL]
    gallery.show(shown, key=ROWS, order="below each its label", per_page=16)
