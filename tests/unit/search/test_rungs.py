"""What decides at a rung, and what a trial that survives it comes to: cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.heads.folded_population import FoldedPopulation
from trainer.heads.folds import assign_folds
from trainer.heads.resampling import Folds, crossed
from trainer.heads.training_data import to_training_data
from trainer.search.loop import SearchSettings, TrialRecord, search
from trainer.search.space import Space, head_spec, load_space
from trainer.search.study import Pruner, Study

CLASSES, ROWS, SEEDS = 3, 90, (4, 5, 6)
SPACE = """
width: {choice: [4, 8]}
epochs: {int: [2, 9]}
batch_size: 32
"""


def folds() -> Folds:
    random = np.random.default_rng(0)
    y = np.arange(ROWS) % CLASSES
    x = random.normal(size=(CLASSES, 6))[y] + random.normal(size=(ROWS, 6)) * 1.5
    learning = to_training_data((x, y), (x[:0], y[:0]), classes=CLASSES)
    unit = np.arange(ROWS)
    return crossed(learning, assign_folds(y, unit, folds=3, repeats=1, seed=0), unit)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    (tmp_path / "space.yaml").write_text(SPACE)
    return load_space(tmp_path / "space.yaml")


def searched(space: Space, *, pruner: Pruner = "median") -> list[TrialRecord]:
    study = Study(space, seed=1, pruner=pruner, path=4, best_third=True)
    settings = SearchSettings(seeds=SEEDS, trials=28, batch_size=8, pruner=pruner)
    return [record for step in search(study, folds(), settings) for record in step.ended]


def test_a_trial_that_ends_at_a_rung_has_one_seed_and_a_complete_one_all(space: Space) -> None:
    records = searched(space)
    seeds = {
        state: {len(r.outcome.score_s) for r in records if r.state == state}
        for state in ("pruned", "complete")
    }
    assert seeds == {"pruned": {1}, "complete": {len(SEEDS)}}
    short = [
        r
        for r in records
        if r.state == "complete" and r.outcome.epochs <= 3 and head_spec(r.params).is_random
    ]
    assert short  # whose epochs end before a rung


@pytest.mark.parametrize("pruner", ["median", "halving", "none"])
def test_a_complete_trial_is_what_it_would_be_alone(space: Space, pruner: Pruner) -> None:
    by = folds()
    complete = [record for record in searched(space, pruner=pruner) if record.state == "complete"]
    assert len(complete) >= 6
    for record in complete:
        alone = FoldedPopulation([by.as_judged(head_spec(record.params))], by.parts, seeds=SEEDS)
        alone.train(400)
        assert np.array_equal(record.outcome.score_s, alone.outcome(0).score_s)
        assert np.array_equal(record.held_out_mc, alone.held_out(0, judged=by.judged))


def test_the_score_at_a_rung_is_that_of_the_first_seed(space: Space) -> None:
    by = folds()
    for record in searched(space):
        if not head_spec(record.params).is_random:
            continue
        alone = FoldedPopulation([by.as_judged(head_spec(record.params))], by.parts, seeds=SEEDS[:1])
        for epoch, score in sorted(record.rungs.items()):
            if epoch == space.max_epochs:
                continue
            alone.train(epoch)
            assert score == alone.outcome(0).score


def test_of_trials_that_reach_a_rung_together_the_best_third_goes_on(space: Space) -> None:
    study = Study(space, seed=0, pruner="median", path=0, best_third=True)
    numbers = [proposal.number for proposal in study.ask(10)]
    scores = {
        number: float(rank) for rank, number in enumerate(np.random.default_rng(0).permutation(numbers))
    }
    pruned = study.to_prune(scores, epoch=1)
    best = sorted(numbers, key=lambda number: scores[number])[-4:]  # a third of ten, rounded up
    assert set(pruned) == set(numbers) - set(best)
    few = {number: float(number) for number in best[:3]}
    assert study.to_prune(few, epoch=3) == []  # too few to compare
