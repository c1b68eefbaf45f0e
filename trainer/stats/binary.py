"""Binary classification: discrimination, thresholds and calibration.

The *positive* class is the second one. Its *log-odds* are what a head says of a row; temperature scaling
divides them. Thresholds come from validation rows, temperatures from rows that the head had not learned from,
figures from test rows.

Rows of one group (a patient) are alike, so intervals draw groups, not rows; where no group holds both
classes, they are drawn within each class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from trainer.stats.calibration import calibration_error, draw_weights, equal_mass_bins, reflected
from trainer.stats.intervals import Z95, Interval, wilson_of_groups, wilson_of_share
from trainer.stats.roc import Roc, area, roc, tar_at_far

DRAWS = 1000
TINY = 1e-38  # probabilities below are none that float32 tells apart
FLAT = 1e-9  # width of an interval below which no draw differs
COOLEST, HOTTEST = 0.02, 50.0


@dataclass(frozen=True)
class BinaryRows:
    """N rows of one split, with both classes among them."""

    positive_n: np.ndarray  # bool [N]
    log_odds_n: np.ndarray  # float [N], of the positive class
    unit_n: np.ndarray  # int [N], see `trainer.stats.units`


def log_odds(probability_n2: np.ndarray) -> np.ndarray:
    """Return float64 [N] of the second class; both probabilities are needed, for near 1 there are few
    numbers."""
    log_n2 = np.log(np.maximum(probability_n2.astype(np.float64), TINY))
    return log_n2[:, 1] - log_n2[:, 0]


# --- figures under weights [L, N] of the rows -------------------------------------------------


def average_precision(curve: Roc, rows: BinaryRows, weight_ln: np.ndarray) -> np.ndarray:
    """Return the area under the precision-recall curve [L] of rows with this ROC curve, as steps: the sum
    of precision × gain in recall, which is scikit-learn's ``average_precision_score``; NaN where a class
    has no weight."""
    weight_ln = np.asarray(weight_ln, dtype=np.float64)
    right = curve.tar_lt * weight_ln[:, rows.positive_n].sum(1, keepdims=True)
    wrong = curve.far_lt * weight_ln[:, ~rows.positive_n].sum(1, keepdims=True)
    called = right + wrong
    precision = np.divide(right, called, out=np.zeros_like(called), where=called > 0)
    return (np.diff(curve.tar_lt, axis=1) * precision[:, 1:]).sum(1)


def log_loss_rows(rows: BinaryRows, temperature: float = 1.0) -> np.ndarray:
    """Return the negative log-likelihood [N], in nats, of the log-odds over a temperature."""
    sign_n = np.where(rows.positive_n, 1.0, -1.0)
    return np.logaddexp(0.0, -sign_n * rows.log_odds_n / temperature)


# --- chosen on validation rows ----------------------------------------------------------------


def threshold_at(rows: BinaryRows, specificity: float) -> float:
    """Return the lowest threshold of the log-odds (positive from there on) with at least this specificity,
    in the middle between the two neighbouring rows."""
    curve = roc(rows.log_odds_n, rows.positive_n)
    last = int(np.flatnonzero(curve.far_lt[0] <= 1 - specificity + 1e-12)[-1])
    if last == 0:  # call nobody positive
        return float(np.nextafter(curve.threshold_t[1], np.inf))
    below = curve.threshold_t[last + 1 : last + 2]
    return float((curve.threshold_t[last] + below[0]) / 2) if len(below) else float(curve.threshold_t[last])


def fit_temperature(rows: BinaryRows) -> float:
    """Return the divisor of log-odds, so that their negative log-likelihood is least (Guo et al. 2017, "On
    calibration of modern neural networks"); from 0.02 to 50. It never changes the order of rows."""
    from scipy.optimize import minimize_scalar  # slow to import

    found = minimize_scalar(
        lambda log: log_loss_rows(rows, math.exp(log)).mean(),
        bounds=(math.log(COOLEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(math.exp(found.x))


# --- intervals --------------------------------------------------------------------------------


def weights(rows: BinaryRows, *, seed: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """Return how often each row was drawn, [l, N] a part at a time, ``draws`` in all."""
    known, unit_n = np.unique(rows.unit_n, return_inverse=True)
    yes_q, no_q = (
        np.bincount(unit_n[of], minlength=len(known)) for of in (rows.positive_n, ~rows.positive_n)
    )
    mixed = bool(((yes_q > 0) & (no_q > 0)).any())
    strata = None if mixed else [np.flatnonzero(yes_q), np.flatnonzero(no_q)]
    return draw_weights(rows.unit_n, seed=seed, draws=draws, strata=strata)


def auroc_interval(value: float, positives: int, negatives: int) -> Interval:
    """Return an area under the ROC curve with the 95 % interval of Newcombe (2006, "Confidence intervals for
    an effect size measure based on the Mann-Whitney statistic. Part 2", method 5).

    It holds for few rows of a class and for areas near 1, where draws hardly differ.

    Args:
        positives: independent rows, or units, of the positive class; likewise ``negatives``.
    """
    from scipy.optimize import brentq  # slow to import

    more = (positives + negatives) / 2 - 1

    def reach(area: float) -> float:
        variance = area * (1 - area) * (1 + more * ((1 - area) / (2 - area) + area / (1 + area)))
        return Z95 * math.sqrt(max(variance, 0.0) / (positives * negatives))

    def beyond(area: float) -> float:
        return abs(area - value) - reach(area)

    low = 0.0 if value <= FLAT else brentq(beyond, 0.0, value - FLAT / 2)
    high = 1.0 if value >= 1 - FLAT else brentq(beyond, value + FLAT / 2, 1.0)
    return Interval(value, float(low), float(high))


def auroc_of(rows: BinaryRows, *, seed: int) -> Interval:
    """Return the area under the ROC curve of rows, as `evaluate_binary` does."""
    everyone = np.ones((1, len(rows.positive_n)))
    areas = [
        area(roc(rows.log_odds_n, rows.positive_n, weight_ln))
        for weight_ln in (everyone, *weights(rows, seed=seed))
    ]
    return _auroc_of_few_rows(_interval("auroc", np.concatenate(areas)), rows)


def difference(one: Interval, other: Interval) -> Interval:
    """Return ``one - other`` of two independent shares, from their Wilson intervals (Newcombe 1998, "Interval
    estimation for the difference between independent proportions", method 10)."""
    less = one.value - other.value
    low = less - math.hypot(one.value - one.low, other.high - other.value)
    return Interval(less, low, less + math.hypot(one.high - one.value, other.value - other.low))


class Uncalibrated(NamedTuple):
    """What a head said of N test rows before it was calibrated."""

    log_odds_n: np.ndarray
    temperature: float  # with which it was calibrated, on rows that it had not learned from


class BinaryReport(NamedTuple):
    """Metrics of the log-odds on test rows, with 95 % intervals.

    That of `auroc` is Newcombe's. Those of `auprc`, `on_curve`, losses and their changes are percentiles over
    draws, Wilson's where no draw differs. Those of the
    calibration error are reflected at its value (basic bootstrap): drawing rows adds to an error that is
    never negative, so its percentiles lie too high; where the value itself is mostly chance they end at it.
    A change is calibrated less uncalibrated, paired by row.
    """

    auroc: Interval
    auprc: Interval
    threshold: float  # of the log-odds
    val_specificity: float
    sensitivity: Interval  # with `specificity` at the threshold, which is held as it is
    specificity: Interval
    on_curve: Interval  # sensitivity where the test rows' own ROC curve has the specificity: no rule to use
    specificity_change: Interval  # test less validation rows
    temperature: float
    ece: Interval
    ece_calibrated: Interval
    ece_change: Interval
    log_loss: Interval
    log_loss_calibrated: Interval
    log_loss_change: Interval
    brier: Interval
    brier_calibrated: Interval
    brier_change: Interval


def evaluate_binary(
    val: BinaryRows,
    test: BinaryRows,
    *,
    specificity: float,
    seed: int,
    before: Uncalibrated | None = None,
    draws: int = DRAWS,
) -> BinaryReport:
    """Choose a threshold on validation rows, and judge on test rows once.

    Args:
        before: what the head said of the test rows before it was calibrated. None: it is not; a temperature
            is fitted on the validation rows.
    """
    if before is None:
        temperature = fit_temperature(val)
        versions = test.log_odds_n, test.log_odds_n / temperature
    else:
        temperature, versions = before.temperature, (before.log_odds_n, test.log_odds_n)
    threshold = threshold_at(val, specificity)
    called_n = test.log_odds_n >= threshold
    measure = _measure(test, versions, specificity)
    parts = [measure(np.ones((1, len(called_n))))]
    parts += [measure(weight_ln) for weight_ln in weights(test, seed=seed, draws=draws)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("ece", "log_loss", "brier"):
        found[f"{name}_change"] = found[f"{name}_calibrated"] - found[name]
    of_kind = {
        name: wilson_of_groups((called_n == test.positive_n)[of], test.unit_n[of])
        for name, of in (("sensitivity", test.positive_n), ("specificity", ~test.positive_n))
    }
    val_specificity = wilson_of_groups(
        (val.log_odds_n < threshold)[~val.positive_n], val.unit_n[~val.positive_n]
    )
    intervals = {name: _interval(name, values) for name, values in found.items()}
    return BinaryReport(
        threshold=threshold,
        temperature=temperature,
        val_specificity=val_specificity.value,
        specificity_change=difference(of_kind["specificity"], val_specificity),
        **of_kind,
        **(intervals | _of_few_rows(intervals, test)),
    )


def _auroc_of_few_rows(drawn: Interval, rows: BinaryRows) -> Interval:
    """Return Newcombe's interval; joined with the one by draws where rows have groups."""
    positives, negatives = (len(np.unique(rows.unit_n[of])) for of in (rows.positive_n, ~rows.positive_n))
    auroc = auroc_interval(drawn.value, positives, negatives)
    if len(np.unique(rows.unit_n)) == len(rows.unit_n):
        return auroc
    return Interval(auroc.value, min(auroc.low, drawn.low), max(auroc.high, drawn.high))


def _of_few_rows(found: dict[str, Interval], rows: BinaryRows) -> dict[str, Interval]:
    """Return the intervals that draws make too narrow where a class has few rows.

    That of the AUROC is Newcombe's, joined with the draws' where rows have groups. Where no draw differs,
    those of the AUPRC and of a sensitivity are Wilson's for the units of the positive class.
    """
    positives = len(np.unique(rows.unit_n[rows.positive_n]))
    auroc = _auroc_of_few_rows(found["auroc"], rows)
    flat = {
        name: wilson_of_share(found[name].value, positives)
        for name in ("auprc", "on_curve")
        if found[name].high - found[name].low < FLAT
    }
    return {"auroc": auroc, **flat}


def _measure(
    rows: BinaryRows, log_odds_2n: tuple[np.ndarray, np.ndarray], specificity: float
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    versions = []
    for suffix, log_odds_n in zip(("", "_calibrated"), log_odds_2n, strict=True):
        version = BinaryRows(rows.positive_n, log_odds_n, rows.unit_n)
        probability_n, bin_n = expit(log_odds_n), equal_mass_bins(log_odds_n)
        brier_n = (probability_n - rows.positive_n) ** 2
        versions.append((suffix, probability_n, bin_n, log_loss_rows(version), brier_n))

    def measure(weight_ln: np.ndarray) -> dict[str, np.ndarray]:
        curve = roc(rows.log_odds_n, rows.positive_n, weight_ln)
        found = {
            "auroc": area(curve),
            "auprc": average_precision(curve, rows, weight_ln),
            "on_curve": tar_at_far(curve, 1 - specificity),
        }
        total = weight_ln.sum(1)
        for suffix, probability_n, bin_n, log_loss_n, brier_n in versions:
            found[f"ece{suffix}"] = calibration_error(rows.positive_n, probability_n, bin_n, weight_ln)
            found[f"log_loss{suffix}"] = weight_ln @ log_loss_n / total
            found[f"brier{suffix}"] = weight_ln @ brier_n / total
        return found

    return measure


def _interval(name: str, values: np.ndarray) -> Interval:
    """Return the interval of a figure's value, which comes first, and its draws."""
    value = float(values[0])
    low, high = map(float, np.nanquantile(values[1:], [0.025, 0.975]))
    if name == "ece_change":
        return Interval(value, min(2 * value - high, value), max(2 * value - low, value))
    found = Interval(value, low, high)
    return reflected(found) if name.startswith("ece") else found
