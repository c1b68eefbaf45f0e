"""Which encoder is best, whether that is significant, and what it costs."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import text
from dashboard.charts import encoders as charts
from dashboard.frames import comparison
from dashboard.runs.run_info import RunInfo
from dashboard.ui import conclusion, head_comparison, layout, state
from dashboard.ui.pages import ENCODERS as PAGE
from trainer.tracking.schema import Artifact, EncoderCosts, EncodersCompared, Kind, Methods, RunState

COMMAND = (
    "python -m trainer.encoders --data path/to/images "
    "--encoders openai/clip-vit-base-patch32 facebook/dinov2-base"
)


def runs() -> list[RunInfo]:
    return state.of_kind(Kind.ENCODERS)


def show(info: RunInfo) -> None:
    layout.pick(info, runs(), label="Comparison", key=state.ENCODERS)
    summary = state.summary(info)
    table, frame = state.table(info, Artifact.ENCODERS), state.table(info, Artifact.METHODS)
    if not summary or table is None or frame is None:
        if info.state == RunState.LIVE:
            layout.empty("Measuring encoders and training probes. Test results appear at the end.")
        else:
            layout.empty("This run stopped before the test.")
        return
    recommendation = summary.get(EncodersCompared.RECOMMENDATION, "")
    rest = summary[EncodersCompared.ADVICE].removeprefix(recommendation).strip()
    conclusion.show(f"{recommendation}\n{rest}")
    bargain(table, frame, summary)
    head_comparison.all_of(info)
    layout.command_to_repeat(info)


def bargain(table: pd.DataFrame, frame: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Accuracy against speed, and the figures."""
    take, n = summary[EncodersCompared.RECOMMENDED], summary[EncodersCompared.COUNTS]["test"]
    margin = summary.get(EncodersCompared.MARGIN)  # runs of earlier versions recommended without one
    green = "not significantly worse than" if margin is None else f"shown to be less than {margin:g} below"
    st.subheader("Accuracy and speed")
    joined = frame.merge(table, left_on=Methods.METHOD, right_on=EncoderCosts.ENCODER)
    best = joined[Methods.CHOSEN].astype(bool)
    shown = comparison.dots(joined).assign(
        images_per_s=joined[EncoderCosts.IMAGES_PER_S],
        parameters=joined[EncoderCosts.PARAMETERS],
        dimension=joined[EncoderCosts.DIMENSION],
        memory=[f"{value / 2**20:,.0f} MiB" for value in joined[EncoderCosts.PEAK_BYTES]],
        says=[
            charts.SAYS[0] if name == take else charts.SAYS[1] if one else charts.SAYS[2]
            for name, one in zip(joined[Methods.METHOD], best, strict=True)
        ],
    )
    device = text.clean(table[EncoderCosts.DEVICE].iloc[0], longest=40)
    layout.chart(
        charts.bargain(shown, title="test macro-F1", device=device),
        shown,
        name="encoders",
        alt_text=f"Test macro-F1 of {len(shown)} encoders over images per second",
        n=text.count(n, "test row"),
    )
    layout.sentence(
        f"Tuned linear probes; {n:,} test rows, 95 % intervals over rows and probes. Speed: prepared "
        f"images on {text.plain(device)}. Green: fastest {green} the best, or the best."
    )
    costs = pd.DataFrame(
        {
            "encoder": shown["name"],
            "images/s": table[EncoderCosts.IMAGES_PER_S],
            "peak memory": shown["memory"],
            "weights": table[EncoderCosts.PARAMETERS],
            "dimension": table[EncoderCosts.DIMENSION],
            "input pixels": table[EncoderCosts.SIDE],
            "batch": table[EncoderCosts.BATCH_SIZE],
            "images encoded": table[EncoderCosts.ENCODED],
            "seconds": table[EncoderCosts.ENCODED_S],
            "key": [text.clean(key, longest=80) for key in table[EncoderCosts.KEY]],
        }
    )
    st.dataframe(
        costs,
        hide_index=True,
        alt=f"Costs of {text.count(len(costs), 'encoder')}",
        column_config={
            "weights": st.column_config.NumberColumn(format="compact"),
            "images/s": st.column_config.NumberColumn(format="%.1f"),
            "seconds": st.column_config.NumberColumn(format="%.1f", help="0: all were cached"),
        },
    )
    layout.export(costs, name="costs")


def nothing_yet() -> None:
    layout.nothing_yet(
        PAGE,
        "No comparison of encoders yet. This command trains the same probe on each, measures the cost, and "
        "recommends one:",
        COMMAND,
    )


layout.page(PAGE.title, show, runs=runs, key=state.ENCODERS, none=nothing_yet)
