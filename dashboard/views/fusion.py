"""Images and captions together: does the text help, and which way of joining is best?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import text
from dashboard.runs.run_info import RunInfo
from dashboard.ui import head_comparison, layout, state
from dashboard.ui.pages import FUSION as PAGE
from trainer.tracking.schema import Artifact, Fused, Kind, RunState

COMMAND = "python -m trainer.fuse --data path/to/images --encoder openai/clip-vit-base-patch32"
RESCUED = (": the first of the two rescues them", ": the first of the two spoils them")
TELLING = 0.05  # share of captions that may name their class unmentioned


def runs() -> list[RunInfo]:
    return state.of_kind(Kind.FUSION)


def show(info: RunInfo) -> None:
    layout.pick(info, runs(), label="Fusion", key=state.FUSION)
    summary = state.summary(info)
    if not summary or state.table(info, Artifact.METHODS) is None:
        if info.state == RunState.LIVE:
            layout.empty("The heads are being trained. The test rows are answered at the end.")
        else:
            layout.empty("This run ended before it answered the test rows.")
        return
    with st.container(border=True):
        st.text(text.clean(summary[Fused.ADVICE], longest=4000))
    captions(summary)
    head_comparison.all_of(info, verbs=RESCUED)
    layout.command_to_repeat(info)


def captions(summary: dict[str, Any]) -> None:
    """What the texts are, and whether they give the answer away."""
    counts, without, named = (summary[key] for key in (Fused.COUNTS, Fused.WITHOUT_CAPTION, Fused.NAMED))
    shares = ", ".join(f"{named[split]:.0%} in {split}" for split in counts)
    if summary[Fused.HIDDEN]:
        st.info(
            "The names of the classes were taken out of the captions, which named their own class: "
            f"{shares}.",
            icon=":material/visibility_off:",
        )
    elif max(named.values()) > TELLING:
        st.warning(
            f"Captions name their own class: {shares}. A head on such text reads the answer; "
            "`--hide-class-names` says what is left without.",
            icon=":material/report:",
        )
    cut = summary.get(Fused.CUT, 0)
    layout.sentence(
        "Without a caption, and answered by the image alone: "
        + ", ".join(f"{without[split]:,} of {counts[split]:,} {split} rows" for split in counts)
        + "."
        + (f" {text.count(cut, 'caption')} are longer than the encoder sees." if cut else "")
    )


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No fusion is on record yet. This command trains heads on the images, on their captions and on "
        "both, and says whether the text helps:",
        COMMAND,
        "On the built-in data: `python -m trainer.fuse`, and the same with `--hide-class-names`.",
    )


layout.page(PAGE.title, show, runs=runs, key=state.FUSION, none=nothing_yet)
