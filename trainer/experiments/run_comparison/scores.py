"""Runs of numbers, or of several labels per image, against the base, on the test rows that both have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from rich.table import Table

from trainer.core import text
from trainer.core.console import say
from trainer.experiments.comparison import show
from trainer.stats.power import detectable_effect
from trainer.tracking.compared_scores import IN_UNITS, TITLES, ScorePair

if TYPE_CHECKING:
    from trainer.experiments.base import Figures


def differences(pairs: Sequence[ScorePair], *, labels: bool) -> list[Figures]:
    """Return each run's figures for JSON.

    Args:
        labels: of every label, too.
    """
    return [
        {
            "run": one.run,
            "verdict": one.verdict,
            "test_rows": one.rows,
            "p_holm": None if one.p_holm != one.p_holm else one.p_holm,
            "scores": json.loads(_named(one.scores).to_json(orient="records")),
            **(
                {"labels": json.loads(_named(one.labels).to_json(orient="records"))}
                if labels and one.labels is not None
                else {}
            ),
        }
        for one in pairs
    ]


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"a": "run", "b": "base"})


def tell(pairs: Sequence[ScorePair], base: str) -> None:
    """Print the scores of every run beside the base's, and the verdict on it."""
    for one in pairs:
        title = f"{text.harmless(one.run)} against {text.harmless(base)} ({one.rows:,} test rows)"
        table = Table(title=title, title_justify="left")
        for head in ("score", "run", "base", "difference [95 %]", "p"):
            table.add_column(head, no_wrap=True)
        for row in one.scores.to_dict("records"):
            form, change = text.forms(in_units=row["score"] in IN_UNITS)
            difference = text.interval(row["difference"], (row["low"], row["high"]), change)
            words = (form(row["a"]), form(row["b"]), difference, text.p_value(row["p"]))
            table.add_row(TITLES[row["score"]], *words)
        show(table)
        say(one.told((one.run, base), comparisons=len(pairs)))
        if one.verdict == "not significant":
            say(f"  {text.could_show(detectable_effect(*one.ends, comparisons=len(pairs)), len(pairs))}")
        tell_labels(one)


def tell_labels(pair: ScorePair) -> None:
    """Say which labels differ significantly."""
    if pair.labels is None:
        return
    for row in pair.labels.to_dict("records"):
        if text.significant((row["low"], row["high"]), row["p_holm"]):
            change = text.interval(row["difference"], (row["low"], row["high"]), text.change)
            say(f"  {text.harmless(row['label'])}: average precision {change}.")
