"""Frames of the page "Two classes": curves, rates at a threshold, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from dashboard import text
from dashboard.frames import predictions as prediction_frames
from dashboard.frames import trials
from dashboard.frames.predictions import BEST
from trainer.stats import binary
from trainer.stats.calibration import calibration_error as binned_error
from trainer.stats.calibration import equal_mass_bins
from trainer.stats.intervals import ratio, wilson_of_groups
from trainer.stats.roc import roc
from trainer.tracking.schema import Predictions, Summary

COLUMNS = 25  # of the histogram
MOST_POINTS = 600  # of a curve
SAID, SCALED = "before calibration", "after calibration"
CHOSEN, AGREED = "threshold here", "90 % specificity on validation"


def judged(predictions: pd.DataFrame, split: str, positive: str, temperature: float | None) -> pd.DataFrame:
    """Rows of the best head in a split: ``sample_id, positive`` (bool), ``said`` and ``scaled``, the
    probability of the positive class, which is the second, before and after calibration; ``unit`` where the
    run knows it.

    Args:
        temperature: of a head that is not calibrated, to scale what it says with; it is worked out from both
            probabilities, because near 1 float32 has few numbers. None: what it says is ``scaled``.
    """
    here = predictions[(predictions[Predictions.SPLIT] == split) & (predictions[Predictions.HEAD] == BEST)]
    probability_n2 = np.stack(here[Predictions.PROBS].to_list()) if len(here) else np.empty((0, 2))
    odds_n = binary.log_odds(probability_n2)
    said_n = expit(odds_n)
    if is_calibrated(here):
        before_n = here[Predictions.CONFIDENCE_UNCALIBRATED].to_numpy(dtype=float)
        said_n = np.where(here[Predictions.PRED] == positive, before_n, 1 - before_n)
    known = {name: here[name].to_numpy() for name in (Predictions.UNIT,) if name in here}
    return pd.DataFrame(
        {
            **known,
            Predictions.SAMPLE_ID: here[Predictions.SAMPLE_ID].to_numpy(),
            Predictions.LABEL: here[Predictions.LABEL].to_numpy(),
            "positive": (here[Predictions.LABEL] == positive).to_numpy(),
            "said": said_n,
            "scaled": expit(odds_n / (temperature or 1.0)),
        }
    )


def is_calibrated(predictions: pd.DataFrame) -> bool:
    """Whether the best head says calibrated probabilities, and what it said before is on record."""
    if Predictions.CONFIDENCE_UNCALIBRATED not in predictions:
        return False
    of_best = predictions[Predictions.HEAD] == BEST
    return bool(predictions.loc[of_best, Predictions.CONFIDENCE_UNCALIBRATED].notna().all())


def temperature_to_apply(predictions: pd.DataFrame, summary: dict[str, Any]) -> float | None:
    """The temperature that the answers on record still need; None of a calibrated head."""
    if Summary.TEST_AUROC not in summary or is_calibrated(predictions):
        return None
    return summary[Summary.TEMPERATURE]


def scaled(probability: float, temperature: float | None, *, back: bool = False) -> float:
    """A probability after temperature scaling; ``back``: what the head said of a scaled one."""
    if not 0 < probability < 1 or temperature is None:
        return probability
    odds = logit(probability)
    return float(expit(odds * temperature if back else odds / temperature))


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Points of the ROC and the precision-recall curve, a row per threshold, falling: ``threshold,
    sensitivity, false_alarms`` (1 - specificity), ``precision``; at most `MOST_POINTS`."""
    positive_n = rows["positive"].to_numpy()
    curve = roc(rows["scaled"].to_numpy(), positive_n)
    right, wrong = curve.tar_lt[0] * positive_n.sum(), curve.far_lt[0] * (~positive_n).sum()
    frame = pd.DataFrame(
        {
            "threshold": curve.threshold_t.clip(max=1.0),  # the first is infinite: nobody is called positive
            "sensitivity": curve.tar_lt[0],
            "false_alarms": curve.far_lt[0],
            "precision": ratio(right, right + wrong),
        }
    )
    frame.loc[0, "precision"] = frame["precision"].iloc[1]
    kept = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), MOST_POINTS)).round().astype(int))
    return frame.iloc[kept].reset_index(drop=True)


def rates(rows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Sensitivity, specificity, PPV and NPV of calling positive what has at least the threshold, with
    Wilson's interval over rows or groups: ``figure, value, low, high, right, of``; null where nothing is to
    be divided by."""
    called_n = (rows["scaled"] >= threshold).to_numpy()
    positive_n, unit_n = rows["positive"].to_numpy(), prediction_frames.units(rows)
    right_n = called_n == positive_n
    shares = {"sensitivity": positive_n, "specificity": ~positive_n, "PPV": called_n, "NPV": ~called_n}
    found = []
    for name, of_n in shares.items():
        value, low, high = wilson_of_groups(right_n[of_n], None if unit_n is None else unit_n[of_n])
        hits, of = int(right_n[of_n].sum()), int(of_n.sum())
        found.append({"figure": name, "value": value, "low": low, "high": high, "right": hits, "of": of})
    return pd.DataFrame(found)


def points(rows: pd.DataFrame, thresholds: dict[str, float]) -> pd.DataFrame:
    """Where thresholds lie on the curves, with the ends of their intervals; one row per name."""
    found = []
    for name, threshold in thresholds.items():
        rate = rates(rows, threshold).set_index("figure")
        point: dict[str, Any] = {"which": name, "threshold": threshold}
        for column, figure in (("sensitivity", "sensitivity"), ("precision", "PPV")):
            value, low, high = rate.loc[figure, ["value", "low", "high"]]
            point |= {column: value, f"{column}_low": low, f"{column}_high": high}
        value, low, high = 1 - rate.loc["specificity", ["value", "high", "low"]].astype(float)
        found.append({**point, "false_alarms": value, "false_alarms_low": low, "false_alarms_high": high})
    return pd.DataFrame(found)


def nearest_errors(rows: pd.DataFrame, threshold: float, *, missed: bool) -> pd.DataFrame:
    """False negatives (``missed``) or false positives, the nearest to the threshold first."""
    called = rows["scaled"] >= threshold
    wrong = rows[rows["positive"] & ~called] if missed else rows[~rows["positive"] & called]
    return wrong.sort_values("scaled", ascending=not missed, kind="stable")


def spread(rows: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Histogram of the scaled probability by class: `frames.spread`, by ``class``."""
    scores = {
        name: rows.loc[rows["positive"] == of, "scaled"]
        for name, of in zip(names, (False, True), strict=True)
    }
    return trials.spread(scores, np.linspace(0, 1, COLUMNS + 1), by="class")


def reliability(rows: pd.DataFrame, *, with_scaled: bool) -> pd.DataFrame:
    """Bins of as many rows (equal probabilities share one), before and after calibration: ``version, bin,
    probability`` (mean), ``frequency, low, high`` (Wilson's interval over rows or groups) and ``n``."""
    found = []
    for version, column in ((SAID, "said"), *(((SCALED, "scaled"),) if with_scaled else ())):
        bin_n = equal_mass_bins(rows[column].to_numpy())
        for number, (_, inside) in enumerate(rows.groupby(bin_n), start=1):
            share = wilson_of_groups(inside["positive"].to_numpy(), prediction_frames.units(inside))
            found.append((version, number, inside[column].mean(), *share, len(inside)))
    columns = ["version", "bin", "probability", "frequency", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns)


def calibration_error(rows: pd.DataFrame, *, with_scaled: bool) -> dict[str, float]:
    """Version → expected calibration error over the bins of `reliability`."""
    positive_n, whole_1n = rows["positive"].to_numpy(), np.ones((1, len(rows)))
    columns = {SAID: "said", SCALED: "scaled"} if with_scaled else {SAID: "said"}
    return {
        version: float(binned_error(positive_n, said_n, equal_mass_bins(said_n), whole_1n)[0])
        for version, said_n in ((name, rows[column].to_numpy()) for name, column in columns.items())
    }


def class_counts(predictions: pd.DataFrame, shown: dict[str, str], groups: dict[str, int]) -> pd.DataFrame:
    """Rows of each class by split, and groups where rows have some.

    Args:
        shown: class → what stands for it; the second is the positive one.
    """
    classes = list(shown)
    best = predictions[predictions[Predictions.HEAD] == BEST]
    table = best.groupby([Predictions.SPLIT, Predictions.LABEL]).size().unstack(fill_value=0)
    splits = [split for split in ("train", "val", "test") if split in table.index]
    table = table.reindex(index=splits, columns=classes, fill_value=0)
    share = table[classes[1]] / table.sum(axis=1)
    table.columns = [f"rows of {name}" for name in shown.values()]
    table[f"share of {shown[classes[1]]}"] = share
    if groups:
        table["groups"] = [groups.get(split) for split in splits]
    return table.rename_axis("split").reset_index()


def calibration_figures(summary: dict[str, Any]) -> pd.DataFrame:
    """ECE, log-loss and Brier score of the test rows before and after, and the paired change."""
    names = {
        "ECE": (Summary.TEST_ECE, Summary.TEST_ECE_CALIBRATED, Summary.ECE_CHANGE),
        "log-loss": (Summary.TEST_NLL, Summary.TEST_NLL_CALIBRATED, Summary.NLL_CHANGE),
        "Brier score": (Summary.TEST_BRIER, Summary.TEST_BRIER_CALIBRATED, Summary.BRIER_CHANGE),
    }
    rows = []
    for name, (said, after, change) in names.items():
        before_after = [text.interval(summary[key], summary[key + Summary.CI95]) for key in (said, after)]
        value, low, high = summary[change]
        verdict = "better" if high < 0 else "worse" if low > 0 else "not significant"
        told = text.interval(value, (low, high), text.signed)
        rows.append((name, *before_after, told, verdict))
    return pd.DataFrame(rows, columns=["test rows", SAID, SCALED, "change", "verdict"])
