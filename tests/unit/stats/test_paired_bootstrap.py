"""Effects between arms against scikit-learn, SciPy, exhaustive enumeration and planted truths."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from trainer.stats.paired_bootstrap import (
    AUROC,
    PairedBootstrap,
    PredictionSet,
    Resampled,
    auroc,
    bca,
    f1_macro_per_seed,
    holm,
    interval_beyond_optimism,
    selection_optimism,
    share_interval,
    swap_test,
)
from trainer.stats.units import numbered

# --- metrics --------------------------------------------------------------------------------------


@st.composite
def answers(draw: st.DrawFn) -> PredictionSet:
    """Few rows, of classes that need not all occur among labels or among answers."""
    classes, rows, arms, seeds = draw(
        st.tuples(st.integers(2, 5), st.integers(1, 25), *[st.integers(1, 3)] * 2)
    )
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    label = random.choice(draw(st.lists(st.integers(0, classes - 1), min_size=1)), rows)
    given_to = random.choice(draw(st.lists(st.integers(0, classes - 1), min_size=1)), (arms, seeds, rows))
    return PredictionSet(label, np.where(random.random(given_to.shape) < 0.5, label, given_to), classes)


def mean_of_seeds(metric: object, label_n: np.ndarray, pred_sn: np.ndarray, **options: object) -> np.ndarray:
    return np.mean([metric(label_n, pred_n, **options) for pred_n in pred_sn], axis=0)  # type: ignore[operator]


@settings(max_examples=30)
@given(given_answers=answers())
def test_metrics_equal_scikit_learns(given_answers: PredictionSet) -> None:
    label, of_all = given_answers.label_n, {"labels": range(given_answers.classes), "average": None}
    bootstrap = PairedBootstrap(given_answers, seed=0, draws=2)
    for arm, pred_sn in enumerate(given_answers.pred_asn):
        found = bootstrap.arm(arm)
        expected = {
            "f1_macro": mean_of_seeds(f1_score, label, pred_sn, average="macro", zero_division=0),
            "accuracy": mean_of_seeds(accuracy_score, label, pred_sn),
            "f1": mean_of_seeds(f1_score, label, pred_sn, zero_division=0, **of_all),
            "recall": mean_of_seeds(recall_score, label, pred_sn, zero_division=0, **of_all),
        }
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].value, value, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(
            f1_macro_per_seed(given_answers)[arm].mean(), expected["f1_macro"], atol=1e-6
        )


@settings(max_examples=15)
@given(given_answers=answers())
def test_metrics_with_a_row_left_out_equal_leaving_it_out(given_answers: PredictionSet) -> None:
    label, (pred_sn, *_) = given_answers.label_n, given_answers.pred_asn
    of_all = {"labels": range(given_answers.classes), "average": None}
    found = PairedBootstrap(given_answers, seed=0, draws=2).arm(0)
    if len(label) == 1:
        assert found["f1_macro"].left_out.shape == (1,)
        return
    for row in range(len(label)):
        others, answered = np.delete(label, row), np.delete(pred_sn, row, axis=1)
        expected = {
            "f1_macro": mean_of_seeds(f1_score, others, answered, average="macro", zero_division=0),
            "accuracy": mean_of_seeds(accuracy_score, others, answered),
            "f1": mean_of_seeds(f1_score, others, answered, zero_division=0, **of_all),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].left_out[row], value, atol=1e-6, err_msg=name)


def test_a_draw_equals_the_metric_of_the_rows_and_the_seeds_drawn() -> None:
    random = np.random.default_rng(0)
    label = random.integers(2, size=40)
    score = np.clip(label * 0.2 + random.random((1, 3, 40)) * 0.8, 0, 1)
    pred = (score > [[[0.3], [0.5], [0.7]]]).astype(int)  # seeds that differ much
    drawn = PairedBootstrap(PredictionSet(label, pred, 2, score), seed=5, draws=20).arm(0)
    again = np.random.default_rng(5)
    weight_dn = again.multinomial(40, np.full(40, 1 / 40), size=20)
    weight_ds = again.multinomial(3, np.full(3, 1 / 3), size=20)
    assert (weight_ds != 1).any()
    for draw, (weight_n, weight_s) in enumerate(zip(weight_dn, weight_ds, strict=True)):
        rows, seeds = np.repeat(np.arange(40), weight_n), np.repeat(np.arange(3), weight_s)
        actual, answered = label[rows], pred[0, seeds][:, rows]
        f1 = mean_of_seeds(f1_score, actual, answered, average="macro", zero_division=0)
        assert drawn["f1_macro"].draws[draw] == pytest.approx(f1, abs=1e-6)
        f1_c = mean_of_seeds(f1_score, actual, answered, average=None, labels=[0, 1], zero_division=0)
        np.testing.assert_allclose(drawn["f1"].draws[draw], f1_c, atol=1e-6)
        accuracy = mean_of_seeds(accuracy_score, actual, answered)
        assert drawn["accuracy"].draws[draw] == pytest.approx(accuracy, abs=1e-6)
        area = mean_of_seeds(roc_auc_score, actual, score[0, seeds][:, rows])
        assert drawn[AUROC].draws[draw] == pytest.approx(area)


def test_a_difference_keeps_the_pairing_and_a_class_can_be_taken_alone() -> None:
    random = np.random.default_rng(3)
    label = random.integers(3, size=60)
    pred = np.where(random.random((2, 4, 60)) < 0.6, label, random.integers(3, size=(2, 4, 60)))
    bootstrap = PairedBootstrap(PredictionSet(label, pred, 3), seed=0, draws=50)
    one, other = bootstrap.arm(0), bootstrap.arm(1)
    same = one["f1"].minus(bootstrap.arm(0)["f1"])
    assert not any(values.any() for values in same)
    apart = one["f1"].minus(other["f1"]).of_class(2)
    np.testing.assert_allclose(apart.draws, one["f1"].draws[:, 2] - other["f1"].draws[:, 2])
    assert apart.value == one["f1"].value[2] - other["f1"].value[2]


# --- area under the ROC curve -----------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), rows=st.integers(5, 30), levels=st.sampled_from([2, 5, 1000]))
def test_auroc_its_draws_and_its_left_out_rows_equal_scikit_learns(seed: int, rows: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    positive = random.permutation(np.arange(rows) % 3 == 0)
    score = random.integers(levels, size=rows) / levels
    weight = random.multinomial(rows, np.full(rows, 1 / rows), size=10)
    found = auroc(score, positive, weight)
    assert found.value == pytest.approx(roc_auc_score(positive, score))
    for weight_n, drawn in zip(weight, found.draws, strict=True):
        if len(set(positive[weight_n > 0])) == 2:
            assert drawn == pytest.approx(roc_auc_score(positive, score, sample_weight=weight_n))
        else:
            assert np.isnan(drawn)
    left_out = [roc_auc_score(np.delete(positive, row), np.delete(score, row)) for row in range(rows)]
    np.testing.assert_allclose(found.left_out, left_out)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(6, 40),
    groups=st.integers(2, 12),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_auroc_with_a_group_left_out_equals_leaving_out_its_rows(
    seed: int, rows: int, groups: int, levels: int
) -> None:
    random = np.random.default_rng(seed)
    positive = random.permutation(np.arange(rows) % 3 == 0)
    score = random.integers(levels, size=rows) / levels
    units = numbered(random.integers(groups, size=rows), rows)
    found = auroc(score, positive, np.ones((1, units.count)), units)
    for unit, left_out in enumerate(found.left_out):
        rest = units.of_n != unit
        if len(set(positive[rest])) == 2:
            assert left_out == pytest.approx(roc_auc_score(positive[rest], score[rest]))
        else:
            assert np.isnan(left_out)


def test_auroc_of_one_kind_of_row_is_no_number() -> None:
    found = auroc(np.array([0.1, 0.2, 0.3]), np.ones(3, dtype=bool), np.ones((2, 3)))
    assert np.isnan(found.value)
    assert np.isnan(found.draws).all()
    alone = auroc(np.array([0.1, 0.2, 0.3]), np.array([True, False, False]), np.ones((2, 3)))
    assert np.isnan(alone.left_out[0])
    assert alone.value == 0


@pytest.mark.filterwarnings("error")
@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 80), flip=st.booleans())
def test_an_only_row_of_its_kind_leaves_the_interval_of_auroc_finite(
    seed: int, rows: int, flip: bool
) -> None:
    random = np.random.default_rng(seed)
    positive = (np.arange(rows) == 0) ^ flip
    weight = random.multinomial(rows, np.full(rows, 1 / rows), size=200)
    found = auroc(random.integers(6, size=rows) / 5, positive, weight)
    assert np.isnan(found.left_out[0])
    assert np.isfinite(found.left_out[1:]).all()
    interval = found.interval()
    assert np.isfinite(interval).all()
    assert interval.low <= interval.high


def test_scores_of_two_classes_give_the_mean_auroc_of_the_seeds() -> None:
    random = np.random.default_rng(1)
    label = np.arange(30) % 2
    score = np.clip(label * 0.2 + random.random((1, 3, 30)) * 0.8, 0, 1)
    found = PairedBootstrap(PredictionSet(label, (score > 0.5).astype(int), 2, score), seed=0, draws=40).arm(
        0
    )[AUROC]
    assert found.value == pytest.approx(np.mean([roc_auc_score(label, one) for one in score[0]]))
    assert found.interval().low < found.value < found.interval().high


# --- intervals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "rows"), [(0.7, 80), (0.93, 60), (0.5, 200)])
def test_bca_agrees_with_scipys(share: float, rows: int) -> None:
    right = np.arange(rows) < round(share * rows)
    label = np.zeros(rows, dtype=np.int64)
    one_seed = PredictionSet(label, np.where(right, 0, 1)[None, None], 2)
    found = PairedBootstrap(one_seed, seed=0, draws=20_000).arm(0)["accuracy"].interval()
    reference = stats.bootstrap(
        (right.astype(float),),
        np.mean,
        method="BCa",
        n_resamples=20_000,
        random_state=np.random.default_rng(1),
    ).confidence_interval
    assert found.value == pytest.approx(right.mean())
    # accuracy moves in steps of one row; where a quantile falls on the edge of a step, either side is right
    assert found.low == pytest.approx(reference.low, abs=max(0.01, 1.01 / rows))
    assert found.high == pytest.approx(reference.high, abs=max(0.01, 1.01 / rows))


@pytest.mark.parametrize("statistic", [np.mean, np.var])  # the variance is biased, too
def test_bca_agrees_with_scipys_where_the_statistic_is_smooth_and_skewed(
    statistic: Callable[..., np.ndarray],
) -> None:
    value = np.random.default_rng(2).gamma(3, size=30)
    drawn = np.random.default_rng(3).choice(value, (20_000, 30))
    left_out = np.array([statistic(np.delete(value, row)) for row in range(30)])
    found = bca(Resampled(statistic(value), statistic(drawn, axis=1), left_out), level=0.9)
    reference = stats.bootstrap(
        (value,),
        statistic,
        confidence_level=0.9,
        n_resamples=20_000,
        random_state=np.random.default_rng(4),
    ).confidence_interval
    reach = reference.high - reference.low
    assert found.low == pytest.approx(reference.low, abs=0.02 * reach)
    assert found.high == pytest.approx(reference.high, abs=0.02 * reach)


def covered_and_width(seeds: int, *, agree: float, trials: int = 200) -> tuple[float, float]:
    """Share of intervals that cover the truth, and the draws' standard deviation over the true one.

    The truth is no difference in macro-F1: two arms are right equally often. Rows and seeds are new in each
    trial; with a chance of ``agree`` a seed answers a row as the arm's others do, else by itself.
    """
    random = np.random.default_rng(7)
    covered, values, spreads = 0, [], []
    for trial in range(trials):
        label, chance_n = random.integers(2, size=120), 0.5 + 0.45 * random.random(120)
        common, own = (random.random((2, s, 120)) < chance_n for s in (1, seeds))
        right = np.where(random.random((2, seeds, 120)) < agree, common, own)
        bootstrap = PairedBootstrap(
            PredictionSet(label, np.where(right, label, 1 - label), 2), seed=trial, draws=400
        )
        apart = bootstrap.arm(0)["f1_macro"].minus(bootstrap.arm(1)["f1_macro"])
        found = apart.interval()
        covered += found.low <= 0 <= found.high
        values.append(float(apart.value))
        spreads.append(apart.draws.std())
    return covered / trials, float(np.mean(spreads) / np.std(values))


@pytest.mark.parametrize(("seeds", "agree"), [(1, 0.0), (3, 0.9)])
def test_bca_covers_the_truth_about_as_often_as_it_says(seeds: int, agree: float) -> None:
    covered, width = covered_and_width(seeds, agree=agree)
    assert 0.9 <= covered <= 0.99
    assert width == pytest.approx(1, abs=0.12)


def test_intervals_are_wider_than_they_must_be_where_seeds_disagree_and_never_narrower() -> None:
    """What is random in each row of each seed is counted with rows, with seeds, and with both: with S seeds
    3 - 2/S times its variance."""
    covered, width = covered_and_width(3, agree=0.0)
    assert covered >= 0.95
    assert width == pytest.approx(np.sqrt(3 - 2 / 3), rel=0.12)


def test_an_interval_where_nothing_varies_is_a_point() -> None:
    assert bca(Resampled(np.array(0.25), np.full(10, 0.25), np.full(4, 0.25))) == (0.25, 0.25, 0.25)
    nothing = bca(Resampled(np.array(np.nan), np.full(10, np.nan), np.full(4, np.nan)))
    assert np.isnan(nothing).all()


def test_draws_and_rows_that_are_no_number_are_left_out() -> None:
    random = np.random.default_rng(0)
    draws, left_out = random.normal(size=500), random.normal(size=50) / 50
    whole = bca(Resampled(np.array(0.1), draws, left_out))
    some = bca(Resampled(np.array(0.1), np.r_[draws, np.nan, np.nan], left_out))
    assert some == whole
    assert bca(Resampled(np.array(0.1), draws, np.r_[left_out, np.nan])) == whole
    skewed = bca(Resampled(np.array(0.1), draws, np.r_[left_out, np.nan, -1.0]))
    assert abs(skewed.low - whole.low) > 0.1  # the acceleration of the rows that are known still counts


@pytest.mark.parametrize("seeds", [2, 3, 5, 7])
@pytest.mark.parametrize(("right", "rows"), [(16, 20), (36, 40), (30, 60)])
def test_seeds_that_answer_alike_give_the_interval_of_one(right: int, rows: int, seeds: int) -> None:
    """Many draws equal the value here; rounding must not decide on which side of it they count."""
    label = np.zeros(rows, dtype=np.int64)
    pred = np.where(np.arange(rows) < right, 0, 1)[None, None]
    one = PairedBootstrap(PredictionSet(label, pred, 2), seed=0).arm(0)
    several = PairedBootstrap(PredictionSet(label, np.repeat(pred, seeds, axis=1), 2), seed=0).arm(0)
    for name in ("accuracy", "f1_macro"):
        assert several[name].interval() == pytest.approx(one[name].interval(), abs=1e-6)


# --- the swap test ----------------------------------------------------------------------------------


def enumerated(given_answers: PredictionSet) -> float:
    """Share of all 2^N ways to swap rows in which macro-F1 differs at least as much as it does."""
    label, (one, other) = given_answers.label_n, given_answers.pred_asn

    def difference(swapped_n: np.ndarray) -> float:
        pairs = np.where(swapped_n, other, one), np.where(swapped_n, one, other)
        f1 = [mean_of_seeds(f1_score, label, sn, average="macro", zero_division=0) for sn in pairs]
        return abs(float(f1[0] - f1[1]))

    ways = [np.array(way) for way in itertools.product([False, True], repeat=len(label))]
    observed = difference(ways[0])
    return float(np.mean([difference(way) >= observed - 1e-7 for way in ways]))


@pytest.mark.parametrize("seed", range(4))
def test_swapping_at_random_equals_swapping_in_all_ways(seed: int) -> None:
    random = np.random.default_rng(seed)
    label = random.integers(3, size=6)
    pred = np.where(random.random((2, 2, 6)) < [[[0.8]], [[0.4]]], label, random.integers(3, size=(2, 2, 6)))
    few = PredictionSet(label, pred, 3)
    exact = enumerated(few)
    error = np.sqrt(exact * (1 - exact) / 10_000)
    assert swap_test(few, 0, 1, seed=0).p == pytest.approx(exact, abs=4 * error + 2e-4)


def test_arms_that_answer_alike_have_a_p_value_of_one() -> None:
    random = np.random.default_rng(0)
    label, pred = random.integers(4, size=30), random.integers(4, size=(1, 3, 30))
    found = swap_test(PredictionSet(label, np.repeat(pred, 2, axis=0), 4), 0, 1, seed=0)
    assert found.p == 1.0
    np.testing.assert_array_equal(found.p_c, np.ones(4))


def test_a_planted_difference_has_a_tiny_p_value_in_its_class_alone() -> None:
    label = np.arange(300) % 3
    one, other = label.copy(), label.copy()
    other[(label == 2) & (np.arange(300) % 2 == 0)] = 1  # half of class 2 is called class 1
    both = PredictionSet(label, np.stack([one, other])[:, None], 3)
    found = swap_test(both, 0, 1, seed=0)
    assert found.p == pytest.approx(1 / 10_001)
    np.testing.assert_allclose(found.p_c, [1, 1 / 10_001, 1 / 10_001])


def test_the_order_of_the_arms_does_not_matter() -> None:
    random = np.random.default_rng(4)
    label = random.integers(3, size=50)
    both = PredictionSet(
        label, np.where(random.random((2, 3, 50)) < 0.7, label, random.integers(3, size=50)), 3
    )
    there, back = swap_test(both, 0, 1, seed=9), swap_test(both, 1, 0, seed=9)
    assert there.p == back.p
    np.testing.assert_array_equal(there.p_c, back.p_c)


def test_arms_that_are_alike_are_rarely_told_apart() -> None:
    """300 pairs of equally good arms: 5 % of p-values below 0.05, give or take 3.5 standard errors."""
    random = np.random.default_rng(11)
    p = []
    for trial in range(300):
        label = random.integers(3, size=60)
        pred = np.where(random.random((2, 2, 60)) < 0.7, label, random.integers(3, size=(2, 2, 60)))
        p.append(swap_test(PredictionSet(label, pred, 3), 0, 1, seed=trial, swaps=400).p)
    assert 0.006 < np.mean(np.array(p) < 0.05) < 0.095
    assert 0.4 < np.mean(p) < 0.6


def test_many_rows_are_swapped_in_pieces_and_the_same_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    label = random.integers(3, size=80)
    both = PredictionSet(
        label, np.where(random.random((2, 3, 80)) < 0.7, label, random.integers(3, size=80)), 3
    )
    whole = swap_test(both, 0, 1, seed=9, swaps=2000)
    monkeypatch.setattr("trainer.stats.paired_bootstrap.CELLS", 5_000)
    assert swap_test(both, 0, 1, seed=9, swaps=2000).p == pytest.approx(whole.p, abs=0.05)


# --- several comparisons ----------------------------------------------------------------------------


def test_holm_on_an_example_worked_by_hand() -> None:
    # ordered 0.005 · 4, 0.01 · 3, 0.03 · 2, 0.04 · 1: the last may not be smaller than the one before it
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.5])), [1, 1])
    assert len(holm(np.array([]))) == 0


def test_holm_leaves_out_what_is_no_number() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.04])), [0.02, np.nan, 0.04])
    np.testing.assert_allclose(
        holm(np.array([0.01, np.nan, 0.04]), np.array([1.0, 7.0, 1.0])), [0.02, np.nan, 0.04]
    )


P_VALUES = st.lists(st.floats(1e-6, 1), min_size=1, max_size=8)


@given(p=P_VALUES, data=st.data())
def test_holm_does_not_depend_on_the_order(p: list[float], data: st.DataObject) -> None:
    weight = np.array(data.draw(st.lists(st.floats(0.1, 5), min_size=len(p), max_size=len(p))))
    order = np.array(data.draw(st.permutations(range(len(p)))))
    np.testing.assert_allclose(holm(np.array(p)[order]), holm(np.array(p))[order])
    np.testing.assert_allclose(holm(np.array(p)[order], weight[order]), holm(np.array(p), weight)[order])


@given(p=P_VALUES)
def test_equal_weights_are_no_weights_whatever_they_sum_to(p: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p), np.full(len(p), 0.3)), holm(np.array(p)))
    assert (holm(np.array(p)) >= np.array(p)).all()


@given(p=st.floats(1e-6, 0.01), rest=st.lists(st.floats(0.1, 1), min_size=1, max_size=6))
def test_half_of_the_weight_on_the_smallest_doubles_it(p: float, rest: list[float]) -> None:
    weight = np.array([0.5, *np.full(len(rest), 0.5 / len(rest))])
    adjusted = holm(np.array([p, *rest]), weight)
    assert adjusted[0] == pytest.approx(2 * p)
    assert (adjusted[1:] >= adjusted[0]).all()


def test_holm_with_weights_keeps_false_alarms_below_five_per_cent() -> None:
    p = np.random.default_rng(0).random((4000, 5))
    weight = np.array([0.5, 0.125, 0.125, 0.125, 0.125])
    assert np.mean([(holm(one, weight) < 0.05).any() for one in p]) == pytest.approx(0.05, abs=0.012)


# --- luck -------------------------------------------------------------------------------------------


def simulated(luck: float, *, seeds: int, random: np.random.Generator) -> list:
    """Filters that keep 20 to 90 % of 1000 rows; ``luck`` is the standard deviation where half is kept."""
    own_noise, found = 0.01, []
    for kept in (200, 350, 500, 700, 900):
        spread = luck * np.sqrt(1000 / kept - 1)
        drawn = random.normal(size=seeds) * own_noise + random.normal(size=seeds) * spread
        found.append((kept, drawn, random.normal(size=seeds) * own_noise))
    return found


def test_luck_that_was_planted_is_found_and_grows_as_fewer_rows_are_kept() -> None:
    luck = selection_optimism(simulated(0.02, seeds=400, random=np.random.default_rng(0)), rows=1000)
    assert luck(500) == pytest.approx(0.02, rel=0.1)
    assert luck(200) == pytest.approx(2 * luck(500))
    assert luck(1000) == 0


def test_luck_is_right_on_average_with_few_seeds() -> None:
    random = np.random.default_rng(1)
    variance = [
        selection_optimism(simulated(0.02, seeds=4, random=random), rows=1000)(500) ** 2 for _ in range(300)
    ]
    assert np.mean(variance) == pytest.approx(0.02**2, rel=0.15)


def test_no_luck_is_never_below_zero_and_nothing_known_is_none() -> None:
    steady = selection_optimism([(500, np.zeros(5), np.arange(5.0))], rows=1000)
    assert steady(300) == 0
    assert selection_optimism([], rows=1000)(300) == 0
    assert selection_optimism([(1000, np.arange(5.0), np.zeros(5))], rows=1000)(300) == 0


def test_luck_widens_the_interval_and_weakens_the_p_value() -> None:
    draws = np.random.default_rng(0).normal(0.03, 0.01, size=4000)
    difference = Resampled(np.array(0.03), draws, np.zeros(10))
    found = [interval_beyond_optimism(difference, luck=luck) for luck in (0.0, 0.01, 0.03, 0.1)]
    widths = [interval.high - interval.low for interval, _ in found]
    p_values = [p for _, p in found]
    assert widths == sorted(set(widths))
    assert p_values == sorted(set(p_values))
    assert widths[2] == pytest.approx(2 * 1.96 * np.sqrt(0.01**2 + 0.03**2), rel=0.03)
    assert p_values[0] == pytest.approx(2 * stats.norm.sf(3), rel=0.2)
    for interval, p in found:  # both say the same
        assert (interval.low <= 0 <= interval.high) == (p >= 0.05)


def test_without_any_spread_only_no_difference_is_likely() -> None:
    still = np.zeros(10)
    assert interval_beyond_optimism(Resampled(np.array(0.0), still, still), luck=0)[1] == 1.0
    assert interval_beyond_optimism(Resampled(np.array(0.2), still + 0.2, still), luck=0)[1] == 0.0


def test_the_interval_of_an_arm_that_has_all_rows_right_has_a_width() -> None:
    label_n = np.arange(12) % 3
    answers = PredictionSet(label_n, np.stack([label_n[None], label_n[None]]), 3)
    arm = PairedBootstrap(answers, seed=0).arm(0)
    assert share_interval(arm["accuracy"]) == pytest.approx((1, 0.758, 1), abs=1e-3)
    assert share_interval(arm["f1_macro"], 6).low == pytest.approx(0.610, abs=1e-3)
    assert arm["f1_macro"].minus(arm["f1_macro"]).interval() == (0, 0, 0)


def test_a_gain_is_the_paired_difference_as_a_share_of_the_other() -> None:
    one = Resampled(np.asarray(0.6), np.array([0.6, 0.9, 0.5]), np.array([0.6, 0.3]))
    other = Resampled(np.asarray(0.5), np.array([0.4, 0.6, 0.0]), np.array([0.5, 0.3]))
    gain = one.gain_over(other)
    assert gain.value == pytest.approx(0.2)
    assert gain.draws == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)
    assert gain.left_out == pytest.approx([0.2, 0.0])
