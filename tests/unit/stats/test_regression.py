"""Scores of numbers against scikit-learn and SciPy, and their standard errors against drawing rows again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from trainer.stats.conformal import COVERAGES
from trainer.stats.objective import MAE, R2, RMSE
from trainer.stats.regression import half_widths, spearman_of_units, strata, unexplained

REFERENCES = {R2: r2_score, MAE: mean_absolute_error, RMSE: root_mean_squared_error}


def pairs(rows: int, seed: int = 0, noise: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    target_n = random.normal(size=rows)
    return target_n, 0.8 * target_n + noise * random.normal(size=rows) + 0.1


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10**6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_the_scores_are_those_of_scikit_learn(rows: int, seed: int, offset: float, scale: float) -> None:
    target_n, answer_n = (scale * one + offset for one in pairs(rows, seed))
    for objective, reference in REFERENCES.items():
        expected = reference(target_n, answer_n)
        assert objective.of(target_n, answer_n[:, None]).value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert unexplained(target_n, answer_n[:, None]).mean() == pytest.approx(1 - r2_score(target_n, answer_n))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=40))
def test_spearman_is_that_of_scipy_also_with_ties(both: list[tuple[int, int]]) -> None:
    target_n, answer_n = np.array(both, dtype=float).T
    found = spearman_of_units(target_n, answer_n, np.arange(len(both)))
    if np.ptp(target_n) == 0 or np.ptp(answer_n) == 0:
        assert np.isnan(found).all()
        return
    assert found.value == pytest.approx(spearmanr(target_n, answer_n).statistic, abs=1e-9)
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_standard_errors_are_those_of_rows_drawn_again() -> None:
    target_n, answer_n = pairs(400)
    random = np.random.default_rng(1)
    draws = random.integers(0, 400, (600, 400))
    for objective in REFERENCES:
        of = objective.of
        drawn = [of(target_n[rows], answer_n[rows, None]).value for rows in draws]
        error = of(target_n, answer_n[:, None]).standard_error(np.arange(400))
        assert error == pytest.approx(np.std(drawn), rel=0.12)
    drawn = [np.arctanh(spearmanr(target_n[rows], answer_n[rows]).statistic) for rows in draws[:300]]
    found = spearman_of_units(target_n, answer_n, np.arange(400))
    reach = (np.arctanh(found.high) - np.arctanh(found.low)) / 2
    assert reach == pytest.approx(1.97 * np.std(drawn), rel=0.15)


def test_copies_of_a_row_are_one_unit() -> None:
    target_n, answer_n = pairs(100)
    twice_n, unit_n = np.repeat(np.arange(100), 2), np.repeat(np.arange(100), 2)
    for objective in REFERENCES:
        once = objective.interval(objective.of(target_n, answer_n[:, None]), np.arange(100))
        twice = objective.interval(objective.of(target_n[twice_n], answer_n[twice_n, None]), unit_n)
        assert twice == pytest.approx(once)
    once, twice = (
        spearman_of_units(target_n[rows], answer_n[rows], units)
        for rows, units in ((np.arange(100), np.arange(100)), (twice_n, unit_n))
    )
    assert twice == pytest.approx(once, abs=0.01)


def test_r2_below_zero_has_an_interval_below_zero_and_errors_none() -> None:
    target_n, answer_n = pairs(50)
    low = R2.interval(R2.of(target_n, -3 * answer_n[:, None]), np.arange(50))
    assert low.low < low.value < 0
    exact = MAE.interval(MAE.of(target_n, target_n[:, None]), np.arange(50))
    assert tuple(exact) == (0, 0, 0)
    assert np.isnan(R2.of(np.ones(5), np.ones((5, 1))).value)


def test_strata_have_as_many_rows_and_follow_the_numbers() -> None:
    target_n = np.random.default_rng(0).lognormal(size=1000)
    stratum_n = strata(target_n)
    assert np.bincount(stratum_n).tolist() == [100] * 10
    assert (np.diff(stratum_n[np.argsort(target_n)]) >= 0).all()
    assert set(strata(np.ones(40))) == {max(strata(np.ones(40)))}
    assert strata(np.array([])).tolist() == []


def test_intervals_hold_as_many_new_numbers_as_they_promise() -> None:
    held = [], []
    for seed in range(60):
        target_n, answer_n = pairs(300, seed)
        width = half_widths(target_n[:100], answer_n[:100, None], np.arange(100))
        for found, coverage in zip(held, (0.5, 0.9), strict=True):
            found.append((np.abs(target_n - answer_n)[100:] <= width[coverage]).mean())
    assert np.mean(held[0]) == pytest.approx(0.5, abs=0.02)
    assert np.mean(held[1]) == pytest.approx(0.9, abs=0.02)
    assert list(half_widths(target_n[:30], answer_n[:30, None], np.arange(30))) == list(COVERAGES)
    assert half_widths(target_n[:30], answer_n[:30, None], np.arange(30))[0.99] == np.inf
