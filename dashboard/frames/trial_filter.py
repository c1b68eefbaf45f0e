"""Trials whose values lie where somebody brushed the axes of the parallel coordinates. Pure pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dashboard import text
from dashboard.frames.hyperparameters import NOT_USED

MOST = 40  # columns and values in an address
NEAR = 1e-9  # relative: an address has fewer digits than a number


class Kept(NamedTuple):
    """What a trial may have in one column."""

    low: float | None = None  # of numbers, both ends included
    high: float | None = None
    words: tuple[str, ...] = ()  # of choices, as people read them
    unset: bool = False  # whether trials without it stay, too

    def matches(self, values: pd.Series) -> pd.Series:
        """Return which values are kept."""
        if self.low is None or self.high is None:
            found = values.map(text.value, na_action="ignore").isin(self.words)
        else:
            room = NEAR * max(abs(self.low), abs(self.high))
            found = pd.to_numeric(values, errors="coerce").between(self.low - room, self.high + room)
        return found | (values.isna() & self.unset)

    def said(self) -> str:
        """Return what is kept, in words."""
        parts = [text.clean(word, longest=30) for word in self.words[:MOST]]
        if self.low is not None and self.high is not None:
            parts.append(" – ".join(dict.fromkeys(map(text.value, (self.low, self.high)))))
        return ", ".join([*parts, *([NOT_USED] if self.unset else [])])


Filter = Mapping[str, Kept]  # by column of TRIALS


def matching(trials: pd.DataFrame, kept: Filter) -> pd.Series:
    """Return which trials match in all columns; a column that they lack counts as not set."""
    found = pd.Series(True, index=trials.index)
    for column, values in kept.items():
        known = trials[column] if column in trials else pd.Series(np.nan, index=trials.index, dtype=object)
        found &= values.matches(known)
    return found


def written(kept: Filter) -> str:
    """Return a filter as a parameter of an address."""
    return json.dumps(
        {column: [*one.words] if one.low is None else [one.low, one.high] for column, one in kept.items()}
        | {f"?{column}": True for column, one in kept.items() if one.unset},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def read(words: str) -> dict[str, Kept]:
    """Return `written` backwards; what is none is left out."""
    try:
        found = json.loads(words)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    kept = {}
    for column, values in list(found.items())[:MOST]:
        unset = found.get(f"?{column}") is True
        if not isinstance(values, list) or len(values) > MOST:
            continue
        if all(isinstance(one, str) for one in values) and (values or unset):
            kept[column] = Kept(words=tuple(values), unset=unset)
        elif len(values) == 2 and all(_is_number(one) for one in values):
            kept[column] = Kept(min(values), max(values), unset=unset)
    return kept


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def brushed(
    trials: pd.DataFrame, lines: pd.DataFrame, axes: Mapping[str, tuple[str, bool]], box: Mapping[str, Any]
) -> dict[str, Kept]:
    """Return what was brushed: of each axis in a box the values of the trials that cross it there.

    Args:
        trials: ``trial`` and the columns of the axes.
        lines: of `hyperparameters.polylines`.
        axes: column, and whether it has numbers, by title of the axis.
        box: titles as ``axis`` and, from and to, ``at``.
    """
    low, high = sorted(float(end) for end in box["at"])
    inside = lines[lines["at"].between(low, high)]
    kept = {}
    for title in box["axis"]:
        if title not in axes:
            continue
        column, numeric = axes[title]
        crossing = trials["trial"].isin(inside.loc[inside["axis"] == title, "trial"])
        values = trials.loc[crossing, column]
        if values.empty:
            continue
        known = values.dropna()
        unset = bool(values.isna().any())
        if numeric and len(known):
            kept[column] = Kept(float(known.min()), float(known.max()), unset=unset)
        else:
            kept[column] = Kept(words=tuple(sorted({text.value(one) for one in known})), unset=unset)
    return kept
