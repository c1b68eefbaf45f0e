"""Encoders that are recommended."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from benchmarks.honesty_checks.shares import Figures, share
from trainer.experiments.encoder_comparison.recommendation import Rival, recommend
from trainer.stats.intervals import Interval
from trainer.stats.power import simultaneous_level


def encoders(comparisons: int = 2000, rows: int = 500, margin: float = 0.01) -> Figures:
    """Comparisons with two faster encoders, of which the first is really worse: how many recommend it?

    ``by_margin``: as the command does it. ``not_significant``: if it must only not be significantly worse.
    Paired differences have a standard deviation of 0.4 per row.
    """
    random = np.random.default_rng(0)
    figures: Figures = {}
    error = 0.4 / rows**0.5
    for worse in (0.01, 0.02, 0.05):
        wrong = old = 0
        for _ in range(comparisons):
            rivals = [rival(speed, below, error, random) for speed, below in ((2, worse), (1.5, 0.0))]
            wrong += recommend("best", 1.0, rivals, margin=margin, rows=rows).name == rivals[0].name
            old += rivals[0].high >= 0
        figures[f"{rows} rows, truly {worse:g} worse"] = {
            "by_margin": share(wrong, comparisons),
            "not_significant": share(old, comparisons),
        }
    return figures


def rival(speed: float, below: float, error: float, random: np.random.Generator) -> Rival:
    value = float(random.normal(-below, error))
    reach, wide = (float(ndtri((1 + level) / 2)) * error for level in (0.95, simultaneous_level(2)))
    less = Interval(value, value - reach, value + reach)
    return Rival(f"at {speed:g}", speed, less, value - wide, value + wide)
