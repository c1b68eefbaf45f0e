"""A cell of a confusion matrix as a link: from the matrix to its rows on the map, and back."""

from __future__ import annotations

import streamlit as st

from dashboard import text
from dashboard.ui import state

LABEL, PRED = "label", "pred"
# Streamlit drops from a link what a widget of the page that it stands on is bound to, as head and split are.
HEAD, SPLIT = "cell_head", "cell_split"


def cell(run_id: str, *, head: str, split: str, label: str, pred: str) -> dict[str, str]:
    """The parameters of an address that leads to a cell, or to its rows."""
    return {state.RUN: run_id, LABEL: label, PRED: pred, SPLIT: split, HEAD: text.clean(head)}


def take_over(parameter: str, key: str, options: list[str]) -> None:
    """What a link asks for becomes the choice of the widget ``key``; call it before the widget."""
    wanted = st.query_params.pop(parameter, None)
    if wanted in options:
        st.session_state[key] = wanted
