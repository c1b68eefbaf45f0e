"""Scores of two methods on the same rows: the difference, its interval and its p."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from trainer.stats.multilabel import of_map
from trainer.stats.paired_scores import score_difference
from trainer.stats.regression import of_mae, of_r2


def test_the_difference_of_mean_errors_is_that_of_a_paired_t_test() -> None:
    random = np.random.default_rng(0)
    true_n = random.normal(size=40)
    one, other = (true_n[:, None] + scale * random.normal(size=(40, 1)) for scale in (0.5, 0.8))
    found = score_difference(of_mae(true_n, one), of_mae(true_n, other), np.arange(40))
    errors = [np.abs(true_n - said[:, 0]) for said in (one, other)]
    expected = ttest_rel(*errors)
    assert found.difference.value == pytest.approx(errors[0].mean() - errors[1].mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference[1:] == pytest.approx(tuple(expected.confidence_interval()))


def test_copies_of_rows_in_one_unit_tell_no_more() -> None:
    random = np.random.default_rng(1)
    true_n = random.normal(size=30)
    one, other = (true_n[:, None] + random.normal(size=(30, 1)) for _ in range(2))
    single = score_difference(of_r2(true_n, one), of_r2(true_n, other), np.arange(30))
    true, ones, others = (np.repeat(part, 3, axis=0) for part in (true_n, one, other))
    grouped = score_difference(of_r2(true, ones), of_r2(true, others), np.repeat(np.arange(30), 3))
    assert grouped.p == pytest.approx(single.p)


def test_methods_that_are_equally_good_differ_significantly_in_one_of_twenty_cases() -> None:
    random = np.random.default_rng(2)
    found = []
    for _ in range(400):
        true_nc = random.random((120, 3)) < 0.3
        one, other = (true_nc + random.normal(size=(120, 3)) for _ in range(2))
        found.append(score_difference(of_map(true_nc, one), of_map(true_nc, other), np.arange(120)).p)
    assert 0.03 <= np.mean(np.array(found) < 0.05) <= 0.07


def test_where_no_row_differs_nothing_is_significant() -> None:
    true_n = np.arange(10.0)
    same = of_mae(true_n, true_n[:, None] + 1)
    assert score_difference(same, same, np.arange(10)) == (1.0, 1.0, (0.0, 0.0, 0.0), 1.0)
