"""Detectable effects are found as often as they promise, and so are differences on as many rows as needed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.stats.intervals import Z95, Interval
from trainer.stats.power import detectable_effect, rows_to_tell, simultaneous_level, widened


def around(value: float, error: float) -> Interval:
    return Interval(value, value - Z95 * error, value + Z95 * error)


def test_one_comparison_detects_two_point_eight_standard_errors() -> None:
    assert detectable_effect(*around(0.3, 0.01)[1:]) == pytest.approx(0.028, abs=1e-4)
    assert detectable_effect(*around(0.3, 0.01)[1:], comparisons=10) > 0.035
    assert math.isnan(detectable_effect(math.nan, math.nan))


def test_rows_that_all_agree_show_little_where_they_are_few() -> None:
    same = Interval(0.0, 0.0, 0.0)
    assert math.isnan(detectable_effect(same.low, same.high))
    assert widened(same, units=30).low < -0.05
    assert -0.01 < widened(same, units=500).low < 0
    assert widened(around(0.1, 0.2), units=500) == around(0.1, 0.2)
    assert rows_to_tell(same, margin=0.01, rows=30) > 100


@pytest.mark.parametrize("comparisons", [1, 5])
def test_the_detectable_effect_is_found_in_80_of_100_tests(comparisons: int) -> None:
    error = 0.02
    effect = detectable_effect(*around(0.0, error)[1:], comparisons=comparisons)
    observed = np.random.default_rng(0).normal(effect, error, 20_000)
    p = np.array([math.erfc(abs(one) / error / math.sqrt(2)) for one in observed])
    assert np.mean(p < 1 - simultaneous_level(comparisons)) == pytest.approx(0.8, abs=0.01)


def test_on_as_many_rows_as_needed_non_inferiority_is_shown_with_80_of_100() -> None:
    rows, spread, difference, margin = 200, 0.5, 0.002, 0.01
    needed = rows_to_tell(around(difference, spread / math.sqrt(rows)), margin=margin, rows=rows)
    error = spread / math.sqrt(needed)
    observed = np.random.default_rng(0).normal(difference, error, 20_000)
    assert np.mean(observed - Z95 * error > -margin) == pytest.approx(0.8, abs=0.01)


def test_a_clear_loss_takes_fewer_rows_than_a_small_one_and_nothing_but_a_loss_of_the_margin_is_hard() -> (
    None
):
    needed = [
        rows_to_tell(around(value, 0.02), margin=0.01, rows=500) for value in (-0.05, -0.02, -0.005, 0.02)
    ]
    assert needed[0] < needed[1] < needed[2]
    assert needed[3] < needed[2]
    assert math.isinf(rows_to_tell(around(0.0, 0.02), margin=0.0, rows=500))
