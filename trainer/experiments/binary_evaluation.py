"""The figures of a head that knows two classes, for the record and for the person."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from trainer.core import text
from trainer.core.console import say
from trainer.data.duplicates import unit_numbers
from trainer.data.manifest import Manifest
from trainer.stats.binary import BinaryRows, Uncalibrated, evaluate_binary, log_odds
from trainer.stats.intervals import Interval
from trainer.tracking.schema import Summary


def figures(
    manifest: Manifest,
    probability_n2: np.ndarray,
    *,
    seed: int,
    uncalibrated_n2: np.ndarray | None = None,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Return and say `Summary`'s figures of two classes for these probabilities [N, 2] of all rows.

    The threshold comes from validation rows. None where validation or test rows lack a class.

    Args:
        uncalibrated_n2: what the head said before it was calibrated with ``temperature``. None: it was not; a
            temperature is fitted on the validation rows.
    """
    log_odds_n, unit_n = log_odds(probability_n2), unit_numbers(manifest)
    val, test = (
        BinaryRows(manifest.label_n[rows] == 1, log_odds_n[rows], unit_n[rows])
        for rows in (manifest.rows("val"), manifest.rows("test"))
    )
    if any(of.positive_n.all() or not of.positive_n.any() for of in (val, test)):
        return {}
    before = None
    if uncalibrated_n2 is not None:
        before = Uncalibrated(log_odds(uncalibrated_n2[manifest.rows("test")]), temperature)
    judged = evaluate_binary(val, test, specificity=Summary.SPECIFICITY, seed=seed, before=before)
    with_intervals = {
        Summary.TEST_AUROC: judged.auroc,
        Summary.TEST_AUPRC: judged.auprc,
        Summary.TEST_SENSITIVITY: judged.sensitivity,
        Summary.TEST_SPECIFICITY: judged.specificity,
        Summary.SENSITIVITY_ON_ROC: judged.on_curve,
        Summary.TEST_ECE: judged.ece,
        Summary.TEST_ECE_CALIBRATED: judged.ece_calibrated,
        Summary.TEST_NLL: judged.log_loss,
        Summary.TEST_NLL_CALIBRATED: judged.log_loss_calibrated,
        Summary.TEST_BRIER: judged.brier,
        Summary.TEST_BRIER_CALIBRATED: judged.brier_calibrated,
    }
    found: dict[str, Any] = {}
    for name, (value, low, high) in with_intervals.items():
        found |= {name: value, name + Summary.CI95: [low, high]}
    found |= {
        Summary.POSITIVE: manifest.classes[1],
        Summary.TEST_PREVALENCE: float(test.positive_n.mean()),
        Summary.THRESHOLD: float(expit(judged.threshold)),
        Summary.VAL_SPECIFICITY: judged.val_specificity,
        Summary.SPECIFICITY_CHANGE: list(judged.specificity_change),
        Summary.TEMPERATURE: judged.temperature,
        Summary.ECE_CHANGE: list(judged.ece_change),
        Summary.NLL_CHANGE: list(judged.log_loss_change),
        Summary.BRIER_CHANGE: list(judged.brier_change),
    }
    _say(found, judged.ece_change, val=val, test=test)
    return found


def _say(found: dict[str, Any], change: Interval, *, val: BinaryRows, test: BinaryRows) -> None:
    def told(name: str) -> str:
        return text.interval(found[name], found[name + Summary.CI95])

    say(
        f"Positive class {found[Summary.POSITIVE]} ({found[Summary.TEST_PREVALENCE]:.0%} of "
        f"{len(test.positive_n):,} test rows): AUROC {told(Summary.TEST_AUROC)}, AUPRC "
        f"{told(Summary.TEST_AUPRC)}."
    )
    say(
        f"  Threshold {found[Summary.THRESHOLD]:.3f}: sensitivity {told(Summary.TEST_SENSITIVITY)}, "
        f"specificity {told(Summary.TEST_SPECIFICITY)} (on {int((~val.positive_n).sum())} validation "
        f"negatives {found[Summary.VAL_SPECIFICITY]:.3f})."
    )
    if found[Summary.SPECIFICITY_CHANGE][2] < 0:
        say(
            "  Warning: the validation threshold does not transfer: the test rows differ from the validation "
            "rows. Choose threshold and temperature on rows like those you will classify."
        )
    sure = "" if change.low > 0 or change.high < 0 else ", not significant"
    say(
        f"  ECE {told(Summary.TEST_ECE)}, calibrated (T = {found[Summary.TEMPERATURE]:.2f}) "
        f"{told(Summary.TEST_ECE_CALIBRATED)}: difference "
        f"{text.interval(change.value, change[1:], text.change)}{sure}."
    )
