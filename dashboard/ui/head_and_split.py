"""Which head and which split a page is about: its row of controls, kept in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout, state
from trainer.tracking.schema import Artifact, Predictions

SPLITS = ["test", "val", "train"]
CONTROLS, CONTROLS_HEIGHT = ("head", "split"), 75  # pixels, about


class HeadAndSplit(NamedTuple):
    """What the controls say."""

    head: str
    split: str


def show(info: RunInfo, show_asked: Callable[[pd.DataFrame, HeadAndSplit], None]) -> None:
    """Show the controls and what they ask for, or that there are no predictions yet.

    Args:
        show_asked: given PREDICTIONS of all heads, and the choice.
    """
    predictions = state.table(info, Artifact.PREDICTIONS)
    if predictions is None or predictions.empty:
        layout.missing(info, "predictions")
        return
    heads = {text.clean(name): name for name in predictions[Predictions.HEAD].unique()}
    splits = [name for name in SPLITS if name in set(predictions[Predictions.SPLIT])]
    layout.controlled(
        lambda: _controls(heads, splits),
        HeadAndSplit(next(iter(heads.values())), splits[0]),
        lambda asked: show_asked(predictions, asked),
        names=CONTROLS,
        height=CONTROLS_HEIGHT,
    )


def _controls(heads: dict[str, str], splits: list[str]) -> HeadAndSplit:
    with st.container(horizontal=True, gap="medium"):
        head = heads[st.selectbox("Head", list(heads), key="head", bind="query-params", width=200)]
        split = st.segmented_control(
            "Split", splits, default=splits[0], required=True, key="split", bind="query-params"
        )
    return HeadAndSplit(head, split)
