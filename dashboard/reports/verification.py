"""What a report says of a verification: every method's figures, and its ROC and DET curves."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard.charts import verification as charts
from dashboard.frames import verification
from dashboard.reports import document
from trainer.tracking.schema import Verified


def sections(roc: pd.DataFrame, summary: dict[str, Any]) -> list[str]:
    """The sections of a run that has its figures."""
    frame = verification.curves(roc)
    pairs = (
        f"{summary[Verified.SAME]:,} same-person and {summary[Verified.DIFFERENT]:,} different-person pairs"
    )
    drawn = (
        document.chart(
            charts.roc(frame, least=verification.least_rate(summary)),
            f"ROC of {pairs}. Bands: 95 %, pointwise, of trained head and raw cosine.",
        ),
        document.chart(
            charts.det(frame),
            f"DET of {pairs}: both error rates on normal-deviate axes; lower left is better.",
        ),
    )
    figures = verification.figures(summary)
    over = (
        f"95 % intervals over {summary[Verified.PEOPLE]:,} people; differences are "
        "paired; p with Holm’s correction."
    )
    return [
        document.section("Methods", document.table(figures), document.paragraph(over, "quiet")),
        document.section("Curves", document.side_by_side(*drawn)),
    ]
