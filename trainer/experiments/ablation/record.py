"""Answers, scores and cells as tables: the record from which an ablation resumes and the pages draw."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trainer.experiments.ablation.design import Cell
from trainer.experiments.ablation.scoring import ScoredRows
from trainer.experiments.ablation.training import Answer
from trainer.experiments.child_runs import epochs_shown, mean_curves
from trainer.search.trial_log import SPLIT_AND_METRIC
from trainer.tracking.children import ChildRun
from trainer.tracking.schema import Ablation, CellPredictions, Curves, Kind, Metric, Scores, TrialState

SHOWN_IN_MLFLOW = {
    Metric.TEST_F1_MACRO: Ablation.F1_MACRO,
    Metric.TEST_ACCURACY: Ablation.ACCURACY,
    Metric.TEST_AUROC: Ablation.AUROC,
    Metric.BEST_VAL_F1_MACRO: Ablation.VAL_F1_MACRO,
    Metric.EFFECT: Ablation.EFFECT,
    Metric.OVER_RANDOM: Ablation.OVER_RANDOM,
    Metric.KEPT: Ablation.KEPT,
}


class AblationRecord:
    """ANSWERS and CURVES of an ablation, those on record before and those added since.

    Args:
        answers, curves: the tables of the part that ran before, None for a new ablation.
        seeds: in order; CURVES number them.
    """

    def __init__(
        self, answers: pd.DataFrame | None, curves: pd.DataFrame | None, *, seeds: Sequence[int]
    ) -> None:
        self.answers = pd.DataFrame() if answers is None else answers
        self.curves = pd.DataFrame() if curves is None or answers is None else curves
        self._number = {seed: number for number, seed in enumerate(seeds)}

    def has(self, encoder: str, seed: int) -> bool:
        """Return whether the answers of this encoder's heads of this seed are on record."""
        if self.answers.empty:
            return False
        return bool(
            (
                (self.answers[CellPredictions.ENCODER] == encoder)
                & (self.answers[CellPredictions.SEED] == seed)
            ).any()
        )

    def add(self, encoder: str, seed: int, answers: Sequence[Answer], *, first_row: int) -> None:
        """Count in what all arms of one encoder and one seed answered.

        Args:
            first_row: number of the encoder's baseline in ABLATION.
        """
        frame = pd.DataFrame(
            {
                CellPredictions.ENCODER: encoder,
                CellPredictions.SEED: np.int64(seed),
                CellPredictions.CELL: [np.int32(one.arm.cell) for one in answers],
                CellPredictions.RANDOM: [one.arm.random for one in answers],
                CellPredictions.PRED_VAL: [one.pred_val_n for one in answers],
                CellPredictions.PRED_TEST: [one.pred_test_n for one in answers],
                CellPredictions.SCORE_TEST: [one.score_test_n for one in answers],
            }
        )
        own = [one for one in answers if not one.arm.random]
        curves = [self._curves(one, seed, first_row) for one in own]
        # what was being written when the process died is written again
        if len(self.curves):
            again = (self.curves[Curves.SEED] == self._number[seed]) & self.curves[Curves.TRIAL].between(
                first_row, first_row + len(own) - 1
            )
            curves.insert(0, self.curves[~again])
        self.answers = pd.concat([one for one in (self.answers, frame) if len(one)], ignore_index=True)
        self.curves = pd.concat(curves, ignore_index=True)

    def _curves(self, answer: Answer, seed: int, first_row: int) -> pd.DataFrame:
        frames = []
        for name, values_se in answer.outcome.curves.items():
            split, metric = SPLIT_AND_METRIC[name]
            epoch = np.flatnonzero(np.isfinite(values_se[0]))
            frames.append(
                pd.DataFrame(
                    {
                        Curves.TRIAL: np.int32(first_row + answer.arm.cell),
                        Curves.SEED: np.int16(self._number[seed]),
                        Curves.EPOCH: (epoch + 1).astype(np.int16),
                        Curves.SPLIT: split,
                        Curves.METRIC: metric,
                        Curves.VALUE: values_se[0, epoch].astype(np.float32),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)


def scores_frame(
    scored: ScoredRows, cells: Sequence[Cell], images: Mapping[int, bytes | None]
) -> pd.DataFrame:
    """Return SCORES: the training rows with their scores and what every cell keeps.

    Args:
        images: thumbnails by row.
    """
    manifest, rows = scored.manifest, scored.rows
    count = len(manifest)
    return pd.DataFrame(
        {
            Scores.SAMPLE_ID: list(manifest.sample_id),
            Scores.LABEL: [rows.classes[label] for label in rows.label_n],
            Scores.CAPTION: list(manifest.caption),
            Scores.CORRUPTED: [None] * count if manifest.corrupted is None else list(manifest.corrupted),
            Scores.GROUP: pd.array([pd.NA] * count if rows.group_n is None else rows.group_n, dtype="Int64"),
            Scores.THUMBNAIL: pd.Series([images.get(row) for row in range(count)], dtype=object),
            **{Scores.SCORE_PREFIX + name: score_n for name, score_n in rows.scores.items()},
            **{f"{Scores.KEEP_PREFIX}{cell.number}": cell.keep_n for cell in cells},
        }
    )


def cells_as_runs(
    table: pd.DataFrame, curves: pd.DataFrame, *, began_s: float, ended_s: float
) -> Iterator[ChildRun]:
    """Return the rows of ABLATION as MLflow's own pages show them, curves as means over seeds."""
    means = mean_curves(curves)
    for number, row in enumerate(table.to_dict("records")):
        of_row = means.get(number, {})
        epochs = max((max(at) for at in of_row.values()), default=0)
        steps, shown = range(1, epochs + 1), epochs_shown(epochs)
        augmented = " + augmentation" if row[Ablation.AUGMENT] else ""
        yield ChildRun(
            trial=number,
            name=f"{row[Ablation.FILTER]}{augmented}",
            state=TrialState.COMPLETE,
            params=_params(row),
            epochs={
                name: [at.get(step, math.nan) if step in shown else math.nan for step in steps]
                for name, at in of_row.items()
            },
            final={metric: float(row[column]) for metric, column in SHOWN_IN_MLFLOW.items() if column in row},
            started_ms=int(began_s * 1000),
            ended_ms=int(ended_s * 1000),
            kind=Kind.CELL,
        )


def _params(row: Mapping[Any, Any]) -> dict[str, object]:
    named = (Ablation.FILTER, Ablation.AUGMENT, Ablation.ENCODER, Ablation.STEPS, Ablation.VERDICT)
    return {name: row[name] for name in named} | json.loads(row[Ablation.HEAD])
