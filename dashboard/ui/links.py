"""Links: a cell of a confusion matrix and its rows on the map, images similar to one, and addresses that
earlier versions wrote."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import streamlit as st

from dashboard import text
from dashboard.ui import state
from dashboard.ui.pages import SEARCH

LABEL, PRED = "label", "pred"
# Streamlit drops from a link what a widget of the page that it stands on is bound to, as head and split are.
HEAD, SPLIT = "cell_head", "cell_split"
LIKE = "like"  # of the page "Search": the row whose like is searched for


def cell(run_id: str, *, head: str, split: str, label: str, pred: str) -> dict[str, str]:
    """The parameters of an address that leads to a cell, or to its rows."""
    return {state.RUN: run_id, LABEL: label, PRED: pred, SPLIT: split, HEAD: text.clean(head)}


def similar(run_id: str, sample_id: str) -> str:
    """The address that leads to the images most similar to a row, relative to any page but Home."""
    return f"{SEARCH.view}?{urlencode({state.RUN: run_id, LIKE: sample_id})}"


def take_over(parameter: str, key: str, options: list[str]) -> None:
    """What a link asks for becomes the choice of the widget ``key``; call it before the widget."""
    wanted = st.query_params.pop(parameter, None)
    if wanted in options:
        st.session_state[key] = wanted


def understand_earlier(name: str, renamed: Mapping[str, str], *, several: bool = False) -> None:
    """Let addresses of earlier versions choose what has another name now; call it before the control.

    Args:
        name: of the parameter and of the control.
        renamed: choices as they were called, and what they are called now.
        several: whether the control takes several choices.
    """
    given = st.query_params.get_all(name)
    if any(one in renamed for one in given):
        now = [renamed.get(one, one) for one in given]
        st.query_params.pop(name)
        st.session_state[name] = now if several else now[0]
