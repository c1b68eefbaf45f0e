"""The figures of how far a head's probabilities can be trusted, for the record and for the person."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer.core import text
from trainer.core.console import say
from trainer.data.duplicates import indivisible_units
from trainer.data.manifest import Manifest
from trainer.stats.calibration import evaluate_calibration, top_label, unit_numbers
from trainer.stats.selective import aurc
from trainer.tracking.schema import Summary

TEST = (Summary.TEST_ECE_TOP_LABEL, Summary.TEST_LOG_LOSS, Summary.TEST_BRIER_SCORE)
HELD_OUT = (Summary.HELD_OUT_ECE_TOP_LABEL, Summary.HELD_OUT_LOG_LOSS, Summary.HELD_OUT_BRIER_SCORE)


class AnsweredRows(NamedTuple):
    """What a head says of N rows that it did not learn from."""

    probability_nc: np.ndarray
    label_n: np.ndarray  # int64
    unit_n: np.ndarray  # int64, the same for rows of one group and copies of an image

    @classmethod
    def of(cls, manifest: Manifest, rows: np.ndarray, probability_nc: np.ndarray) -> AnsweredRows:
        """Return rows of a manifest with their probabilities, in the same order."""
        unit = indivisible_units([manifest.content[r] for r in rows], [manifest.group[r] for r in rows])
        return cls(probability_nc, manifest.label_n[rows], unit_numbers(unit))


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
