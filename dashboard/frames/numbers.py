"""Predicted numbers: their errors, figures with intervals, and the histogram of errors. Pure pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.charts.numbers import PREDICTED, TRUE
from trainer.core import text
from trainer.stats.intervals import Interval
from trainer.stats.objective import MAE, R2, RMSE
from trainer.tracking.schema import Predictions

ERROR, AWAY = "error", "absolute error"
MOST_BINS = 40


class NumberFigures(NamedTuple):
    """Of one head on some rows, with 95 % intervals over rows, or groups of them."""

    r2: Interval
    mae: Interval
    rmse: Interval
    mean_mae: float  # of the rows' own mean


def answers(predictions: pd.DataFrame, head: str, split: str) -> pd.DataFrame:
    """Rows of one head and split: PREDICTIONS' columns, ``true, predicted, error`` (predicted less true) and
    ``absolute error``; the largest first."""
    rows = predictions[(predictions[Predictions.HEAD] == head) & (predictions[Predictions.SPLIT] == split)]
    return largest_first(rows)


def largest_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `with_errors`, the largest error first."""
    return with_errors(rows).sort_values(AWAY, ascending=False, kind="stable", ignore_index=True)


def with_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with ``true, predicted, error`` and ``absolute error``."""
    error = rows[Predictions.NUMBER] - rows[Predictions.TARGET]
    named = {TRUE: rows[Predictions.TARGET], PREDICTED: rows[Predictions.NUMBER]}
    return rows.assign(**named, **{ERROR: error, AWAY: error.abs()})


def figures(rows: pd.DataFrame) -> NumberFigures:
    """Return the figures of `answers`."""
    target_n, unit_n = rows[TRUE].to_numpy(), rows[Predictions.UNIT].to_numpy()
    answer_n1 = rows[[PREDICTED]].to_numpy()
    r2, mae, rmse = (one.interval(one.of(target_n, answer_n1), unit_n) for one in (R2, MAE, RMSE))
    return NumberFigures(r2, mae, rmse, float(np.abs(target_n - target_n.mean()).mean()))


def histogram(rows: pd.DataFrame) -> pd.DataFrame:
    """Return bins of the errors: ``low, high, n``; none of them crosses 0."""
    error_n = rows[ERROR].to_numpy()
    most = float(np.abs(error_n).max()) if len(error_n) else 0.0
    half = max(3, min(MOST_BINS // 2, round(np.sqrt(len(error_n)))))
    edges = np.linspace(-(most or 1.0), most or 1.0, 2 * half + 1)
    counts, _ = np.histogram(error_n, edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts})


def said(row: Mapping[Any, Any]) -> str:
    """Format a row: ``5.12 → 6.03 (+0.91)``."""
    return f"{text.quantity(row[TRUE])} → {with_error(row)}"


def with_error(row: Mapping[Any, Any]) -> str:
    """Format what is predicted of a row, and its error: ``6.03 (+0.91)``."""
    _, change = text.forms(in_units=True)
    return f"{text.quantity(row[PREDICTED])} ({change(row[ERROR])})".replace("-", "−")


def as_points(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return PREDICTIONS of numbers as a map shows them: the numbers in words as ``label`` and ``pred``, no
    confidence, and the errors."""
    rows = with_errors(predictions)
    rows[Predictions.LABEL] = rows[TRUE].map(text.quantity)
    rows[Predictions.PRED] = rows[PREDICTED].map(text.quantity)
    rows[Predictions.CONFIDENCE] = np.nan
    return rows
