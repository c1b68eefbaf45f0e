"""Curves, error rates and intervals of verification: against scikit-learn, plain loops and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from trainer.stats import roc as v

scored = st.integers(0, 2**32 - 1).map(lambda seed: random_scores(np.random.default_rng(seed)))


def random_scores(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores with or without ties, at least one pair of each kind."""
    count = int(random.integers(2, 80))
    score_p = random.normal(size=count) if random.random() < 0.5 else random.integers(0, 6, count) / 5
    same_p = random.random(count) < random.uniform(0.1, 0.9)
    same_p[:2] = True, False
    return score_p, same_p


def pairs_of(
    people: int, *, folds: int = 5, each: int = 4, seed: int = 0
) -> tuple[v.VerificationPairs, np.ndarray]:
    """All pairs of photos within each fold, and scores that same pairs have higher."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    one, other = np.triu_indices(len(person), k=1)
    within = person[one] % folds == person[other] % folds
    person_p2 = np.stack([person[one], person[other]], axis=1)[within]
    same_p = person_p2[:, 0] == person_p2[:, 1]
    pairs = v.VerificationPairs(same_p, person_p2, person_p2[:, 0] % folds)
    return pairs, random.normal(size=len(same_p)) + same_p


@given(scored)
def test_the_curve_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    score_p, same_p = case
    curve = v.roc(score_p, same_p)
    far, tar, threshold = roc_curve(same_p, score_p, drop_intermediate=False)
    np.testing.assert_allclose(curve.far_lt[0], far, atol=1e-12)
    np.testing.assert_allclose(curve.tar_lt[0], tar, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold_t, threshold)
    assert v.area(curve)[0] == pytest.approx(roc_auc_score(same_p, score_p), abs=1e-12)


@given(scored)
def test_a_weighted_pair_counts_as_that_many_pairs(case: tuple[np.ndarray, np.ndarray]) -> None:
    score_p, same_p = case
    weight_p = np.random.default_rng(0).integers(1, 4, len(score_p))
    weighted = v.roc(score_p, same_p, weight_p[None].astype(float))
    repeated = v.roc(score_p.repeat(weight_p), same_p.repeat(weight_p))
    for figure in (v.area, v.equal_error_rate, lambda curve: v.tar_at_far(curve, 0.1)):
        assert figure(weighted)[0] == pytest.approx(figure(repeated)[0], abs=1e-12)
    assert v.area(weighted)[0] == pytest.approx(roc_auc_score(same_p, score_p, sample_weight=weight_p))


@given(scored)
def test_figures_depend_on_the_order_of_scores_alone(case: tuple[np.ndarray, np.ndarray]) -> None:
    score_p, same_p = case
    stretched = v.roc(np.arctan(score_p / 3) * 7 - 2, same_p)
    plain = v.roc(score_p, same_p)
    for figure in (v.area, v.equal_error_rate, lambda curve: v.tar_at_far(curve, 0.2)):
        assert figure(stretched)[0] == pytest.approx(figure(plain)[0], abs=1e-12)


@given(scored)
def test_the_equal_error_rate_of_negated_scores_is_the_rest_and_both_errors_meet_there(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    score_p, same_p = case
    rate = v.equal_error_rate(v.roc(score_p, same_p))[0]
    assert 0 <= rate <= 1
    assert v.equal_error_rate(v.roc(-score_p, same_p))[0] == pytest.approx(1 - rate, abs=1e-9)
    far, tar, _ = roc_curve(same_p, score_p, drop_intermediate=False)
    meets = brentq(lambda x: 1 - x - np.interp(x, far, tar), -1e-9, 1 + 1e-9)
    assert rate == pytest.approx(meets, abs=1e-6)


def test_two_normal_distributions_have_the_equal_error_rate_of_the_formula() -> None:
    random = np.random.default_rng(1)
    same_p = np.arange(200_000) % 2 == 0
    score_p = random.normal(size=len(same_p)) + 2.0 * same_p
    assert v.equal_error_rate(v.roc(score_p, same_p))[0] == pytest.approx(norm.cdf(-1), abs=0.003)
    assert v.area(v.roc(score_p, same_p))[0] == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.003)


def test_the_rate_at_a_far_is_of_the_lowest_threshold_that_keeps_it() -> None:
    score_p = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    same_p = np.array([1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)
    curve = v.roc(score_p, same_p)
    found = {far: float(v.tar_at_far(curve, far)[0]) for far in (0.0, 0.2, 0.25, 0.5, 1.0)}
    assert found == {0.0: 0.5, 0.2: 0.5, 0.25: 0.75, 0.5: 1.0, 1.0: 1.0}


def test_a_far_is_spoken_of_only_where_ten_pairs_are_accepted_falsely() -> None:
    assert v.enough_pairs_for_far(1000, 0.01)
    assert not v.enough_pairs_for_far(999, 0.01)
    assert not v.enough_pairs_for_far(1800, 0.001)
    assert v.enough_pairs_for_far(10_000, 0.001)


@given(scored)
def test_no_other_threshold_is_more_accurate(case: tuple[np.ndarray, np.ndarray]) -> None:
    score_p, same_p = case

    def accuracy(threshold: float) -> float:
        accepted = score_p >= threshold
        return float((accepted[same_p].mean() + 1 - accepted[~same_p].mean()) / 2)

    best = max(accuracy(one) for one in [*score_p, score_p.max() + 1])
    assert accuracy(v.best_threshold(score_p, same_p)) == pytest.approx(best, abs=1e-12)


def test_each_fold_is_judged_by_the_threshold_of_the_others() -> None:
    pairs, score_p = pairs_of(20)
    folded = v.cross_validated_accuracy(score_p, pairs)
    for number, fold in enumerate(np.unique(pairs.fold_p)):
        here = pairs.fold_p == fold
        threshold = v.best_threshold(score_p[~here], pairs.same_p[~here])
        assert folded.threshold_f[number] == threshold
        right = (score_p[here] >= threshold) == pairs.same_p[here]
        assert (folded.right_p[here] == right).all()
    expected = folded.accuracy_f.std(ddof=1) / np.sqrt(5)
    assert folded.standard_error == pytest.approx(expected)
    changed = score_p.copy()
    changed[pairs.fold_p == 0] += 100  # what a fold scores has no say in its own threshold
    assert v.cross_validated_accuracy(changed, pairs).threshold_f[0] == folded.threshold_f[0]


def test_a_person_drawn_twice_counts_twice_and_two_people_count_as_their_product() -> None:
    pairs = v.VerificationPairs(
        np.array([True, False, False]), np.array([[3, 3], [3, 8], [8, 9]]), np.zeros(3, dtype=int)
    )
    bootstrap = v.PersonBootstrap(pairs, seed=0, draws=10)
    weight = bootstrap._of_pairs(np.array([[2, 3, 0], [1, 1, 1]]))
    assert weight.tolist() == [[2, 6, 0], [1, 1, 1]]


def test_intervals_hold_the_value_and_a_method_does_not_differ_from_itself() -> None:
    pairs, score_p = pairs_of(24)
    bootstrap = v.PersonBootstrap(pairs, seed=0, draws=300)
    folded = v.cross_validated_accuracy(score_p, pairs)
    found = bootstrap.measure(score_p, folded, fars=(0.1,))
    assert set(found) == {v.AUC, v.EER, v.ACCURACY, "tar0.1"}
    assert float(found[v.AUC].value) == pytest.approx(roc_auc_score(pairs.same_p, score_p))
    for one in found.values():
        value, low, high = one.interval()
        assert low <= value <= high
        assert len(one.draws) == 300
        assert len(one.left_out) == 24
    again = v.PersonBootstrap(pairs, seed=0, draws=300).measure(score_p, folded, fars=(0.1,))
    assert found[v.AUC].minus(again[v.AUC]).interval() == (0, 0, 0)


def test_leaving_out_a_person_leaves_out_all_pairs_with_them() -> None:
    pairs, score_p = pairs_of(12, folds=2)
    found = v.PersonBootstrap(pairs, seed=0, draws=5).measure(
        score_p, v.cross_validated_accuracy(score_p, pairs), fars=()
    )
    without = ~(pairs.person_p2 == 3).any(1)
    expected = roc_auc_score(pairs.same_p[without], score_p[without])
    assert found[v.AUC].left_out[3] == pytest.approx(expected)


def test_a_paired_difference_is_narrower_than_what_the_two_intervals_suggest() -> None:
    pairs, score_p = pairs_of(30)
    better = score_p + 0.3 * pairs.same_p
    bootstrap = v.PersonBootstrap(pairs, seed=0, draws=400)
    one, other = (
        bootstrap.measure(s, v.cross_validated_accuracy(s, pairs), fars=())[v.AUC] for s in (better, score_p)
    )
    _, low, high = one.minus(other).interval()
    assert low > 0
    assert high - low < (other.interval().high - other.interval().low)
    assert v.p_value(one.minus(other)) <= 2 / 401 + 1e-9


def test_intervals_over_people_cover_the_truth_about_as_often_as_they_say() -> None:
    truth, hits, repeats = norm.cdf(1 / np.sqrt(2)), 0, 40
    for seed in range(repeats):
        random = np.random.default_rng(1000 + seed)
        pairs, _ = pairs_of(40, folds=10, seed=seed)
        own = random.normal(scale=0.5, size=40)  # what a person adds to all pairs with them
        noise = random.normal(scale=np.sqrt(1 - 0.25), size=len(pairs.same_p))
        theirs = own[pairs.person_p2].sum(1) / np.where(pairs.same_p, 2, np.sqrt(2))
        score_p = pairs.same_p + noise + theirs
        found = v.PersonBootstrap(pairs, seed=seed, draws=200).measure(
            score_p, v.cross_validated_accuracy(score_p, pairs), fars=()
        )
        _, low, high = found[v.AUC].interval()
        hits += low <= truth <= high
    assert hits >= 0.8 * repeats  # pairs taken for independent would come to far less


def test_the_band_of_a_curve_holds_the_curve() -> None:
    pairs, score_p = pairs_of(24)
    far_g = v.grid_of_far(int((~pairs.same_p).sum()))
    low, high = v.PersonBootstrap(pairs, seed=0, draws=200).curve_band(score_p, far_g)
    tar = v.points(score_p, pairs.same_p, far_g)["tar"]
    assert (np.diff(tar) >= 0).all()
    inside = (low - 0.02 <= tar) & (tar <= high + 0.02)
    assert inside.mean() > 0.97
    assert far_g[0] == 0
    assert far_g[-1] == 1


def test_ranks_count_who_stands_above_and_ties_half() -> None:
    score_nc = np.array([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5], [0.3, 0.3, 0.3]])
    assert v.true_class_ranks(score_nc, np.array([0, 1, 2])).tolist() == [1, 3, 2]


def test_shares_over_people_are_paired() -> None:
    random = np.random.default_rng(0)
    person_n = np.repeat(np.arange(20), 5)
    hit_n = random.random(100) < 0.8
    one, other = v.hit_rate_by_person(np.stack([hit_n, hit_n]), person_n, seed=0, draws=200)
    assert float(one.value) == hit_n.mean()
    assert one.minus(other).interval() == (0, 0, 0)
    assert one.interval().low < hit_n.mean() < one.interval().high
