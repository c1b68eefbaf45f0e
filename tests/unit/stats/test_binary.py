"""Figures of two classes, against scikit-learn's and against simple references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from trainer.stats import binary as t
from trainer.stats.calibration import calibration_error, equal_mass_bins
from trainer.stats.intervals import wilson
from trainer.stats.roc import area, roc


def rows(
    number: int = 300, *, seed: int = 0, skill: float = 1.5, heat: float = 1.0, share: float = 0.4
) -> t.BinaryRows:
    """Log-odds that are true but for a factor ``heat``; every row by itself."""
    random = np.random.default_rng(seed)
    true = random.normal(np.log(share / (1 - share)), skill, number)
    positive = random.random(number) < expit(true)
    return t.BinaryRows(positive, heat * true, np.arange(number))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), levels=st.integers(1, 30), weighted=st.booleans())
def test_areas_equal_scikit_learns_with_ties_and_weights(seed: int, levels: int, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    positive = np.r_[True, False, random.random(40) < 0.4]
    score = np.round(random.normal(size=42) + positive, 1) % levels
    weight = random.integers(0, 4, 42) if weighted else np.ones(42, dtype=int)
    weight[:2] = 1
    found, weight_ln = t.BinaryRows(positive, score, np.arange(42)), weight[None].astype(float)
    curve = roc(score, positive, weight_ln)
    assert area(curve)[0] == pytest.approx(roc_auc_score(positive, score, sample_weight=weight))
    expected = average_precision_score(positive, score, sample_weight=weight)
    assert t.average_precision(curve, found, weight_ln)[0] == pytest.approx(expected)


def test_losses_equal_scikit_learns() -> None:
    found = rows()
    probability = expit(found.log_odds_n / 2)
    assert t.log_loss_rows(found, 2.0).mean() == pytest.approx(log_loss(found.positive_n, probability))
    judged = t.evaluate_binary(found, found, specificity=0.9, seed=0, draws=20)
    assert judged.brier.value == pytest.approx(brier_score_loss(found.positive_n, expit(found.log_odds_n)))


@given(seed=st.integers(0, 10_000), number=st.integers(2, 200), bins=st.integers(1, 15))
def test_the_calibration_error_is_that_of_its_definition(seed: int, number: int, bins: int) -> None:
    found = rows(number, seed=seed)
    probability, bin_n = expit(found.log_odds_n), equal_mass_bins(found.log_odds_n, bins)
    expected = 0.0
    for one in set(bin_n):
        inside = bin_n == one
        gap = abs(found.positive_n[inside].mean() - probability[inside].mean())
        expected += inside.mean() * gap
    weight = np.ones((1, number))
    assert calibration_error(found.positive_n, probability, bin_n, weight)[0] == pytest.approx(expected)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=120), st.integers(1, 12))
def test_bins_follow_the_scores_share_ties_and_hold_about_as_many_rows(values: list[int], bins: int) -> None:
    score = np.array(values, dtype=float)
    bin_n = equal_mass_bins(score, bins)
    assert set(bin_n) == set(range(bin_n.max() + 1))
    assert bin_n.max() < bins
    order = np.argsort(score, kind="stable")
    assert (np.diff(bin_n[order]) >= 0).all()
    assert all(len(set(bin_n[score == one])) == 1 for one in set(values))
    apart = equal_mass_bins(np.arange(100.0), 10)
    assert np.bincount(apart).tolist() == [10] * 10


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_temperature_scaling_finds_the_factor_that_log_odds_are_wrong_by(heat: float) -> None:
    val, test = rows(4000, seed=1, heat=heat), rows(4000, seed=2, heat=heat)
    judged = t.evaluate_binary(val, test, specificity=0.9, seed=0, draws=60)
    assert judged.temperature == pytest.approx(heat, rel=0.1)
    assert judged.ece_calibrated.value < 0.03
    if heat == 1.0:
        assert judged.log_loss_change.low < 0.001
        assert judged.log_loss_change.high > -0.001
        return
    for change in (judged.ece_change, judged.log_loss_change, judged.brier_change):
        assert change.low < change.value < change.high < 0
    assert judged.ece.low <= judged.ece.value <= judged.ece.high


def test_a_temperature_changes_no_order_and_no_sensitivity() -> None:
    val, test = rows(seed=3), rows(seed=4)
    one = t.evaluate_binary(val, test, specificity=0.9, seed=0, draws=30)
    hot = [t.BinaryRows(of.positive_n, of.log_odds_n * 7, of.unit_n) for of in (val, test)]
    other = t.evaluate_binary(*hot, specificity=0.9, seed=0, draws=30)
    assert one.sensitivity == other.sensitivity
    assert one.auroc == pytest.approx(other.auroc)
    assert one.ece_calibrated.value == pytest.approx(other.ece_calibrated.value, abs=1e-4)


@given(
    seed=st.integers(0, 10_000), number=st.integers(4, 80), specificity=st.sampled_from([0.5, 0.9, 0.99, 1.0])
)
def test_the_threshold_is_the_lowest_with_the_wanted_specificity(
    seed: int, number: int, specificity: float
) -> None:
    random = np.random.default_rng(seed)
    positive = np.r_[True, False, random.random(number) < 0.5]
    score = np.round(random.normal(size=number + 2) + positive, 1)
    threshold = t.threshold_at(t.BinaryRows(positive, score, np.arange(number + 2)), specificity)
    got = (score < threshold)[~positive].mean()
    assert got >= specificity - 1e-9
    lower = score[score < threshold]
    if len(lower):  # calling the next row positive, too, would be too much
        assert (score < lower.max())[~positive].mean() < specificity


def test_sensitivity_and_specificity_without_groups_have_wilsons_intervals() -> None:
    val, test = rows(seed=5), rows(seed=6)
    judged = t.evaluate_binary(val, test, specificity=0.9, seed=0, draws=10)
    called = test.log_odds_n >= judged.threshold
    yes = test.positive_n
    assert judged.sensitivity == pytest.approx(wilson(int(called[yes].sum()), int(yes.sum())))
    assert judged.specificity == pytest.approx(wilson(int((~called[~yes]).sum()), int((~yes).sum())))
    assert judged.val_specificity >= 0.9
    own = test.log_odds_n >= t.threshold_at(test, 0.9)
    assert judged.on_curve.value == pytest.approx(own[yes].mean())


def test_rows_of_a_group_count_as_fewer() -> None:
    random = np.random.default_rng(0)
    hit = np.repeat(random.random(50) < 0.8, 4)  # a patient's four images agree
    alone = t.wilson_of_groups(hit, np.arange(200))
    together = t.wilson_of_groups(hit, np.repeat(np.arange(50), 4))
    patients = wilson(int(hit[::4].sum()), 50)
    assert alone.value == together.value
    assert together.high - together.low == pytest.approx(patients.high - patients.low, rel=0.05)
    everything = t.wilson_of_groups(np.ones(8, dtype=bool), np.repeat([0, 1], 4))
    assert everything == pytest.approx(wilson(2, 2))  # two patients, not eight rows


def test_the_difference_of_two_shares_is_newcombes() -> None:
    found = t.difference(wilson(56, 70), wilson(48, 80))  # the paper's example (a)
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_groups_are_drawn_whole_and_within_their_class() -> None:
    positive = np.array([True] * 6 + [False] * 4)
    unit = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 5])
    drawn = np.concatenate(list(t.weights(t.BinaryRows(positive, np.zeros(10), unit), seed=0, draws=300)))
    assert drawn.shape == (300, 10)
    for one in range(6):
        assert (drawn[:, unit == one] == drawn[:, unit == one][:, :1]).all()
    firsts = drawn[:, [0, 3, 5]], drawn[:, [6, 8, 9]]
    assert all((of.sum(1) == 3).all() for of in firsts)
    mixed = np.concatenate(list(t.weights(t.BinaryRows(positive, np.zeros(10), unit % 3), seed=0, draws=50)))
    assert (mixed[:, [0, 3, 5]].sum(1) == 3).all()


def test_intervals_over_groups_are_wider_than_over_rows() -> None:
    one = rows(100, seed=7)
    four = t.BinaryRows(*(np.repeat(of, 4) for of in (one.positive_n, one.log_odds_n)), np.arange(400))
    grouped = t.BinaryRows(four.positive_n, four.log_odds_n, np.repeat(np.arange(100), 4))
    alone, together = (
        t.evaluate_binary(one, of, specificity=0.9, seed=0, draws=300) for of in (four, grouped)
    )
    assert alone.auroc.value == together.auroc.value
    assert together.auroc.high - together.auroc.low > 1.5 * (alone.auroc.high - alone.auroc.low)


def test_log_odds_stay_apart_where_probabilities_are_nearly_one() -> None:
    probability = np.array([[1e-12, 1.0], [1e-9, 1.0], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    found = t.log_odds(probability)
    assert found[0] > found[1] > found[2] == 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("positives", "negatives"), [(1, 49), (3, 50), (10, 10), (500, 500)])
def test_the_interval_of_an_auroc_has_a_width_at_the_edge_and_is_symmetric(
    positives: int, negatives: int
) -> None:
    best = t.auroc_interval(1.0, positives, negatives)
    assert best.high == 1.0
    assert 0 < best.low < 1
    for value in (0.0, 0.2, 0.5, 0.9, 0.999):
        one, mirrored = (t.auroc_interval(area, positives, negatives) for area in (value, 1 - value))
        assert one.low <= value <= one.high
        assert (one.low, one.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-6)


def test_the_interval_of_an_auroc_covers_the_truth_with_three_positives() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        yes, no = random.normal(2.326, 1, 3), random.normal(0, 1, 50)  # AUROC 0.95
        found = t.auroc_interval(float((yes[:, None] > no).mean()), 3, 50)
        covered += found.low <= 0.95 <= found.high
    assert covered >= 180


def test_one_positive_test_row_above_all_others_leaves_doubt() -> None:
    random = np.random.default_rng(0)
    rows = t.BinaryRows(
        np.arange(30) < 1, np.where(np.arange(30) < 1, 5.0, random.normal(-3, 1, 30)), np.arange(30)
    )
    report = t.evaluate_binary(rows, rows, specificity=0.9, seed=0)
    assert report.auroc.value == report.auprc.value == report.on_curve.value == 1
    assert report.auroc.low < 0.6
    assert report.auprc.low < 0.3
    assert report.on_curve.low < 0.3
