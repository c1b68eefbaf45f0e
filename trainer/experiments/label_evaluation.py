"""What the chosen heads say about every row where it may have several labels."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trainer.core import text
from trainer.core.console import say
from trainer.data.duplicates import groups_drawn
from trainer.experiments.evaluation import Evaluation, with_intervals
from trainer.stats.intervals import Interval, mean_difference
from trainer.stats.label_tables import evaluate_label_calibration
from trainer.stats.multilabel import (
    average_precision,
    judged_labels,
    label_losses,
    of_f1_macro_at,
    of_f1_micro_at,
    thresholds,
)
from trainer.stats.objective import LABEL_F1, MAP, MICRO_F1
from trainer.tracking import tables
from trainer.tracking.schema import Artifact, Summary

SHOWN = 3  # labels at either end
CALIBRATED = (Summary.TEST_ECE_LABELS, Summary.TEST_LOG_LOSS_LABELS, Summary.TEST_BRIER_LABELS)


class LabelEvaluation(Evaluation):
    """As `Evaluation`; ``probabilities`` are those of each label, [N, C]."""

    @property
    def _thresholds(self) -> dict[float, float]:
        return {}  # of prediction sets

    @cached_property
    def label_thresholds(self) -> np.ndarray:
        """Return the probability from which each label is said: float64 [C], that of the highest F1 on rows
        that the best head did not learn from."""
        probability_nc, label_nc, _ = self.held_out
        return thresholds(label_nc, probability_nc)

    def test_figures(self) -> dict[str, Any]:
        """The best head on the test rows, beside the same answer to all of them, with 95 % intervals over
        rows or groups of rows; and what the run consists of."""
        probability_nc, label_nc, unit_n = self._answered(self.manifest.rows("test"))
        groups, labels = groups_drawn(self.manifest), self.manifest.labels
        said_nc = probability_nc >= self.label_thresholds
        scores = {
            Summary.TEST_MAP: MAP.interval(MAP.of(label_nc, probability_nc), unit_n),
            Summary.TEST_F1_MACRO_LABELS: LABEL_F1.interval(of_f1_macro_at(label_nc, said_nc), unit_n),
            Summary.TEST_F1_MICRO_LABELS: MICRO_F1.interval(of_f1_micro_at(label_nc, said_nc), unit_n),
            Summary.TEST_BASELINE_MAP: MAP.interval(MAP.of(label_nc, np.zeros_like(probability_nc)), unit_n),
        }
        left_out = [labels[c] for c in np.flatnonzero(~judged_labels(label_nc))]
        _report(scores, text.rows_drawn(len(label_nc), groups), labels=len(labels), left_out=left_out)
        _report_labels(labels, average_precision(label_nc, probability_nc))
        for caution in text.cautions(groups):
            say(caution)
        figures = {
            **with_intervals(scores),
            Summary.TARGET: "labels",
            Summary.LABEL_NAMES: list(labels),
            Summary.THRESHOLDS: self.label_thresholds.tolist(),
            Summary.LEFT_OUT_LABELS: left_out,
            Summary.HELD_OUT_ROWS: len(self.held_out.label_n),
        }
        figures |= self._calibration_figures() | self._novelty_figures()
        return figures | self._consists_of(groups)

    def _calibration_figures(self) -> dict[str, Any]:
        """Return and say how true the probabilities of test rows are, and were before the scale of labels."""
        probability_nc, label_nc, unit_n = self._answered(self.manifest.rows("test"))
        judged = evaluate_label_calibration(probability_nc, label_nc, unit_n, seed=self.seed)
        scores = dict(zip(CALIBRATED, judged, strict=True))
        error, loss, brier = (text.interval(one.value, one[1:]) for one in judged)
        say(f"Calibration on test rows, mean over labels: ECE {error}, log-loss {loss}, Brier score {brier}.")
        if self.uncalibrated is None:
            return with_intervals(scores)
        raw_nc = self.uncalibrated[self.manifest.rows("test")]
        before = evaluate_label_calibration(raw_nc, label_nc, unit_n, seed=self.seed)
        scores |= {Summary.TEST_ECE_LABELS_RAW: before.ece, Summary.TEST_LOG_LOSS_LABELS_RAW: before.log_loss}
        lower_n = label_losses(probability_nc, label_nc) - label_losses(raw_nc, label_nc)
        change = mean_difference(lower_n / label_nc.shape[1], unit_n)
        error, loss = (text.interval(one.value, one[1:]) for one in before[:2])
        changed = text.interval(change.value, change[1:], text.change)
        say(f"  Before Platt scaling: ECE {error}, log-loss {loss}; the scaling changes it by {changed}.")
        return with_intervals(scores) | {Summary.LOG_LOSS_LABELS_CHANGE: list(change)}

    def _table(self, answer_nc: np.ndarray, *, head: str, trial: int, seed: int) -> pd.DataFrame:
        return tables.label_predictions(self.manifest, answer_nc, head=head, trial=trial, seed=seed)

    def _image(self, study: str) -> tuple[str, bytes] | None:
        from trainer.charts.precisions import precision_rows, worst_precisions
        from trainer.charts.render import png

        probability_nc, label_nc, unit_n = self._answered(self.manifest.rows("test"))
        rows = precision_rows(self.manifest.labels, label_nc, probability_nc, unit_n)
        score = MAP.of(label_nc, probability_nc).value
        title = f"mAP {score:.3f} on n = {len(label_nc)} test rows: {study}, trial {self.heads[0].trial}"
        chart = worst_precisions(rows, title=title)
        return None if chart is None else (Artifact.PRECISIONS_PNG, png(chart))

    def _described(self) -> dict[str, Any]:
        described = {
            "names": list(self.manifest.labels),
            "thresholds": self.label_thresholds.tolist(),
            "separator": self.manifest.label_separator,
        }
        return {"classes": [], "labels": described}


def _report(scores: dict[str, Interval], over: str, *, labels: int, left_out: list[str]) -> None:
    """Say the figures of the test rows, those of the baseline, and which labels are not in them."""

    def told(name: str) -> str:
        value, *ends = scores[name]
        return text.interval(value, ends)

    say(
        f"Test: mAP {told(Summary.TEST_MAP)}, macro-F1 {told(Summary.TEST_F1_MACRO_LABELS)}, micro-F1 "
        f"{told(Summary.TEST_F1_MICRO_LABELS)} (95 % over {over}). F1 with a threshold per label, chosen on "
        "held-out rows."
    )
    say(f"Baseline, the same answer to every image: mAP {told(Summary.TEST_BASELINE_MAP)}.")
    if left_out:
        named = ", ".join(left_out[: 2 * SHOWN]) + (", …" if len(left_out) > 2 * SHOWN else "")
        say(
            f"Left out of mAP: {len(left_out)} of {labels} labels, which no test image has, or every one: "
            f"{named}."
        )


def _report_labels(labels: tuple[str, ...], precision_c: np.ndarray) -> None:
    """Say which labels are found best and worst."""
    order = [c for c in np.argsort(-precision_c, kind="stable") if not math.isnan(precision_c[c])]
    if len(order) < 2:
        return
    ends = order if len(order) <= 2 * SHOWN else [*order[:SHOWN], *order[-SHOWN:]]
    named = [f"{labels[c]} {precision_c[c]:.3f}" for c in ends]
    if len(order) > 2 * SHOWN:
        named.insert(SHOWN, "…")
    say(f"Average precision by label: {', '.join(named)}.")
