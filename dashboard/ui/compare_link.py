"""The way from ticked runs to the page Compare."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.frames.comparable_runs import is_comparable
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout
from dashboard.ui.pages import COMPARE

RUNS = "runs"  # of the address of Compare: ids joined by commas


def show(ticked: Sequence[RunInfo]) -> bool:
    """Show the link where two or more runs can be compared, else say what it takes. Returns whether it is
    there.

    Args:
        ticked: newest first; the oldest is the baseline.
    """
    ids = [info.run_id for info in ticked if is_comparable(info)]
    if len(ids) < 2:
        if len(ticked) > 1:
            layout.sentence("Tick two finished runs with test predictions to compare them.")
        return False
    asked = {RUNS: ",".join(ids[::-1])}
    st.page_link(COMPARE.file, label=f"Compare {len(ids)} runs", icon=COMPARE.shortcode, query_params=asked)
    return True
