"""Trials are pruned at rungs as Optuna's pruners would, which read every trial each time."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from trainer.search.rung_pruning import LEAST_COMPLETE, RUNG_FACTOR, Pruner, RungPruning

EPOCHS = (1, 3, 9)
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def optunas(pruner: Pruner) -> optuna.pruners.BasePruner:
    if pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=LEAST_COMPLETE)
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=EPOCHS[0], reduction_factor=RUNG_FACTOR)


@pytest.mark.parametrize("pruner", ["median", "halving"])
@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 7), grid=st.integers(2, 50))
def test_what_is_pruned_is_what_optuna_prunes(pruner: Pruner, seed: int, batch: int, grid: int) -> None:
    """Batches of trials, with many equal scores, some of which diverge."""
    random = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", pruner=optunas(pruner))
    ours, number = RungPruning(pruner), 0
    for _ in range(60 // batch):
        running = {number + i: (study.ask(), dict[int, float]()) for i in range(batch)}
        number += batch
        for epoch in EPOCHS:
            for one, (trial, rungs) in list(running.items()):
                if random.random() < 0.05:
                    study.tell(trial, state=TrialState.FAIL)
                    ours.end(one, rungs, complete=False)
                    del running[one]
                    continue
                rungs[epoch] = float(random.integers(grid)) / grid
                trial.report(rungs[epoch], epoch)
                pruned = ours.report(one, rungs[epoch], epoch)
                assert pruned == trial.should_prune()
                if pruned or epoch == EPOCHS[-1]:
                    study.tell(trial, None if pruned else rungs[epoch], state=ENDED[pruned])
                    ours.end(one, rungs, complete=not pruned)
                    del running[one]


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_resumed_study_compares_with_the_trials_of_the_earlier_process(pruner: Pruner) -> None:
    whole, resumed = RungPruning(pruner), RungPruning(pruner)
    ended = [{1: i / 20, 3: i / 20} for i in range(20)]
    for number, rungs in enumerate(ended):
        for epoch, score in rungs.items():
            whole.report(number, score, epoch)
        whole.end(number, rungs, complete=True)
        resumed.recall(rungs, complete=True)
    scores = np.linspace(0, 1, 31)
    assert [whole.report(20 + i, score, 1) for i, score in enumerate(scores)] == [
        resumed.report(20 + i, score, 1) for i, score in enumerate(scores)
    ]


def test_without_pruning_every_trial_goes_on() -> None:
    pruning = RungPruning("none")
    assert not any(pruning.report(number, float(-number), 1) for number in range(20))
