"""A slice of the rows against the rest: right numbers, and few false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from trainer.stats.paired_bootstrap import holm
from trainer.stats.slices import slice_figures


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=60))
def test_figures_are_those_of_scipy_and_of_the_shares(rows: list[tuple[bool, bool]]) -> None:
    right_n, inside_n = (np.array(one) for one in zip(*rows, strict=True))
    if inside_n.all() or not inside_n.any():
        with pytest.raises(ValueError, match="all rows, or none"):
            slice_figures(right_n, inside_n)
        return
    found = slice_figures(right_n, inside_n)
    table = [
        [(right_n & inside_n).sum(), (~right_n & inside_n).sum()],
        [(right_n & ~inside_n).sum(), (~right_n & ~inside_n).sum()],
    ]
    assert found.p == pytest.approx(fisher_exact(table, alternative="less").pvalue, abs=1e-9)
    assert found.inside.value == pytest.approx(right_n[inside_n].mean())
    assert found.difference.value == pytest.approx(right_n[inside_n].mean() - right_n[~inside_n].mean())
    assert -1 <= found.difference.low <= found.difference.value <= found.difference.high <= 1
    other = slice_figures(right_n, ~inside_n)
    assert other.difference.value == pytest.approx(-found.difference.value)
    assert other.difference.low == pytest.approx(-found.difference.high)


def drawn(
    random: np.random.Generator, *, units: int, per_unit: int, icc: float
) -> tuple[np.ndarray, np.ndarray]:
    """Right answers, 80 % of them, and their units; alike within a unit."""
    of_unit, of_row = random.normal(size=(units, 1)), random.normal(size=(units, per_unit))
    latent = of_unit * icc**0.5 + of_row * (1 - icc) ** 0.5
    return (latent < 0.84).ravel(), np.repeat(np.arange(units), per_unit)


@pytest.mark.parametrize(("per_unit", "icc"), [(1, 0.0), (5, 0.5)])
@pytest.mark.parametrize("by_unit", [False, True])
def test_random_slices_are_flagged_in_at_most_5_of_100(per_unit: int, icc: float, by_unit: bool) -> None:
    """Of 20 random slices, some of whole groups, any: family-wise, with Holm."""
    random = np.random.default_rng(0)
    alarms, repeats = 0, 200
    for _ in range(repeats):
        right_n, unit_n = drawn(random, units=400 // per_unit, per_unit=per_unit, icc=icc)
        p = []
        for share in random.uniform(0.1, 0.5, size=20):
            of_unit = random.random(400 // per_unit) < share
            inside_n = of_unit[unit_n] if by_unit else random.random(len(right_n)) < share
            p.append(slice_figures(right_n, inside_n, unit_n if per_unit > 1 else None).p)
        alarms += bool((holm(np.array(p)) < 0.05).any())
    assert alarms <= 0.05 * repeats


def test_a_planted_bad_slice_is_found_in_at_least_90_of_100() -> None:
    """One slice of 60 of 400 rows with half of the answers right, 80 % elsewhere, among 30 slices."""
    random = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        inside_n = np.arange(400) < 60
        right_n = random.random(400) < np.where(inside_n, 0.5, 0.8)
        others = [random.random(400) < 0.25 for _ in range(29)]
        p = [slice_figures(right_n, one).p for one in (inside_n, *others)]
        found += bool(holm(np.array(p))[0] < 0.05)
    assert found >= 90


def test_a_slice_of_few_groups_is_not_tested() -> None:
    unit_n = np.repeat(np.arange(20), 10)
    right_n = unit_n > 1
    assert math.isnan(slice_figures(right_n, unit_n < 2, unit_n).p)
    assert slice_figures(right_n, unit_n < 6, unit_n).p < 1
