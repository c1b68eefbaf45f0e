"""Importance stays between 0 and 1 whatever the trials, and calls few parameters without effect important."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.stats import ped_anova
from trainer.stats.ped_anova import TrialGrid, explained, importances, smoother


def uniform_grids(parameters: int, trials: int, random: np.random.Generator) -> list[TrialGrid]:
    """Numbers and choices by turns."""
    return [
        TrialGrid(random.integers(0, size, trials), size, ordered=size > 5)
        for size in ([50, 3] * parameters)[:parameters]
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_value_ends_and_chance_level_lie_between_0_and_1_in_order(data: st.DataObject) -> None:
    trials = data.draw(st.integers(2, 80))
    size = data.draw(st.integers(1, 50))
    cells = data.draw(st.lists(st.integers(0, size - 1), min_size=trials, max_size=trials))
    loss = st.one_of(st.floats(-1e6, 1e6), st.integers(0, 3).map(float))  # with ties, too
    losses = data.draw(st.lists(loss, min_size=trials, max_size=trials))
    found = importances([TrialGrid(np.array(cells), size, data.draw(st.booleans()))], [np.array(losses)])[0]
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert 0 <= found.chance <= 1
    assert 0 < found.p <= found.p_holm <= 1
    assert (found.p_holm < 0.05) == (found.value > found.chance)


def test_without_smoothing_it_is_the_correlation_ratio() -> None:
    random = np.random.default_rng(0)
    cell_n = random.integers(0, 3, 3000)
    best_n = random.random(3000) < np.array([0.02, 0.1, 0.3])[cell_n]
    every, best = (np.bincount(cell_n[of], minlength=3)[None] for of in (best_n | True, best_n))
    mean_c = best[0] / every[0]
    wanted = (every[0] / 3000 * (mean_c - best_n.mean()) ** 2).sum() / best_n.var()
    value = explained(every, best, smoother(TrialGrid(cell_n, 3, ordered=False)))
    assert value[0] == pytest.approx(wanted, rel=0.02)


def test_a_value_stands_out_exactly_where_it_is_above_its_chance_level() -> None:
    random = np.random.default_rng(1)
    grids = uniform_grids(8, 200, random)
    loss_n = random.random(200) + 0.03 * np.abs(grids[0].cell_n - 40) + 0.6 * (grids[1].cell_n == 0)
    found = importances(grids, [loss_n] * 8)
    assert [one.p_holm < 0.05 for one in found] == [one.value > one.chance for one in found]
    assert found[0].p_holm < 0.05
    assert found[1].p_holm < 0.05


def test_few_sweeps_without_any_effect_name_a_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ped_anova, "BOOTSTRAP", 2)
    monkeypatch.setattr(ped_anova, "PERMUTATIONS", 400)
    wrong = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        found = importances(uniform_grids(8, 60, random), [random.random(60)] * 8)
        wrong += any(one.p_holm < ped_anova.LEVEL for one in found)
    assert wrong <= 11  # 5 expected; 12 or more have a chance of 0.4 %
