"""Frames of the page "Two classes": curves, what a threshold does, whether probabilities are true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dashboard.frames import trials
from trainer.tracking.schema import Predictions, Summary

BINS = 10  # of the reliability diagram, as of the summary's ECE
COLUMNS = 25  # of the histogram
MOST_POINTS = 600  # of a curve
TINY = 1e-38  # as float32's: probabilities below say no more
SAID, SCALED = "as the head says", "after temperature scaling"
CHOSEN, AGREED = "threshold here", "90 % specificity on validation"
BEST = "best"  # the head that the summary's figures are of


def judged(predictions: pd.DataFrame, split: str, positive: str, temperature: float | None) -> pd.DataFrame:
    """Rows of the best head in a split: ``sample_id, positive`` (bool), ``said`` and ``scaled``, the
    probability of the positive class, which is the second, without and with temperature scaling.

    The scaled one is worked out from both probabilities: near 1 float32 has few numbers.
    """
    here = predictions[(predictions[Predictions.SPLIT] == split) & (predictions[Predictions.HEAD] == BEST)]
    probability_n2 = np.stack(here[Predictions.PROBS].to_list()) if len(here) else np.empty((0, 2))
    log_n2 = np.log(np.maximum(probability_n2.astype(np.float64), TINY))
    odds_n = log_n2[:, 1] - log_n2[:, 0]
    return pd.DataFrame(
        {
            Predictions.SAMPLE_ID: here[Predictions.SAMPLE_ID].to_numpy(),
            Predictions.LABEL: here[Predictions.LABEL].to_numpy(),
            "positive": (here[Predictions.LABEL] == positive).to_numpy(),
            "said": _logistic(odds_n),
            "scaled": _logistic(odds_n / (temperature or 1.0)),
        }
    )


def _logistic(odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -odds))


def scaled(probability: float, temperature: float | None, *, back: bool = False) -> float:
    """A probability after temperature scaling; ``back``: what the head said of a scaled one."""
    if not 0 < probability < 1 or temperature is None:
        return probability
    odds = np.log(probability) - np.log1p(-probability)
    return float(_logistic(odds * temperature if back else odds / temperature))


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Points of the ROC and the precision-recall curve, a row per threshold, falling: ``threshold,
    sensitivity, false_alarms`` (1 - specificity), ``precision``; at most `MOST_POINTS`."""
    order = np.argsort(-rows["scaled"].to_numpy(), kind="stable")
    falling, positive = rows["scaled"].to_numpy()[order], rows["positive"].to_numpy()[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # ties are one step
    right, wrong = positive.cumsum()[ends], (~positive).cumsum()[ends]
    frame = pd.DataFrame(
        {
            "threshold": falling[ends],
            "sensitivity": right / positive.sum(),
            "false_alarms": wrong / (~positive).sum(),
            "precision": right / (right + wrong),
        }
    )
    start = frame.iloc[:1].assign(threshold=1.0, sensitivity=0.0, false_alarms=0.0)
    frame = pd.concat([start, frame], ignore_index=True)
    kept = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), MOST_POINTS)).round().astype(int))
    return frame.iloc[kept].reset_index(drop=True)


def counts(rows: pd.DataFrame, threshold: float) -> dict[str, int]:
    """``tp, fp, fn, tn`` of calling positive what has at least the threshold."""
    called, positive = rows["scaled"] >= threshold, rows["positive"]
    return {
        "tp": int((called & positive).sum()),
        "fp": int((called & ~positive).sum()),
        "fn": int((~called & positive).sum()),
        "tn": int((~called & ~positive).sum()),
    }


def rates(count: dict[str, int]) -> pd.DataFrame:
    """Sensitivity, specificity, PPV and NPV with Wilson's interval: ``figure, value, low, high, right, of``;
    null where nothing is to be divided by."""
    shares = {
        "sensitivity": ("tp", "fn"),
        "specificity": ("tn", "fp"),
        "PPV": ("tp", "fp"),
        "NPV": ("tn", "fn"),
    }
    rows = []
    for name, (right, wrong) in shares.items():
        hits, of = count[right], count[right] + count[wrong]
        low, high = trials.wilson(hits, of) or (None, None)
        value = hits / of if of else None
        rows.append({"figure": name, "value": value, "low": low, "high": high, "right": hits, "of": of})
    return pd.DataFrame(rows).astype({"value": float, "low": float, "high": float})


def points(rows: pd.DataFrame, thresholds: dict[str, float]) -> pd.DataFrame:
    """Where thresholds lie on the curves, with the ends of their intervals; one row per name."""
    found = []
    for name, threshold in thresholds.items():
        rate = rates(counts(rows, threshold)).set_index("figure")
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
    """Bins of as many rows (equal probabilities share one), the same before and after scaling: ``version,
    bin, probability`` (mean), ``frequency, low, high`` (Wilson's interval) and ``n``."""
    cuts = np.unique(np.quantile(rows["scaled"], np.linspace(0, 1, BINS + 1)[1:-1]))
    bin_n = np.unique(np.searchsorted(cuts, rows["scaled"], side="right"), return_inverse=True)[1]
    found = []
    for version, column in ((SAID, "said"), *(((SCALED, "scaled"),) if with_scaled else ())):
        for number, (_, inside) in enumerate(rows.groupby(bin_n), start=1):
            hits, n = int(inside["positive"].sum()), len(inside)
            low, high = trials.wilson(hits, n) or (0.0, 1.0)
            found.append((version, number, inside[column].mean(), hits / n, low, high, n))
    columns = ["version", "bin", "probability", "frequency", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns)


def calibration_error(bins: pd.DataFrame) -> dict[str, float]:
    """Version → expected calibration error of the bins."""
    gap = (bins["probability"] - bins["frequency"]).abs() * bins["n"]
    of = bins["version"]
    error = gap.groupby(of, sort=False).sum() / bins["n"].groupby(of, sort=False).sum()
    return {str(version): float(value) for version, value in error.items()}


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
        before_after = [
            f"{summary[key]:.3f} [{summary[key + Summary.CI95][0]:.3f}, {summary[key + Summary.CI95][1]:.3f}]"
            for key in (said, after)
        ]
        value, low, high = summary[change]
        verdict = "better" if high < 0 else "worse" if low > 0 else "could be chance"
        told = f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
        rows.append((name, *before_after, told, verdict))
    return pd.DataFrame(rows, columns=["test rows", SAID, SCALED, "change", "scaling makes it"])
