"""Whether intervals of the AUROC cover the truth where a class has few rows."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from benchmarks.honesty_checks.shares import Figures
from trainer.stats.binary import BinaryRows, auroc_interval, weights
from trainer.stats.roc import area, roc

SETS, DRAWS = 400, 400
ROWS = ((1, 50), (3, 50), (5, 50), (10, 50), (30, 30))  # positives, negatives
TRUTHS = (0.8, 0.95, 0.99)


def auroc() -> Figures:
    """Cover of 95 % intervals, Newcombe's (used) and percentiles of draws, for normal scores."""
    random = np.random.default_rng(0)
    figures: Figures = {"sets": SETS}
    for yes, no in ROWS:
        for truth in TRUTHS:
            apart = float(ndtri(truth)) * math.sqrt(2)
            covered = np.zeros(2)
            for seed in range(SETS):
                positive_n = np.arange(yes + no) < yes
                rows = BinaryRows(
                    positive_n, random.normal(size=yes + no) + apart * positive_n, np.arange(yes + no)
                )
                value = float(area(roc(rows.log_odds_n, positive_n))[0])
                used = auroc_interval(value, yes, no)
                drawn = [
                    area(roc(rows.log_odds_n, positive_n, weight_ln))
                    for weight_ln in weights(rows, seed=seed, draws=DRAWS)
                ]
                low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
                covered += [used.low <= truth <= used.high, low <= truth <= high]
            of = f"{yes}+{no}, {truth}"
            figures[of] = {"used": round(covered[0] / SETS, 3), "percentiles": round(covered[1] / SETS, 3)}
    return figures
