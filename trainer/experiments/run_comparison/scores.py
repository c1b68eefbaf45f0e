"""Runs of numbers, or of several labels per image, against the base, on the test rows that both have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from rich.table import Table

from trainer.core import text
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.experiments.comparison import show
from trainer.stats.objective import MAE, RMSE
from trainer.stats.paired_bootstrap import holm
from trainer.stats.power import detectable_effect
from trainer.tracking.compared_runs import RunAnswers
from trainer.tracking.compared_scores import by_label, by_score, paired_answers

if TYPE_CHECKING:
    from trainer.experiments.base import Figures

TITLES = {
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "map": "mAP",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
}
IN_UNITS = (MAE.name, RMSE.name)


class ScorePair(NamedTuple):
    """A run against the base. The first score, R² or mAP, decides."""

    run: str
    rows: int
    scores: pd.DataFrame  # `compared_scores.by_score`
    labels: pd.DataFrame | None  # `compared_scores.by_label`; None of numbers
    p_holm: float  # of the first score, for all runs

    @property
    def ends(self) -> tuple[float, float]:
        """The interval of the difference in the first score."""
        first = self.scores.iloc[0]
        return float(first["low"]), float(first["high"])

    @property
    def verdict(self) -> str:
        """better, worse, or not significant."""
        if not text.significant(self.ends, self.p_holm):
            return "not significant"
        return "better" if self.ends[0] > 0 else "worse"


def compared_scores(
    runs: Sequence[RunAnswers], summaries: Sequence[Mapping[str, Any]], *, base: int
) -> list[ScorePair]:
    """Compare every other run with the base.

    Raises:
        InputError: the runs predict different things, or two share no test row; one learned from test rows of
            the base or knows other answers to them.
    """
    found = []
    for place, run in enumerate(runs):
        if place == base:
            continue
        both = (place, base)
        pair = paired_answers(
            [runs[one].name for one in both],
            [runs[one].table for one in both],
            [summaries[one] for one in both],
        )
        if pair.true.ndim == 2 and not pair.labels:
            raise InputError(f"{run.name} and {runs[base].name} have no label in common.")
        labels = by_label(pair) if pair.labels else None
        found.append(ScorePair(run.name, len(pair.unit_n), by_score(pair), labels, np.nan))
    p_m = np.array([one.scores["p"].iloc[0] for one in found])
    judged = ~np.isnan(p_m)
    p_m[judged] = holm(p_m[judged])
    return [one._replace(p_holm=float(p)) for one, p in zip(found, p_m, strict=True)]


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
        first = one.scores.iloc[0]
        effect = float(first["difference"]), *one.ends
        p = None if one.p_holm != one.p_holm else one.p_holm
        metric = TITLES[first["score"]]
        say(
            text.compared((one.run, base), effect, p, comparisons=len(pairs), form=text.change, metric=metric)
        )
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
