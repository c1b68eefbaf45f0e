"""What a page shows of predicted numbers: against the true ones, their errors, and the images behind them."""

from __future__ import annotations

import base64
from collections.abc import Hashable
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import numbers as charts
from dashboard.charts.scatter import BOX
from dashboard.frames import numbers as frames
from dashboard.frames import projection as projection_frames
from dashboard.runs.run_info import RunInfo
from dashboard.ui import gallery, head_and_split, layout, state
from dashboard.ui.head_and_split import HeadAndSplit
from trainer.charts.numbers import PREDICTED, TRUE
from trainer.tracking.schema import Artifact, Predictions, Samples, Summary

MOST_POINTS = 5_000
PAGE, CLEARED = "page", "numbers-cleared"
TAKEN_ALONG = [Predictions.SAMPLE_ID, TRUE, PREDICTED, frames.ERROR, Samples.CAPTION]
HOW = (
    "R²: share of the variance of the true numbers that is explained; 0 is as good as their mean. MAE: mean "
    "absolute error. RMSE: root of the mean squared error. 95 % intervals over rows, or groups of rows.",
    "Scores of ordered classes (1 to 5, say): round the predicted numbers and compare those.",
)


def show(info: RunInfo) -> None:
    """Show the page of a sweep that predicts a number."""
    head_and_split.show(info, lambda predictions, asked: _show_asked(info, predictions, asked))


def _show_asked(info: RunInfo, predictions: pd.DataFrame, asked: HeadAndSplit) -> None:
    versions = tuple(state.version(info, one) for one in (Artifact.PREDICTIONS, Artifact.SAMPLES))
    version = ("numbers", info.run_id, versions, asked)
    samples = state.table(info, Artifact.SAMPLES)

    def prepared() -> tuple[pd.DataFrame, frames.NumberFigures]:
        rows = gallery.with_images(frames.answers(predictions, asked.head, asked.split), samples)
        return rows, frames.figures(rows)

    rows, figures = state.kept(version, prepared)
    layout.verdict(_verdict(figures, asked.split, len(rows)))
    left, right = st.columns([4, 3], gap="medium")
    with left:
        _scatter(info, rows, asked, version)
        _errors(rows, figures, asked, version)
    with right:
        _images(rows)
    _says(info, asked)
    layout.how(*HOW)


def _verdict(figures: frames.NumberFigures, split: str, rows: int) -> str:
    value, *ends = figures.r2
    return (
        f"R² {text.interval(value, ends)} on {rows:,} {split} rows: off by "
        f"{text.quantity(figures.mae.value)} on average, their mean by {text.quantity(figures.mean_mae)}."
    )


def _scatter(info: RunInfo, rows: pd.DataFrame, asked: HeadAndSplit, version: Hashable) -> None:
    drawn = rows if len(rows) <= MOST_POINTS else rows.sample(MOST_POINTS, random_state=0)
    key = f"numbers-{info.run_id}-{st.session_state.get(CLEARED, 0)}"

    def dragged() -> None:
        box = st.session_state[key]["selection"].get(BOX)
        if box:
            ends = (*sorted(box[TRUE]), *sorted(box[PREDICTED]))
            st.query_params[BOX] = projection_frames.boxes_to([ends])
        else:
            st.query_params.pop(BOX, None)
        st.session_state[PAGE] = 1

    layout.chart(
        state.kept((version, "scatter"), lambda: layout.written(charts.scatter(_for_chart(drawn)))),
        rows[TAKEN_ALONG],
        name="predicted-against-true",
        alt_text=f"Predicted against true numbers of {len(drawn)} {asked.split} rows, and the line where "
        "both are the same",
        n=text.count(len(rows), f"{asked.split} row"),
        key=key,
        on_select=dragged,
        selection_mode=BOX,
    )
    some = f" {len(drawn):,} of {len(rows):,} rows are drawn." if len(drawn) < len(rows) else ""
    layout.sentence(f"Dashed: predicted = true. Drag a box for its images; hover for one.{some}")


def _for_chart(rows: pd.DataFrame) -> pd.DataFrame:
    """Foreign words cut to what a tooltip holds, thumbnails as data URIs."""
    images = [
        f"data:image/webp;base64,{base64.b64encode(data).decode()}" if isinstance(data, bytes) else None
        for data in rows[Samples.THUMBNAIL]
    ]
    words = {name: [text.clean(one, longest=120) for one in rows[name]] for name in ("caption", "sample_id")}
    return rows[[TRUE, PREDICTED, frames.ERROR]].assign(
        image=pd.Series(images, index=rows.index, dtype=object), **words
    )


def _errors(
    rows: pd.DataFrame, figures: frames.NumberFigures, asked: HeadAndSplit, version: Hashable
) -> None:
    bins = frames.histogram(rows)
    layout.chart(
        state.kept((version, "errors"), lambda: layout.written(charts.errors(bins))),
        bins,
        name="errors",
        alt_text=f"Histogram of the errors of {len(rows)} {asked.split} rows",
        n=text.count(len(rows), f"{asked.split} row"),
    )
    mean = rows[frames.ERROR].mean()
    too = "high" if mean > 0 else "low"
    mae, rmse = (text.interval(one.value, one[1:], text.quantity) for one in (figures.mae, figures.rmse))
    layout.sentence(f"MAE {mae}, RMSE {rmse}. On average {text.quantity(abs(mean))} too {too}.")


def _images(rows: pd.DataFrame) -> None:
    """The images in the box, else those with the largest errors."""
    found = rows
    boxes = projection_frames.boxes_from(st.query_params.get(BOX, ""))
    if boxes:
        left, right, bottom, top = boxes[0]
        found = rows[rows[TRUE].between(left, right) & rows[PREDICTED].between(bottom, top)]
    st.subheader("Selected images" if boxes else "Largest errors")
    if boxes:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"{len(found):,} selected")
            st.button("Clear selection", icon=":material/close:", type="tertiary", on_click=_forget)
    said = [frames.said(row) for row in found.to_dict("records")]
    gallery.show(
        found.assign(**{gallery.SAYS: said}), key=PAGE, order="largest error first", per_page=12, width=136
    )
    if len(found):
        layout.export(found[TAKEN_ALONG], name="largest-errors")


def _forget() -> None:
    st.query_params.pop(BOX, None)
    st.session_state[PAGE] = 1
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1


def _says(info: RunInfo, asked: HeadAndSplit) -> None:
    """What the intervals of predicted numbers hold, and what train and val rows say."""
    summary: dict[str, Any] = state.summary(info)
    if asked.split == "test" and summary.get(Summary.HALF_WIDTH) is not None:
        held = text.interval(
            summary[Summary.TEST_COVERAGE], summary.get(Summary.TEST_COVERAGE + Summary.CI95)
        )
        layout.sentence(
            f"Intervals of ±{text.quantity(summary[Summary.HALF_WIDTH])} are to hold "
            f"{summary[Summary.COVERAGE]:.0%} of the true numbers; of the test rows they hold {held}."
        )
    elif asked.split != "test" and summary.get(Summary.REFIT):
        layout.sentence("These rows were predicted out of fold, by heads that had not learned from them.")
