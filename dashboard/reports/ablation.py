"""What a report says of an ablation: the effect of every filter, and the way to the best one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard import text
from dashboard.charts import ablation as charts
from dashboard.frames import ablation
from dashboard.reports import document
from trainer.tracking.schema import Ablation

MOST_IN_TABLE = 60  # filters of each encoder


def sections(table: pd.DataFrame) -> list[str]:
    """The sections of each encoder."""
    encoders = table[Ablation.ENCODER].unique()
    found = []
    for encoder in encoders:
        of_encoder = table[table[Ablation.ENCODER] == encoder].reset_index(drop=True)
        where = f", {text.clean(encoder, longest=60)}" if len(encoders) > 1 else ""
        found += _of_encoder(ablation.named(of_encoder), where)
    return found


def _of_encoder(table: pd.DataFrame, where: str) -> list[str]:
    frame = ablation.forest(table)
    if frame.empty:
        return []
    drawn = frame["number"].nunique()
    effects = document.chart(
        charts.forest(frame, title="change of test macro-F1"),
        f"Change of test macro-F1 by {text.count(drawn, 'filter')} with 95 % intervals; filled: significant "
        "after Holm’s correction (p < 0.05).",
    )
    rows = ablation.as_read(table).drop(columns="number")
    return [
        document.section(f"Filters{where}", effects, document.table(rows.head(MOST_IN_TABLE))),
        *_way(table, ablation.best_on_validation(table), where),
    ]


def _way(table: pd.DataFrame, cell: dict[Any, Any], where: str) -> list[str]:
    frame = ablation.steps(table, cell)
    if len(frame) < 2:
        return []
    named = frame.assign(label=[text.clean(step, longest=44) for step in frame["step"]])
    drawn = document.chart(
        charts.steps(named, title="change of test macro-F1 against all rows", dark=False),
        f"{text.clean(cell['name'], longest=110)}, best on validation. Bars: change by adding a part. Dots: "
        "change from all rows up to there, with its 95 % interval.",
    )
    return [document.section(f"Step by step{where}", drawn)]
