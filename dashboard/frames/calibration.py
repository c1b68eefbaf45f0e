"""How far a head's confidence can be trusted: bins of a reliability diagram, accuracy by share answered."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames import predictions as prediction_frames
from trainer.stats.calibration import calibration_error, equal_mass_bins
from trainer.stats.intervals import wilson_of_groups
from trainer.stats.selective import accuracy_kept, by_confidence
from trainer.tracking.schema import Predictions

MOST_POINTS = 120  # of a curve
EXAMPLE, SHARE = 0.9, 0.8  # confidence, and share answered, that the page speaks of


def confidence(rows: pd.DataFrame) -> pd.DataFrame:
    """``confidence`` of the answer to each row, and whether it is ``right``; ``unit`` where known."""
    right = rows[Predictions.LABEL] == rows[Predictions.PRED]
    known = {Predictions.UNIT: rows[Predictions.UNIT]} if Predictions.UNIT in rows else {}
    return pd.DataFrame({"confidence": rows[Predictions.CONFIDENCE].astype(float), "right": right, **known})


def reliability(answers: pd.DataFrame) -> pd.DataFrame:
    """Bins of as many rows each (equal confidences share one): ``bin, confidence`` (mean), ``right`` (share),
    ``low, high`` (Wilson's interval over rows or groups) and ``n``."""
    found = []
    bin_n = equal_mass_bins(answers["confidence"].to_numpy())
    for number, (_, inside) in enumerate(answers.groupby(bin_n), start=1):
        share = wilson_of_groups(inside["right"].to_numpy(), prediction_frames.units(inside))
        found.append((number, inside["confidence"].mean(), *share, len(inside)))
    return pd.DataFrame(found, columns=["bin", "confidence", "right", "low", "high", "n"])


def example(bins: pd.DataFrame) -> pd.Series:
    """The bin of `reliability` whose confidence is nearest to `EXAMPLE`."""
    return bins.iloc[int((bins["confidence"] - EXAMPLE).abs().argmin())]


def error(answers: pd.DataFrame) -> float:
    """The expected calibration error over the bins of `reliability`."""
    right_n, confidence_n = answers["right"].to_numpy(), answers["confidence"].to_numpy()
    bin_n, whole_1n = equal_mass_bins(confidence_n), np.ones((1, len(answers)))
    return float(calibration_error(right_n, confidence_n, bin_n, whole_1n)[0])


def answered(answers: pd.DataFrame) -> pd.DataFrame:
    """Accuracy where only the most confident rows are answered: ``share`` of rows answered, ``accuracy, low,
    high`` (Wilson's interval over rows or groups, the threshold held as it is) and ``n``; rising, at most
    `MOST_POINTS` and the point at `SHARE`."""
    order_n, right_n = by_confidence(answers["confidence"].to_numpy(), answers["right"].to_numpy())
    rows, unit_n = len(order_n), prediction_frames.units(answers)
    counts = np.linspace(1, rows, min(rows, MOST_POINTS)).round().astype(int)
    found = [
        (n / rows, *wilson_of_groups(right_n[:n], None if unit_n is None else unit_n[order_n[:n]]), n)
        for n in np.unique(np.append(counts, share_count(rows)))
    ]
    return pd.DataFrame(found, columns=["share", "accuracy", "low", "high", "n"])


def share_count(rows: int) -> int:
    """How many rows the share `SHARE` is."""
    return max(1, round(SHARE * rows))


def risk_area(answers: pd.DataFrame) -> float:
    """The area under the risk-coverage curve, see `trainer.stats.selective.aurc`."""
    kept = accuracy_kept(answers["confidence"].to_numpy(), answers["right"].to_numpy())
    return float((1 - kept).mean())
