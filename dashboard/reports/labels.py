"""What a report says of several labels per image: each label's figures, pairs of labels, the worst images."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard import text
from dashboard.charts import labels as charts
from dashboard.frames import labels as frames
from dashboard.frames.predictions import shown_names
from dashboard.reports import document
from dashboard.reports.thumbnails import with_images

WORST = 24  # images


def sections(rows: pd.DataFrame, summary: dict[str, Any], samples: pd.DataFrame | None) -> list[str]:
    """The sections of the final head on test rows, of PREDICTIONS."""
    answered = frames.of_run(rows.reset_index(drop=True), summary)
    shown = shown_names(answered.names)
    table = frames.per_label(answered)
    table = table.assign(label=table["label"].map(shown))
    n = text.count(len(rows), "test row")
    return [
        document.section("Labels", *_precisions(table, n), document.table(as_read(table))),
        *_pairs(answered, shown),
        document.section("Worst images", document.images(_worst(answered, shown, samples))),
    ]


def _precisions(table: pd.DataFrame, n: str) -> list[str]:
    ranked = table[table["ap"].notna()].head(charts.MOST_ROWS)
    if ranked.empty:
        return []
    says = (
        f"Average precision of {text.count(len(ranked), 'label')} on {n}, with 95 % intervals; tick: chance."
    )
    return [document.chart(charts.precisions(ranked), says)]


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """Each label's figures with 95 % intervals, the lowest average precision first."""
    records = table.to_dict("records")
    scores = {
        f"{title} [95 %]": [
            text.interval(row[name], (row[f"{name}_low"], row[f"{name}_high"])) for row in records
        ]
        for name, title in (("ap", "average precision"), ("precision", "precision"), ("recall", "recall"))
    }
    counts = {"test rows with it": table["n"].astype(int), "threshold": table["threshold"], "F1": table["f1"]}
    return pd.DataFrame({"label": table["label"], **scores, **counts})


def _pairs(answered: frames.LabelAnswers, shown: dict[str, str]) -> list[str]:
    """Which labels are there together, and what was wrongly said where one was missed."""
    if len(answered.names) < 2:
        return []
    looks = (
        (
            frames.together(answered, charts.MOST_SQUARES),
            charts.PairLook(charts.BLUE, "label", "also has", "rows with the label", False),
            "Of the rows with a label, the share that has the other, too.",
        ),
        (
            frames.missed(answered, charts.MOST_SQUARES, there=False),
            charts.PairLook(charts.RED, "missed", "wrongly said", "rows that missed it", False),
            "Of the rows that missed a label, the share on which the other was wrongly said.",
        ),
    )
    drawn = [
        document.chart(
            charts.pairs(
                found.cells.assign(
                    label=found.cells["label"].map(shown), other=found.cells["other"].map(shown)
                ),
                [shown[name] for name in found.names],
                look,
            ),
            says,
        )
        for found, look, says in looks
        if len(found.cells)
    ]
    return [document.section("Pairs of labels", document.side_by_side(*drawn))] if drawn else []


def _worst(
    answered: frames.LabelAnswers, shown: dict[str, str], samples: pd.DataFrame | None
) -> list[tuple[bytes, str]]:
    named = answered._replace(names=[shown[name] for name in answered.names])
    rows = frames.with_words(named.take(frames.worst(named, None, None))).head(WORST)
    return [
        (image, f"{row[frames.TRUE] or frames.NO_LABELS} → {row[frames.SAID] or frames.NO_LABELS}")
        for image, row in with_images(rows, samples)
    ]
