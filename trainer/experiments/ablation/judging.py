"""What the answers say: an effect with its interval for every cell, and a verdict that counts how many were
tried. The tables of the record are made here from plain answers, so they can be made again from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.experiments.ablation.design import BASELINE, Cell
from trainer.experiments.ablation.filters import Everything, Filter, Unique
from trainer.experiments.ablation.scores import found_bad
from trainer.heads.head_config import HeadSpec
from trainer.stats.paired_bootstrap import (
    AUROC,
    PairedBootstrap,
    PredictionSet,
    Resampled,
    SwapTest,
    f1_macro_per_seed,
    holm,
    interval_beyond_optimism,
    selection_optimism,
    share_interval,
    swap_test,
)
from trainer.tracking.schema import Ablation, AblationClasses, CellPredictions, Verdict
from trainer.tracking.tables import with_ends

LEVEL = 0.05
FIGURES = (Ablation.F1_MACRO, Ablation.ACCURACY)


class LabelledRows(NamedTuple):
    """Class numbers of the training rows and of those that were answered, and units of the latter."""

    train_n: np.ndarray
    val_n: np.ndarray
    test_n: np.ndarray
    corrupted_n: np.ndarray | None  # bool, of the training rows; None where nothing is known
    test_unit_n: np.ndarray | None = None  # of the test rows, see `trainer.stats.units`


class Judge:
    """Turns answers into the tables ABLATION and ABLATION_CLASSES.

    Args:
        cells: the first is the baseline.
        seed: decides bootstrap draws and swaps.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        classes: Sequence[str],
        rows: LabelledRows,
        *,
        seed: int,
    ) -> None:
        self.cells, self.classes, self.seed = list(cells), list(classes), seed
        self.label_n, self.val_label_n, self.test_label_n, self.bad_n, self.test_unit_n = rows

    def tables(
        self,
        answers: pd.DataFrame,
        *,
        specs: Mapping[tuple[str, int], HeadSpec],
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return ABLATION and ABLATION_CLASSES, from ANSWERS.

        Args:
            specs: the head of every encoder's cell.
            progress: told (arms judged, arms).
        """
        encoders = list(dict.fromkeys(answers[CellPredictions.ENCODER]))
        rows: list[dict[str, Any]] = []
        of_classes: list[dict[str, Any]] = []
        for number, encoder in enumerate(encoders):

            def tell(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, len(encoders) * total)

            found, per_class = self._encoder(answers[answers[CellPredictions.ENCODER] == encoder], tell)
            for row in found:
                key = (encoder, row[Ablation.CELL])
                row[Ablation.ENCODER] = encoder
                row[Ablation.STEPS] = specs[key].steps(len(self.label_n))
                row[Ablation.HEAD] = json.dumps(asdict(specs[key]))
            for row in per_class:
                row[AblationClasses.ENCODER] = encoder
            rows += found
            of_classes += per_class
        return verdicts(pd.DataFrame(rows)), pd.DataFrame(of_classes)

    def _encoder(
        self, frame: pd.DataFrame, tell: Callable[[int, int], None]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        test = self._answers(frame, CellPredictions.PRED_TEST, self.test_label_n)
        val = f1_macro_per_seed(self._answers(frame, CellPredictions.PRED_VAL, self.val_label_n))
        per_seed = f1_macro_per_seed(test)
        arms = list(dict.fromkeys(_arms(frame)))
        at = {arm: index for index, arm in enumerate(arms)}
        bootstrap = PairedBootstrap(test, seed=self.seed)
        base = bootstrap.arm(at[BASELINE, False])
        removing = [c for c in self.cells if (c.number, True) in at]
        luck = selection_optimism(
            [
                (
                    cell.kept,
                    per_seed[at[cell.number, True]] - per_seed[at[BASELINE, False]],
                    per_seed[at[cell.number, False]] - per_seed[at[BASELINE, False]],
                )
                for cell in removing
            ],
            rows=len(self.label_n),
        )
        rows, of_classes = [], []
        for done, cell in enumerate(self.cells, start=1):
            own = at[cell.number, False]
            figures = base if cell.number == BASELINE else bootstrap.arm(own)
            row = self._described(cell) | {Ablation.VAL_F1_MACRO: float(val[own].mean())}
            row |= _figures(figures, self.label_n)
            swapped: SwapTest | None = None
            if cell.number != BASELINE:
                swapped = swap_test(test, own, at[BASELINE, False], seed=self.seed)
                row |= with_ends(Ablation.EFFECT, figures["f1_macro"].minus(base["f1_macro"]).interval())
                row |= with_ends(
                    Ablation.RELATIVE, figures["f1_macro"].gain_over(base["f1_macro"]).interval()
                )
                row[Ablation.EFFECT_P] = swapped.p
            if (cell.number, True) in at:
                other = bootstrap.arm(at[cell.number, True])["f1_macro"]
                row |= with_ends(Ablation.RANDOM_F1_MACRO, share_interval(other))
                over, p = interval_beyond_optimism(figures["f1_macro"].minus(other), luck=luck(cell.kept))
                row |= with_ends(Ablation.OVER_RANDOM, over)
                row[Ablation.OVER_RANDOM_P] = max(
                    p, swap_test(test, own, at[cell.number, True], seed=self.seed).p
                )
            rows.append(row)
            of_classes += self._classes(cell, figures, base, swapped)
            tell(done, len(self.cells))
        return rows, of_classes

    def _answers(self, frame: pd.DataFrame, column: str, label_n: np.ndarray) -> PredictionSet:
        """Return [A, S, N] in order of first appearance, which is the same in every seed."""
        arms = list(dict.fromkeys(_arms(frame)))
        seeds = sorted(set(frame[CellPredictions.SEED]))
        shape = (len(arms), len(seeds), len(label_n))
        pred_asn = np.empty(shape, dtype=np.int16)
        two = len(self.classes) == 2 and column == CellPredictions.PRED_TEST
        score_asn = np.empty(shape, dtype=np.float32) if two else None
        arm_at, seed_at = {a: i for i, a in enumerate(arms)}, {s: i for i, s in enumerate(seeds)}
        scores = frame[CellPredictions.SCORE_TEST]
        for arm, seed, pred_n, score_n in zip(
            _arms(frame), frame[CellPredictions.SEED], frame[column], scores, strict=True
        ):
            pred_asn[arm_at[arm], seed_at[seed]] = pred_n
            if score_asn is not None:
                score_asn[arm_at[arm], seed_at[seed]] = score_n
        unit_n = self.test_unit_n if column == CellPredictions.PRED_TEST else None
        return PredictionSet(label_n, pred_asn, len(self.classes), score_asn, unit_n)

    def _described(self, cell: Cell) -> dict[str, Any]:
        row: dict[str, Any] = {
            Ablation.CELL: cell.number,
            Ablation.FILTER: str(cell.filter),
            Ablation.AUGMENT: cell.augment,
            Ablation.KEPT: cell.kept,
            Ablation.TRAIN: len(cell.keep_n),
            **{Ablation.PART_PREFIX + name: text for name, text in parts_of(cell.filter).items()},
        }
        if self.bad_n is not None:
            found = found_bad(cell.keep_n, self.bad_n)
            row[Ablation.REMOVED], row[Ablation.CORRUPTED] = found.removed, found.bad
            row[Ablation.PRECISION], row[Ablation.RECALL] = found.precision, found.recall
        return row

    def _classes(
        self, cell: Cell, figures: dict[str, Resampled], base: dict[str, Resampled], swapped: SwapTest | None
    ) -> list[dict[str, Any]]:
        count = len(self.classes)
        kept_c = np.bincount(self.label_n[cell.keep_n], minlength=count)
        train_c = np.bincount(self.label_n, minlength=count)
        test_c = np.bincount(self.test_label_n, minlength=count)
        adjusted_c = None if swapped is None else holm(np.where(test_c > 0, swapped.p_c, np.nan))
        rows = []
        for index, name in enumerate(self.classes):
            row: dict[str, Any] = {
                AblationClasses.CELL: cell.number,
                AblationClasses.CLASS: name,
                AblationClasses.KEPT: kept_c[index],
                AblationClasses.TRAIN: train_c[index],
                AblationClasses.TEST: test_c[index],
                AblationClasses.F1: float(figures["f1"].value[index]),
                AblationClasses.RECALL: float(figures["recall"].value[index]),
            }
            if swapped is not None and adjusted_c is not None:
                effect = figures["f1"].of_class(index).minus(base["f1"].of_class(index)).interval()
                row |= with_ends(AblationClasses.EFFECT, effect)
                row[AblationClasses.EFFECT_P] = float(swapped.p_c[index])
                row[AblationClasses.EFFECT_P_HOLM] = float(adjusted_c[index])
            rows.append(row)
        return rows


def parts_of(one: Filter) -> dict[str, str]:
    """Score → bound, for each score that the filter looks at: {"clip": ">=top75%"}."""
    parts: dict[str, list[str]] = {}
    for part in one.parts():
        if isinstance(part, (Unique, Everything)):
            parts["unique"] = ["yes"]
            continue
        name = part.score  # type: ignore[attr-defined]
        parts.setdefault(name, []).append(str(part).removeprefix(name))
    return {name: " ".join(bounds) for name, bounds in parts.items()}


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """Adjust the p-values for all cells of all encoders, and say of each cell whether it helps.

    Half of the 5 % goes to the cell that validation chose, before any test row was looked at; the others
    share the rest.

    A cell helps if it is better than the baseline and, where it removes rows, than random choices of as many;
    the larger of both p-values speaks for the claim that both hold (intersection-union test, Berger 1982).
    """
    for name in (
        Ablation.EFFECT,
        Ablation.OVER_RANDOM,
    ):  # no cell that removes rows, or none but the baseline
        for column in (name, name + Ablation.LOW, name + Ablation.HIGH, name + "_p"):
            if column not in frame:
                frame[column] = np.nan
    over = frame[Ablation.OVER_RANDOM]
    both = frame[[Ablation.EFFECT_P, Ablation.OVER_RANDOM_P]].max(axis=1, skipna=True)
    chosen = int(frame[Ablation.VAL_F1_MACRO].to_numpy().argmax())
    frame[Ablation.CHOSEN] = np.arange(len(frame)) == chosen
    others = int(both.notna().sum()) - int(both.notna()[chosen])
    weight = np.where(frame[Ablation.CHOSEN], 1.0, 1 / max(others, 1))
    for p, adjusted in (
        (frame[Ablation.EFFECT_P], Ablation.EFFECT_P_HOLM),
        (frame[Ablation.OVER_RANDOM_P], Ablation.OVER_RANDOM_P_HOLM),
        (both, Ablation.HELPFUL_P_HOLM),
    ):
        frame[adjusted] = holm(p.to_numpy(float), weight)
    # the swaps know nothing of luck between seeds: the intervals, which do, must agree
    above = (frame[Ablation.EFFECT + Ablation.LOW] > 0) & (
        (frame[Ablation.OVER_RANDOM + Ablation.LOW] > 0) | over.isna()
    )
    helps = above & (frame[Ablation.HELPFUL_P_HOLM] < LEVEL)
    hurts = (frame[Ablation.EFFECT + Ablation.HIGH] < 0) & (frame[Ablation.EFFECT_P_HOLM] < LEVEL)
    baseline = frame[Ablation.CELL] == BASELINE
    frame[Ablation.VERDICT] = np.select(
        [baseline, helps, hurts], [Verdict.BASELINE, Verdict.HELPS, Verdict.HURTS], Verdict.UNCLEAR
    )
    return frame


def _figures(figures: dict[str, Resampled], label_n: np.ndarray) -> dict[str, Any]:
    """Return every figure of a cell with its interval.

    Args:
        label_n: int [N], of the test rows.
    """
    row: dict[str, Any] = {}
    for name in FIGURES:
        row |= with_ends(name, share_interval(figures[name]))
    if AUROC in figures:
        no, yes = np.bincount(label_n, minlength=2)
        row |= with_ends(Ablation.AUROC, share_interval(figures[AUROC], min(no, yes)))
        row |= with_ends(Ablation.SPECIFICITY, share_interval(figures["recall"].of_class(0), no))
        row |= with_ends(Ablation.SENSITIVITY, share_interval(figures["recall"].of_class(1), yes))
    return row


def _arms(frame: pd.DataFrame) -> list[tuple[int, bool]]:
    return [
        (int(cell), bool(random))
        for cell, random in zip(frame[CellPredictions.CELL], frame[CellPredictions.RANDOM], strict=True)
    ]
