"""What to expect on new data is told by rows that had no part in the choice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.folds import assign_folds
from trainer.heads.resampling import Folds, crossed, holdout
from trainer.heads.training_data import to_training_data
from trainer.search.expectation import PARTS, answers_of_procedure, expect, learning_curve
from trainer.search.refit import CalibratedTrial, candidates, choose
from trainer.search.space import head_spec
from trainer.search.study import FinishedTrial

CLASSES, ROWS = 3, 120
GDA = {"depth": 0, "solver": "gda", "shrinkage": 0.3, "scaling": "centre"}


def blobs(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(rows) % CLASSES)
    return random.normal(size=(CLASSES, 6))[y] + random.normal(size=(rows, 6)) * 1.5, y


def folds(unit_n: np.ndarray | None = None) -> Folds:
    x, y = blobs()
    learning = to_training_data((x, y), (x[:0], y[:0]), classes=CLASSES, dtype=torch.float64)
    unit = np.arange(ROWS) if unit_n is None else unit_n
    return crossed(learning, assign_folds(y, unit, folds=5, repeats=1, seed=0), unit)


def found_on(by: Folds) -> list[CalibratedTrial]:
    """A discriminant, as a search would have judged it."""
    population = FoldedPopulation([head_spec(GDA)], by.parts, seeds=(0,))
    population.train(1)
    trial = FinishedTrial(0, GDA, "complete", 0.5, {})
    return candidates([trial], {0: population.held_out(0, judged=by.judged)}, by.judged_labels)


def test_luck_in_choosing_does_not_count() -> None:
    """Of forty heads that guess, the best looks good on the rows that choose it."""
    by, random = folds(), np.random.default_rng(1)
    said = {number: np.log(random.dirichlet(np.ones(CLASSES), ROWS)) for number in range(40)}
    trials = [FinishedTrial(number, GDA, "complete", 0.5, {}) for number in said]
    found = candidates(trials, said, by.judged_labels)
    assert found[0].leading_score > 0.40
    assert choose(found, by.judged_labels, np.arange(ROWS), seed=0).leading_score > 1 / CLASSES + 0.05
    pred_m = answers_of_procedure(found, by, seed=0).argmax(1)
    assert (pred_m == by.judged_labels).mean() == pytest.approx(1 / CLASSES, abs=0.08)


def test_a_row_is_answered_by_what_is_chosen_without_it() -> None:
    """With one candidate there is nothing to choose; the answers are its own."""
    by = folds()
    found = found_on(by)
    assert np.array_equal(answers_of_procedure(found, by, seed=0), found[0].probability_mc)


def test_the_learning_curve_is_that_of_discriminants_on_smaller_parts() -> None:
    by, (x, y) = folds(), blobs()
    curve = learning_curve(found_on(by), by, seed=0)
    assert curve is not None
    assert curve.fewer_kmc.shape == (PARTS, ROWS, CLASSES)
    assert np.array_equal(curve.logits_rmc[0].argmax(1), found_on(by)[0].probability_mc.argmax(1))
    for judged in by.judged:
        kept = np.setdiff1d(np.arange(ROWS), judged)
        part_n = assign_folds(y[kept], kept, folds=PARTS, repeats=1, seed=0)[0]
        for draw in range(PARTS):
            rows = kept[part_n != draw]
            reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3).fit(x[rows], y[rows])
            assert np.array_equal(curve.fewer_kmc[draw][judged].argmax(1), reference.predict(x[judged]))
    few, part = ROWS * 0.64, ROWS * 0.8
    assert curve.weight == pytest.approx((1 / part - 1 / ROWS) / (1 / few - 1 / part), rel=0.05)


def test_groups_widen_what_to_expect_and_stay_together() -> None:
    _, y = blobs()
    unit_n = np.unique(
        np.stack([y, np.cumsum(np.eye(CLASSES, dtype=int)[y], 0)[np.arange(ROWS), y] // 8]).T,
        axis=0,
        return_inverse=True,
    )[1]
    by = folds(unit_n)
    expected = expect(found_on(by), by, seed=0, refit=True)
    assert expected is not None
    assert expected.units == len(np.unique(unit_n)) < ROWS
    assert expected.over == f"{expected.units} groups ({ROWS} rows)"
    assert expected.accuracy.low <= expected.accuracy.value <= expected.accuracy.high
    alone = folds()
    by_row = expect(found_on(alone), alone, seed=0, refit=True)
    assert by_row is not None
    assert by_row.over == f"{ROWS} rows"


def test_held_out_rows_tell_too_and_too_few_groups_do_not() -> None:
    x, y = blobs()
    part = to_training_data((x[:70], y[:70]), (x[70:], y[70:]), classes=CLASSES, dtype=torch.float64)
    learning = to_training_data((x, y), (x[:0], y[:0]), classes=CLASSES, dtype=torch.float64)
    by = holdout(part, learning)
    expected = expect(found_on(by), by, seed=0, refit=True)
    as_it_is = expect(found_on(by), by, seed=0, refit=False)
    assert expected is not None
    assert as_it_is is not None
    assert as_it_is.gain == 0
    assert expected.accuracy.value == pytest.approx(as_it_is.accuracy.value + expected.gain)
    few = holdout(part, learning, np.arange(ROWS) // 40)
    assert expect(found_on(few), few, seed=0, refit=True) is None
