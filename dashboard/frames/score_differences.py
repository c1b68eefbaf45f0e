"""Runs of numbers, or of several labels, against a base: tables as people read them. Pure pandas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames.comparison import BETTER, NOT_SIGNIFICANT, WORSE, name_of
from dashboard.frames.predictions import shown_names
from trainer.stats.power import detectable_effect
from trainer.tracking.compared_scores import IN_UNITS, TITLES, ScorePair

MOST_LABELS = 30  # in the chart


def as_read(pairs: Sequence[ScorePair]) -> pd.DataFrame:
    """Every score of every run beside the base's, with paired intervals; p of each score by itself."""
    rows = []
    for pair in pairs:
        for row in pair.scores.to_dict("records"):
            form, change = text.forms(in_units=row["score"] in IN_UNITS)
            difference = text.interval(row["difference"], (row["low"], row["high"]), change)
            rows.append(
                {
                    "run": name_of(pair.run),
                    "score": TITLES[row["score"]],
                    "of run": form(row["a"]),
                    "of baseline": form(row["b"]),
                    "difference [95 %]": difference.replace("-", "−"),
                    "p": text.p_value(row["p"]),
                    "test rows": pair.rows,
                }
            )
    return pd.DataFrame(rows)


def forest(pairs: Sequence[ScorePair]) -> pd.DataFrame:
    """Every run's difference in the score that decides: ``name, value, low, high, p`` (Holm), ``says,
    detectable``."""
    firsts = pd.DataFrame([pair.scores.iloc[0] for pair in pairs])
    names = [name_of(pair.run) for pair in pairs]
    return _differences(names, firsts, np.array([pair.p_holm for pair in pairs]))


def labels(pair: ScorePair) -> pd.DataFrame:
    """Each label's difference in average precision, as of `forest`, with both values (``run``, ``base``), the
    least likely by chance first; without labels that the rows do not both have and lack."""
    if pair.labels is None:
        return pd.DataFrame()
    known = pair.labels[pair.labels["p"].notna()].sort_values("p", kind="stable")
    shown = shown_names(list(known["label"]))
    found = _differences([shown[name] for name in known["label"]], known, known["p_holm"].to_numpy())
    return found.assign(run=known["a"].to_numpy(), base=known["b"].to_numpy())


def _differences(names: list[str], table: pd.DataFrame, p: np.ndarray) -> pd.DataFrame:
    value, low, high = (table[name].to_numpy(dtype=float) for name in ("difference", "low", "high"))
    sure = np.array(
        [text.significant(ends, one) for *ends, one in zip(low, high, p, strict=True)], dtype=bool
    )
    return pd.DataFrame(
        {
            "name": names,
            "value": value,
            "low": low,
            "high": high,
            "p": p,
            "says": np.select(
                [np.array(sure, bool) & (low > 0), np.array(sure, bool) & (high < 0)],
                [BETTER, WORSE],
                NOT_SIGNIFICANT,
            ),
            "detectable": np.atleast_1d(detectable_effect(low, high, comparisons=max(len(names), 1))),
        }
    )
