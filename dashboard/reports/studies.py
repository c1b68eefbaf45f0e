"""What a report says of a study of methods or filters: its conclusion, and the differences behind it."""

from __future__ import annotations

import pandas as pd

from dashboard import text
from dashboard.charts import comparison as charts
from dashboard.frames import comparison
from dashboard.reports import ablation, document, verification
from dashboard.runs.run_info import RunInfo
from dashboard.runs.store import Store
from trainer.tracking.schema import (
    Ablated,
    Artifact,
    EncodersCompared,
    Fused,
    Kind,
    MethodPairs,
    Methods,
    Verified,
    ZeroShot,
)

ADVICE = {
    Kind.FUSION: Fused.ADVICE,
    Kind.ZERO_SHOT: ZeroShot.ADVICE,
    Kind.ENCODERS: EncodersCompared.ADVICE,
    Kind.ABLATION: Ablated.ADVICE,
    Kind.VERIFICATION: Verified.ADVICE,
}


def sections(store: Store, info: RunInfo) -> list[str]:
    """The sections of a run that is no sweep."""
    assert info.kind is not None
    summary = store.summary(info.run_id) or {}
    found = [conclusion(str(summary.get(ADVICE[info.kind], "")))]
    filters = store.table(info.run_id, Artifact.ABLATION) if info.kind is Kind.ABLATION else None
    roc = store.table(info.run_id, Artifact.ROC) if info.kind is Kind.VERIFICATION else None
    if filters is not None and len(filters):
        found += ablation.sections(filters)
    if roc is not None and summary:
        found += verification.sections(roc, summary)
    methods = store.table(info.run_id, Artifact.METHODS)
    pairs = store.table(info.run_id, Artifact.METHOD_PAIRS)
    if methods is not None and Methods.F1_MACRO in methods and len(methods):
        found.append(scores(methods))
    if pairs is not None and MethodPairs.EFFECT in pairs and len(pairs):
        found.append(differences(pairs))
    return found


def conclusion(recorded: str) -> str:
    """The verdict, and the lines below it."""
    first, *others = [line for line in recorded.splitlines() if line.strip()] or ["No result is on record."]
    return document.paragraph(first, "verdict") + "".join(map(document.paragraph, others))


def scores(methods: pd.DataFrame, *, of_runs: bool = False) -> str:
    """Every method with its intervals."""
    what = "run" if of_runs else "method"
    return document.section(
        f"{what.title()}s",
        document.chart(
            charts.dots(comparison.dots(methods), title="test macro-F1"),
            f"Test macro-F1 of {text.count(len(methods), what)} with 95 % intervals.",
        ),
        document.table(comparison.as_read(methods, of_runs=of_runs)),
    )


def differences(pairs: pd.DataFrame) -> str:
    """Every difference with its interval and p-value."""
    return document.section(
        "Differences",
        document.chart(
            charts.differences(comparison.forest(pairs), title="difference in test macro-F1"),
            f"{text.count(len(pairs), 'difference')} in test macro-F1 with 95 % intervals.",
        ),
        document.table(comparison.pairs_as_read(pairs)),
    )
