"""What a sweep comes to: the verdict, the figures behind it, and how they were computed."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from dashboard import text
from dashboard.frames import headline
from dashboard.runs.run_info import RunInfo
from dashboard.ui import layout, state
from trainer.stats.objective import Objective
from trainer.tracking.schema import FineTuned, Summary, Verdict

WARNING = ":material/warning:"
FIGURES, CAPTION, METHOD, BOX = 154, 34, 48, 84  # pixels: verdict and figures, and what may be below them
REPORT = 56  # the button


def height(summary: dict[str, Any], objective: Objective) -> int:
    """Return how many pixels `show` takes on a wide screen, about."""
    tested = Summary.TEST + objective.leading.metric in summary
    found = [headline.against_expected(summary, objective).warning] if tested else []
    boxes = [*found, headline.worse_than_another(summary, objective), summary.get(FineTuned.EFFECT)]
    return (
        FIGURES
        + (CAPTION if summary else 0)
        + METHOD * bool(headline.how(summary, objective))
        + BOX * sum(map(bool, boxes))
        + (REPORT if summary else 0)
    )


def show(info: RunInfo, summary: dict[str, Any]) -> None:
    """Show the verdict, warnings, the headline figures, and how they were computed."""
    found = headline.verdict(info, summary)
    layout.verdict(found.words)
    for warning in filter(None, [found.warning, headline.worse_than_another(summary, info.objective)]):
        st.warning(warning, icon=WARNING)
    if summary.get(FineTuned.EFFECT):
        against_frozen(summary)
    layout.metric_row(headline.cells(info, summary))
    if Summary.TEST + info.objective.leading.metric in summary and summary.get(Summary.COUNTS):
        over, rough = headline.basis(summary)
        layout.sentence(" ".join([over, *(f"{WARNING} {one}" for one in rough)]))
    if method := [*headline.fine_tuned(summary), *headline.how(summary, info.objective)]:
        layout.how(*method)
    if summary:
        st.download_button(
            "Report",
            partial(state.report, info),
            file_name=f"report-{info.run_id[:8]}.html",
            mime="text/html",
            key="report-file",
            on_click="ignore",
            icon=":material/description:",
            help="One file to hand to somebody: figures, charts, mistakes and settings. It needs no network.",
        )


def against_frozen(summary: dict[str, Any]) -> None:
    """Say whether fine-tuning was worth it, for a run that did."""
    value, low, high = summary[FineTuned.EFFECT]
    says, box = {
        Verdict.HELPS: ("helps", st.success),
        Verdict.HURTS: ("hurts: keep the frozen encoder", st.warning),
    }.get(summary[FineTuned.VERDICT], ("makes no significant difference", st.info))
    effect = text.interval(value, (low, high), text.signed)
    trained = text.plain(summary.get(FineTuned.TRAINED, ""), longest=120) or (
        f"the last {text.count(summary[FineTuned.UNFROZEN], 'block')} of {summary[FineTuned.BLOCKS]}"
    )
    box(
        f"**Fine-tuning {trained} {says}: {effect} test macro-F1.**",
        icon=":material/tune:",
    )
    if why := summary.get(FineTuned.WHY, ""):
        layout.sentence(text.plain(why, longest=250))
