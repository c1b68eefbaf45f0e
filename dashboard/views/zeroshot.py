"""Zero-shot against trained heads: which is better, and from how many images on."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import comparison
from dashboard.runs.run_info import RunInfo
from dashboard.ui import conclusion, head_comparison, layout, state
from dashboard.ui.pages import ZERO_SHOT as PAGE
from trainer.tracking.schema import Artifact, FewShot, FewShotScores, Kind, Methods, RunState, ZeroShot

COMMAND = "python -m trainer.zeroshot --data path/to/images --encoder openai/clip-vit-base-patch32"
NAME = "zero-shot"  # the method that the others are compared with
HOW = (
    "Heads are trained on a few random images of each class, several draws each. Regularisation strengths "
    "are chosen on validation rows, for all draws together.",
    "Where a head’s mean reaches zero-shot is interpolated between the measured numbers of images; the "
    "interval "
    "is that of resampled draws and rows. A head matches zero-shot from where it is shown to be less than a "
    "margin below, for all numbers together.",
)


def runs() -> list[RunInfo]:
    return state.of_kind(Kind.ZERO_SHOT)


def show(info: RunInfo) -> None:
    layout.pick(info, runs(), label="Comparison", key=state.ZERO_SHOT)
    summary = state.summary(info)
    few_shot, table = state.table(info, Artifact.FEW_SHOT), state.table(info, Artifact.METHODS)
    if few_shot is None or table is None or not summary:
        so_far(info)
        return
    conclusion.show(summary[ZeroShot.ADVICE])
    curve(few_shot, table, summary)
    head_comparison.all_of(info)
    words(summary)
    layout.command_to_repeat(info)


def so_far(info: RunInfo) -> None:
    """Before there are test results: how far the few-shot heads are."""
    record = state.table(info, Artifact.FEW_SHOT_SCORES)
    done = 0 if record is None else int((record[FewShotScores.DRAW].drop_duplicates() >= 0).sum())
    told = f"{text.count(done, 'draw')} of few-shot heads trained"
    if info.state == RunState.LIVE:
        layout.empty(f"{told[:1].upper()}{told[1:]}. Test results appear at the end.")
    else:
        layout.empty(f"This comparison stopped before the test: {told}.")


def curve(few_shot: pd.DataFrame, table: pd.DataFrame, summary: dict[str, Any]) -> None:
    """What a few labelled images are worth."""
    st.subheader("How many images match zero-shot?")
    zero = table[table[Methods.METHOD] == NAME].iloc[0]
    frame = comparison.curve(few_shot)
    values = [float(zero[Methods.F1_MACRO + end]) for end in ("", Methods.LOW, Methods.HIGH)]
    n, groups = summary[ZeroShot.COUNTS]["test"], summary.get(ZeroShot.TEST_GROUPS)
    layout.chart(
        charts.few_shot(frame, zero=(values[0], values[1], values[2]), zero_name=NAME, title="test macro-F1"),
        frame,
        name="few-shot",
        alt_text=f"Test macro-F1 over images per class for {frame['kind'].nunique()} kinds of heads, and "
        "zero-shot as a level",
        n=text.rows_drawn(n, groups),
    )
    draws = int(few_shot[FewShot.DRAWS].max())
    layout.sentence(
        f"Means over {draws} draws; bands: 95 % over draws and {text.rows_drawn(n, groups)}. Diamonds: all "
        "training rows, at the median class size."
    )
    crossings = pd.DataFrame(
        [
            {"head": text.clean(kind), **_crossing(found, int(few_shot[FewShot.SHOTS].max()))}
            for kind, found in summary.get(ZeroShot.CROSSING, {}).items()
        ]
    )
    margin = summary.get(ZeroShot.MARGIN)
    if len(crossings):
        st.dataframe(
            crossings.fillna("–"), hide_index=True, alt="Where each kind of head overtakes zero-shot"
        )
        layout.sentence(
            "Images per class at which a head’s mean reaches zero-shot."
            + (f" Matches: shown to be less than {margin:g} below." if margin is not None else "")
        )
    layout.how(*HOW)


def _crossing(found: dict[str, Any], most: int) -> dict[str, str]:
    def shots(value: float | None) -> str:
        if value is None:
            return f"> {most}"
        return "≤ 1" if value <= 1 else f"{value:.1f}"

    low, high = found["ci95"]
    level = {}
    if "as_good_from" in found:  # not in runs of earlier versions
        shown = found["as_good_from"]
        level = {"matches from": "not reached" if shown is None else f"{shown:.0f}"}
    ends = list(dict.fromkeys([shots(low), shots(high)]))
    return {
        "overtakes zero-shot at": "not reached" if found["shots"] is None else shots(found["shots"]),
        "95 %": " to ".join(ends),
        "resampled curves that cross": f"{found['within']:.0%}",
        **level,
    }


def words(summary: dict[str, Any]) -> None:
    """Templates and class names, as they were used."""
    st.subheader("Prompts")
    left, right = st.columns(2, gap="large")
    with left:
        templates = [text.clean(one, longest=120) for one in summary.get(ZeroShot.TEMPLATES, [])]
        st.dataframe(
            pd.DataFrame({"template": templates}),
            hide_index=True,
            alt=f"{len(templates)} templates of prompts",
        )
        layout.sentence(
            f"{text.count(len(templates), 'template')}; a class is the mean of its prompts’ vectors. Use "
            "your own with `--templates FILE`, one per line."
        )
    with right:
        names = summary.get(ZeroShot.CLASS_NAMES, {})
        frame = pd.DataFrame(
            {
                "class": [text.clean(name) for name in names],
                "prompt name": [text.clean(", ".join(one), longest=200) for one in names.values()],
            }
        )
        st.dataframe(
            frame, hide_index=True, height=320 if len(frame) > 8 else "content", alt="Names of classes"
        )
        layout.sentence(
            "More descriptive names often help: `--class-names FILE`, such as `cat: [cat, kitten]`."
        )


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No zero-shot run yet. This command classifies your test images by class names alone, and finds how "
        "many labelled images a head needs to match that:",
        COMMAND,
        "On the built-in data: `python -m trainer.zeroshot`.",
    )


layout.page(PAGE.title, show, runs=runs, key=state.ZERO_SHOT, none=nothing_yet)
