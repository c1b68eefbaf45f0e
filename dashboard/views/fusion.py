"""Images and captions together: does the text help, and which way of joining is best?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import text
from dashboard.runs.run_info import RunInfo
from dashboard.ui import conclusion, head_comparison, layout, state
from dashboard.ui.pages import FUSION as PAGE
from trainer.tracking.schema import Artifact, Fused, Kind, RunState

COMMAND = "python -m trainer.fuse --data path/to/images --encoder openai/clip-vit-base-patch32"
RESCUED = (" (gained by the first method)", " (lost by the first method)")
TELLING = 0.05  # share of captions that may name their class unmentioned


def runs() -> list[RunInfo]:
    return state.of_kind(Kind.FUSION)


def show(info: RunInfo) -> None:
    layout.pick(info, runs(), label="Fusion", key=state.FUSION)
    summary = state.summary(info)
    if not summary or state.table(info, Artifact.METHODS) is None:
        if info.state == RunState.LIVE:
            layout.empty("Training heads. Test results appear at the end.")
        else:
            layout.empty("This run stopped before the test.")
        return
    conclusion.show(summary[Fused.ADVICE])
    captions(summary)
    head_comparison.all_of(info, verbs=RESCUED)
    layout.command_to_repeat(info)


def captions(summary: dict[str, Any]) -> None:
    """Which rows have captions, and whether these leak the label."""
    counts, without, named = (summary[key] for key in (Fused.COUNTS, Fused.WITHOUT_CAPTION, Fused.NAMED))
    shares = ", ".join(f"{named[split]:.0%} in {split}" for split in counts)
    if summary[Fused.HIDDEN]:
        st.info(
            f"Class names were removed from the captions that named their own class: {shares}.",
            icon=":material/visibility_off:",
        )
    elif max(named.values()) > TELLING:
        st.warning(
            f"Captions name their own class: {shares}. That leaks the label; re-run with "
            "`--hide-class-names` to exclude this.",
            icon=":material/report:",
        )
    cut = summary.get(Fused.CUT, 0)
    lacking = ", ".join(f"{without[split]:,} of {counts[split]:,} {split} rows" for split in counts)
    said = f"Without a caption, classified by image only: {lacking}."
    if not any(without.values()):
        said = "All rows have captions."
    layout.sentence(said + (f" The encoder truncated {text.count(cut, 'caption')}." if cut else ""))


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No fusion yet. This command trains heads on images, on captions and on both, and tests whether the "
        "text helps:",
        COMMAND,
        "On the built-in data: `python -m trainer.fuse`, and the same with `--hide-class-names`.",
    )


layout.page(PAGE.title, show, runs=runs, key=state.FUSION, none=nothing_yet)
