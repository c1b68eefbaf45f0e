"""What the chosen heads say about every row where a number is predicted, and how far that can be trusted."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from trainer.core import text
from trainer.core.console import say
from trainer.data.duplicates import groups_drawn
from trainer.experiments.evaluation import (
    MOST_MEASURED,
    WIDEST_MEASURED,
    Evaluation,
    with_intervals,
)
from trainer.experiments.inputs import learning_rows
from trainer.heads.ridge import ridge_on_targets
from trainer.stats.intervals import Interval, wilson_of_groups
from trainer.stats.objective import MAE, R2, RMSE
from trainer.stats.regression import half_widths, spearman_of_units
from trainer.tracking import tables
from trainer.tracking.schema import Artifact, Summary

NO_INTERVALS = "Intervals of predicted numbers: none, because too few labelled rows were held out."
BASELINES = {Summary.TEST_BASELINE_MAE: MAE, Summary.TEST_BASELINE_RMSE: RMSE}


class NumberEvaluation(Evaluation):
    """As `Evaluation`; ``probabilities`` are the numbers of each finalist, [N, 1]."""

    @cached_property
    def _thresholds(self) -> dict[float, float]:
        """Return `half_widths` of the best head, where they are finite."""
        answer_n1, target_n, unit_n = self.held_out
        if not len(target_n):
            return {}
        found = half_widths(target_n, answer_n1, unit_n)
        return {coverage: one for coverage, one in found.items() if math.isfinite(one)}

    def test_figures(self) -> dict[str, Any]:
        """The best head on the test rows, beside the mean of the rows that it learned from, with 95 %
        intervals over rows or groups of rows; and what the run consists of."""
        answer_n1, target_n, unit_n = self._answered(self.manifest.rows("test"))
        groups = groups_drawn(self.manifest)
        scores = {
            Summary.TEST + one.metric: one.interval(one.of(target_n, answer_n1), unit_n)
            for one in self.objective.family
        }
        scores[Summary.TEST_SPEARMAN] = spearman_of_units(target_n, answer_n1[:, 0], unit_n)
        mean_n1 = np.full_like(answer_n1, self._mean, dtype=np.float64)
        scores |= {name: one.interval(one.of(target_n, mean_n1), unit_n) for name, one in BASELINES.items()}
        _report(scores, text.rows_drawn(len(target_n), groups))
        for caution in text.cautions(groups):
            say(caution)
        if (left_out := self._ridge_left_out()) is not None:
            scores[Summary.RIDGE_LEFT_OUT_R2] = left_out
        figures = with_intervals(scores) | {
            Summary.TARGET: "number",
            Summary.HELD_OUT_ROWS: len(self.held_out.label_n),
        }
        return figures | self._coverage_figures() | self._consists_of(groups)

    @property
    def _mean(self) -> float:
        """Return the mean number of the rows that the final head learned from."""
        refit = self.heads[0].held_out is not None
        rows = learning_rows(self.manifest) if refit else self.manifest.rows("train")
        return float(self.manifest.learned_n[rows].mean())

    def _ridge_left_out(self) -> Interval | None:
        """Return and say the R² of ridge regression on the rows to learn from, each left out; None of wide or
        many rows."""
        rows = learning_rows(self.manifest)
        x_nd = np.asarray(self.features.vectors_nd[rows], dtype=np.float64)
        if len(rows) > MOST_MEASURED or x_nd.shape[1] > WIDEST_MEASURED:
            return None
        target_n = self.manifest.learned_n[rows]
        _, _, left_out_n1 = ridge_on_targets(torch.from_numpy(x_nd), torch.from_numpy(target_n)[:, None])
        found = R2.interval(R2.of(target_n, left_out_n1.numpy()), self._unit_n[rows])
        say(
            f"Ridge regression, for comparison: R² {text.interval(found.value, found[1:])} by exact "
            f"leave-one-out over {len(rows):,} rows."
        )
        return found

    def _coverage_figures(self) -> dict[str, Any]:
        """Return and say how often the intervals of predicted numbers hold the true ones of the test rows."""
        width = self._thresholds.get(round(self.coverage, 2))
        if width is None:
            say(NO_INTERVALS)
            return {}
        answer_n1, target_n, unit_n = self._answered(self.manifest.rows("test"))
        covered = wilson_of_groups(np.abs(target_n - answer_n1[:, 0]) <= width, unit_n)
        say(
            f"Intervals for {self.coverage:.0%} coverage: ±{width:.4g} hold the true number of "
            f"{text.interval(covered.value, covered[1:])} of the test rows."
        )
        return {
            Summary.COVERAGE: self.coverage,
            Summary.HALF_WIDTH: width,
            Summary.TEST_COVERAGE: covered.value,
            Summary.TEST_COVERAGE + Summary.CI95: list(covered[1:]),
        }

    def _table(self, answer_nc: np.ndarray, *, head: str, trial: int, seed: int) -> pd.DataFrame:
        return tables.number_predictions(self.manifest, answer_nc[:, 0], head=head, trial=trial, seed=seed)

    def _image(self, study: str) -> tuple[str, bytes]:
        from trainer.charts.numbers import against_true_image

        answer_n1, target_n, _ = self._answered(self.manifest.rows("test"))
        score = R2.of(target_n, answer_n1).value
        title = f"{study}, trial {self.heads[0].trial}: R² {score:.3f} on n = {len(target_n)} test rows"
        return Artifact.NUMBERS_PNG, against_true_image(target_n, answer_n1[:, 0], title=title)

    def _described(self) -> dict[str, Any]:
        widths = {f"{coverage:.2f}": one for coverage, one in self._thresholds.items()}
        return {"classes": [], "intervals": {"coverage": self.coverage, "half_widths": widths}}


def _report(scores: dict[str, Interval], over: str) -> None:
    """Say the figures of the test rows, and those of the mean."""

    def told(name: str, form: text.Form) -> str:
        value, *ends = scores[name]
        return text.interval(value, ends, form)

    exact = {"R²": Summary.TEST_R2, "Spearman": Summary.TEST_SPEARMAN}
    in_units = {"MAE": Summary.TEST_MAE, "RMSE": Summary.TEST_RMSE}
    found = [f"{title} {told(name, text.score)}" for title, name in exact.items()]
    found += [f"{title} {told(name, text.quantity)}" for title, name in in_units.items()]
    say(f"Test: {', '.join(found)} (95 % over {over}).")
    mae, rmse = (told(name, text.quantity) for name in BASELINES)
    say(f"Baseline, the mean of the rows learned from: MAE {mae}, RMSE {rmse}.")
