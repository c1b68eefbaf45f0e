"""The figures of how far a head's probabilities can be trusted, for the record and for the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from trainer.core import text
from trainer.core.console import say
from trainer.stats.calibration import evaluate_calibration, mean_over_units, top_label
from trainer.stats.conformal import prediction_sets
from trainer.stats.intervals import wilson_of_groups
from trainer.stats.selective import aurc
from trainer.tracking.schema import Summary

TEST = (Summary.TEST_ECE_TOP_LABEL, Summary.TEST_LOG_LOSS, Summary.TEST_BRIER_SCORE)
HELD_OUT = (Summary.HELD_OUT_ECE_TOP_LABEL, Summary.HELD_OUT_LOG_LOSS, Summary.HELD_OUT_BRIER_SCORE)
NO_SETS = "Prediction sets: none, because no labelled row was held out of the final head's training."


class AnsweredRows(NamedTuple):
    """What a head says of N rows that it did not learn from."""

    probability_nc: np.ndarray
    label_n: np.ndarray  # int64; numbers float64, several labels bool [N, C]
    unit_n: np.ndarray  # int64, see `trainer.stats.units`


def figures(held_out: AnsweredRows, test: AnsweredRows, *, seed: int) -> dict[str, Any]:
    """Return and say `Summary`'s figures of calibration. Of held-out rows there are none without any."""
    found: dict[str, Any] = {Summary.HELD_OUT_ROWS: len(held_out.label_n)}
    for names, rows in ((TEST, test), (HELD_OUT, held_out)):
        if len(rows.label_n):
            judged = evaluate_calibration(*rows, seed=seed)
            for name, (value, low, high) in zip(names, judged, strict=True):
                found |= {name: value, name + Summary.CI95: [low, high]}
    area = aurc(*top_label(test.probability_nc, test.label_n), test.unit_n, seed=seed)
    found |= {Summary.TEST_AURC: area.value, Summary.TEST_AURC + Summary.CI95: list(area[1:])}
    error, loss, brier = (text.interval(found[name], found[name + Summary.CI95]) for name in TEST)
    say(f"Calibration on test rows: ECE {error}, log-loss {loss}, Brier score {brier}.")
    return found


def novelty_figures(test: AnsweredRows, novel_n: np.ndarray, *, false_alarm_rate: float) -> dict[str, Any]:
    """Return and say `Summary`'s figures of the detector of unlike images: its verdicts [N] on test rows."""
    alarms = wilson_of_groups(novel_n, test.unit_n)
    say(
        f"Flagged as unlike the training images: {text.interval(alarms.value, alarms[1:])} of "
        f"the test rows (threshold for {false_alarm_rate:.0%} false alarms)."
    )
    return {
        Summary.OOD_FALSE_ALARM_RATE: false_alarm_rate,
        Summary.TEST_OOD_FALSE_ALARMS: alarms.value,
        Summary.TEST_OOD_FALSE_ALARMS + Summary.CI95: list(alarms[1:]),
    }


def set_figures(
    test: AnsweredRows, thresholds: Mapping[float, float], *, coverage: float, seed: int
) -> dict[str, Any]:
    """Return and say `Summary`'s figures of prediction sets on test rows. None without thresholds.

    Args:
        thresholds: see `trainer.stats.conformal.set_thresholds`.
    """
    if not thresholds:
        say(NO_SETS)
        return {}
    probability_nc, label_n, unit_n = test
    threshold = thresholds[round(coverage, 2)]
    inside_nc = prediction_sets(probability_nc, threshold)
    covered = wilson_of_groups(inside_nc[np.arange(len(label_n)), label_n], unit_n)
    size = mean_over_units(inside_nc.sum(1), unit_n, seed=seed)
    say(
        f"Prediction sets for {coverage:.0%} coverage: they hold the true class of "
        f"{text.interval(covered.value, covered[1:])} of the test rows, with {size.value:.2f} "
        "classes on average."
    )
    return {
        Summary.COVERAGE: coverage,
        Summary.COVERAGE_THRESHOLD: threshold,
        Summary.TEST_COVERAGE: covered.value,
        Summary.TEST_COVERAGE + Summary.CI95: list(covered[1:]),
        Summary.TEST_SET_SIZE: size.value,
        Summary.TEST_SET_SIZE + Summary.CI95: list(size[1:]),
    }
