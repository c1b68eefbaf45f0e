"""What to expect of a search on new data, from rows that the heads did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit

from trainer.core import text
from trainer.heads.ensemble import fit_temperature, mean_of
from trainer.heads.folded_population import FoldedPopulation, judged_at_its_end
from trainer.heads.folds import assign_folds
from trainer.heads.head_config import HeadSpec
from trainer.heads.resampling import Folds
from trainer.heads.training_data import TrainingData
from trainer.search.refit import CalibratedTrial, choose, in_order, judged
from trainer.search.space import head_spec
from trainer.stats.influence import Linearised
from trainer.stats.intervals import Interval
from trainer.stats.objective import ACCURACY, F1, Objective

PARTS = 5  # of the rows, each answered by what is chosen on the others
MOST_ROWS = 3000  # up to which as many smaller training sets are drawn; of more rows one is enough


class Expectation(NamedTuple):
    """Scores to expect on new data of the kind of train and val, with 95 % intervals over units."""

    scores: dict[Objective, Interval]  # `Objective.expected`, and that of the objective
    gain: float  # of the second of them, such as accuracy, already added: from the rows of a part to all
    units: int  # what the intervals are over: groups, or rows where there are none
    rows: int

    @property
    def f1_macro(self) -> Interval:
        """Macro-F1 of classes."""
        return self.scores[F1]

    @property
    def accuracy(self) -> Interval:
        """Accuracy of classes."""
        return self.scores[ACCURACY]

    @property
    def over(self) -> str:
        """Say what the intervals are over."""
        return text.rows_drawn(self.rows, self.units if self.units < self.rows else None, "rows")


class LearningCurve(NamedTuple):
    """What one head answers to the M judged rows, having learned from all rows of a part and from fewer."""

    logits_rmc: np.ndarray  # [R, M, C], of R repeats
    fewer_kmc: np.ndarray  # [K, M, C], of K smaller training sets
    weight: float  # the gain from a part to all rows, in units of that from fewer rows to a part

    def gain(self, objective: Objective, label_m: np.ndarray) -> Linearised:
        """Return what a score gains from a part to all rows."""
        more, fewer = (
            Linearised.mean([_score_of_logits(one_mc, objective, label_m) for one_mc in every])
            for every in (self.logits_rmc, self.fewer_kmc)
        )
        return (more - fewer) * self.weight


def _score_of_logits(logits_mc: np.ndarray, objective: Objective, label_m: np.ndarray) -> Linearised:
    if objective.of_predictions:
        return objective.of(label_m, logits_mc)
    if objective.labels:
        return objective.of(label_m, expit(logits_mc.astype(np.float64)))
    log_mc = torch.from_numpy(logits_mc).double()
    temperature = fit_temperature(log_mc, torch.from_numpy(label_m))  # as that of every candidate
    return objective.of(label_m, (log_mc / temperature).softmax(1).numpy())


def expect(found: Sequence[CalibratedTrial], folds: Folds, *, seed: int, refit: bool) -> Expectation | None:
    """Return what to expect on new data; None where the rows are too few units to be divided.

    Args:
        found: see `trainer.search.refit.candidates`.
        refit: whether the final head learns from all rows.
    """
    unit_m = folds.unit_n[folds.judged_rows]
    if len(np.unique(unit_m)) < PARTS:
        return None
    label_m = folds.judged_labels
    answer_mc = answers_of_procedure(found, folds, seed=seed)
    curve = learning_curve(found, folds, seed=seed) if refit else None
    nothing = Linearised(0.0, np.zeros(len(label_m)))

    def expected(objective: Objective) -> tuple[Interval, float]:
        gain = nothing if curve is None else curve.gain(objective, label_m)
        return objective.interval(objective.of(label_m, answer_mc) + gain, unit_m), gain.value

    objective = folds.objective
    every = {one: expected(one) for one in dict.fromkeys((*objective.expected, objective))}
    scores = {one: interval for one, (interval, _) in every.items()}
    return Expectation(scores, every[objective.expected[:2][-1]][1], len(np.unique(unit_m)), len(label_m))


def answers_of_procedure(found: Sequence[CalibratedTrial], folds: Folds, *, seed: int) -> np.ndarray:
    """Return the probabilities [M, C] that the search gives each judged row if that row has no part in the
    choice.

    The best of many scores is partly luck: the rows that chose it say too much good of it. So the rows of
    each of `PARTS` parts are answered by what is chosen on the others, by the rule of the final head
    (cross-fitting, as in stacking: Wolpert 1992). That costs no training, unlike a nested cross-validation.
    """
    label_m, unit_m = folds.judged_labels, folds.unit_n[folds.judged_rows]
    part_m = _divided(folds, folds.judged_rows, seed=seed)
    answer_mc = np.empty((len(label_m), folds.learning.classes))
    for part in np.unique(part_m):
        inside, outside = np.flatnonzero(part_m == part), np.flatnonzero(part_m != part)
        others = _on(found, outside, label_m, folds.objective)
        choice = choose(others, label_m[outside], unit_m[outside], folds.objective, seed=seed)
        by_number = {one.trial.number: one.probability_mc[inside] for one in found}
        answers_kmc = np.stack([by_number[number] for number in choice.weights])
        answer_mc[inside] = mean_of(answers_kmc, list(choice.weights.values()))
    return answer_mc


def learning_curve(found: Sequence[CalibratedTrial], folds: Folds, *, seed: int) -> LearningCurve | None:
    """Return how the best head that is fitted to its optimum changes with fewer rows; None without one.

    What is judged has learned from the rows of a part, the final head from all. So each part is cut down once
    more by a fifth: scores approach their limit as a - b / rows, so that the gain from a part to all rows is
    ``weight`` times that from the smaller one to the part. Heads in closed form are taken because they are
    cheap, and because their scores do not depend on random numbers.
    """
    specs = [judged_at_its_end(head_spec(dict(one.trial.params))) for one in found]
    spec = next((spec for spec in specs if not spec.is_random), None)
    if spec is None:
        return None
    learning = folds.learning
    rows_p = [np.setdiff1d(np.arange(learning.rows), judged) for judged in folds.judged]
    if min(len(np.unique(folds.unit_n[rows])) for rows in rows_p) < PARTS:
        return None
    fewer_p = [_divided(folds, rows, seed=seed) for rows in rows_p]
    smaller = [
        learning.split(rows[part_n != draw], judged)
        for draw in range(PARTS if learning.rows <= MOST_ROWS else 1)
        for rows, part_n, judged in zip(rows_p, fewer_p, folds.judged, strict=True)
    ]
    small, middle = (np.mean([part.rows for part in parts]) for parts in (smaller, folds.parts))
    weight = (1 / middle - 1 / learning.rows) / (1 / small - 1 / middle)
    return LearningCurve(_answers(spec, folds.parts, folds), _answers(spec, smaller, folds), float(weight))


def _answers(spec: HeadSpec, parts: Sequence[TrainingData], folds: Folds) -> np.ndarray:
    """Return [K, M, C], the logits of a head on the judged rows of K times all parts."""
    population = FoldedPopulation([spec], parts, seeds=(0,))
    population.train(spec.epochs)
    with torch.inference_mode():
        logits = [one.heads(0)[0].logits(one.data.val.x_nd).cpu().numpy() for one in population.populations]
    row = np.concatenate([*folds.judged] * (len(parts) // len(folds.parts)))
    in_order_of_rows = np.argsort(row, kind="stable")
    logits_mkc = np.concatenate(logits)[in_order_of_rows].reshape(
        len(folds.judged_rows), -1, folds.learning.classes
    )
    return logits_mkc.swapaxes(0, 1)


def _divided(folds: Folds, rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Return one of `PARTS` parts for each of these learning rows: int64 [N]."""
    label_n = folds.learning.train.y_n.cpu().numpy()[rows]
    return assign_folds(label_n, folds.unit_n[rows], folds=PARTS, repeats=1, seed=seed)[0]


def _on(
    found: Sequence[CalibratedTrial], rows: np.ndarray, label_m: np.ndarray, objective: Objective
) -> list[CalibratedTrial]:
    """Return the candidates as these rows alone rank them."""
    return in_order(
        [
            judged(
                *(one.trial, one.temperature, one.probability_mc[rows], one.uncalibrated_mc[rows]),
                label_m[rows],
                objective,
            )
            for one in found
        ]
    )
