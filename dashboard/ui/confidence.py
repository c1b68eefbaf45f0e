"""The section about confidence: its calibration, and the accuracy of the most confident answers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import calibration as charts
from dashboard.frames import calibration as frames
from dashboard.ui import layout
from trainer.tracking.schema import Summary

HOW = (
    "The confidence of an answer is the probability of its class. Rows are sorted by it and cut into ten "
    "bins of as many rows. ECE (expected calibration error) is the mean distance from the diagonal.",
    "In the other chart, more and more of the least confident rows are left unanswered; AURC is the error "
    "rate averaged over all shares answered. All intervals are over groups, or rows without one.",
)
Kept = Callable[..., Any]


def show(rows: pd.DataFrame, split: str, summary: dict[str, Any], kept: Kept, *choices: Hashable) -> None:
    """Draw a reliability diagram and the accuracy by share answered.

    Args:
        rows: PREDICTIONS of one head in one split, at least one row.
        summary: whose figures of test rows are of these rows; {} if they are not.
        kept: makes something once for all readers: (name, make, *choices).
    """
    answers = kept("confidence", lambda: frames.confidence(rows), *choices)
    left, right = st.columns(2, gap="medium")
    with left:
        reliability(answers, split, summary, kept, *choices)
    with right:
        answered(answers, split, summary, kept, *choices)
    layout.how(*HOW)


def reliability(
    answers: pd.DataFrame, split: str, summary: dict[str, Any], kept: Kept, *choices: Hashable
) -> None:
    bins = kept("reliability", lambda: frames.reliability(answers), *choices)
    one = frames.example(bins)
    layout.verdict(f"At {one['confidence']:.0%} confidence, {percent(one, 'right')} are correct.")
    layout.chart(
        kept("reliability chart", lambda: layout.written(charts.reliability(bins)), *choices),
        bins,
        name="top-label-reliability",
        alt_text=f"Reliability diagram of {len(answers)} {split} rows: share correct over confidence",
        n=text.count(len(answers), f"{split} row"),
    )
    error = figure(summary, Summary.TEST_ECE_TOP_LABEL, frames.error(answers))
    layout.sentence(
        f"n = {len(answers):,} {split} rows; 95 % Wilson intervals. Dashed: perfect calibration. ECE {error}."
    )


def answered(
    answers: pd.DataFrame, split: str, summary: dict[str, Any], kept: Kept, *choices: Hashable
) -> None:
    curve = kept("answered", lambda: frames.answered(answers), *choices)
    point = curve[curve["n"] == frames.share_count(len(answers))]
    layout.verdict(
        f"Of the most confident {frames.SHARE:.0%}, {percent(point.iloc[0], 'accuracy')} are correct."
    )
    layout.chart(
        kept("answered chart", lambda: layout.written(charts.answered(curve, point)), *choices),
        curve,
        name="accuracy-by-share-answered",
        alt_text=f"Accuracy of the most confident {split} rows over their share",
        n=text.count(len(answers), f"{split} row"),
    )
    area = figure(summary, Summary.TEST_AURC, frames.risk_area(answers))
    layout.sentence(
        f"Band: 95 % Wilson. All rows: {percent(curve.iloc[-1], 'accuracy')}. AURC {area}, lower is better."
    )


def percent(row: pd.Series, name: str) -> str:
    """``87 % [84, 90]``."""
    return f"{row[name]:.0%} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def figure(summary: dict[str, Any], name: str, value: float) -> str:
    """A figure with the interval that is on record."""
    return text.interval(value, summary.get(name + Summary.CI95))


def says_sets(summary: dict[str, Any]) -> None:
    """Coverage and size of the best head's prediction sets on test rows, where recorded."""
    if Summary.TEST_COVERAGE not in summary:
        return
    covered, (low, high) = summary[Summary.TEST_COVERAGE], summary[Summary.TEST_COVERAGE + Summary.CI95]
    size, ends = summary[Summary.TEST_SET_SIZE], summary[Summary.TEST_SET_SIZE + Summary.CI95]
    layout.sentence(
        f"Prediction sets for {summary[Summary.COVERAGE]:.0%} coverage hold the true class in {covered:.0%} "
        f"[{100 * low:.0f}, {100 * high:.0f}] of the test rows, with "
        f"{text.interval(size, ends, lambda one: f'{one:.2f}')} classes on average."
    )
