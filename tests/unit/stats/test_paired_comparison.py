"""MethodPairs of methods, few-shot draws and crossings, captions that name their class."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import f1_score

from trainer.data.caption_leakage import mentions_own_class, name_pattern, remove_class_names
from trainer.stats.few_shot import crossing, first_lasting, fitted_scale, nested_choice
from trainer.stats.paired_bootstrap import PredictionSet
from trainer.stats.paired_comparison import PairedComparison, mcnemar

# --- pairs ------------------------------------------------------------------------------------


def answers(rows: int = 200, classes: int = 3) -> PredictionSet:
    """A good method, a bad one, and the good one again; two heads each."""
    random = np.random.default_rng(0)
    label = random.integers(classes, size=rows)
    good, bad = (
        np.where(random.random((2, rows)) < share, label, random.integers(classes, size=(2, rows)))
        for share in (0.8, 0.3)
    )
    return PredictionSet(label, np.stack([good, bad, good]), classes)


def test_a_pair_is_the_difference_of_scikit_learns_scores_and_a_method_differs_from_itself_by_nothing() -> (
    None
):
    given_answers = answers()
    compared = PairedComparison(given_answers, seed=0)
    pair = compared.pair(0, 1)
    scores = [
        np.mean([f1_score(given_answers.label_n, pred, average="macro") for pred in of_method])
        for of_method in given_answers.pred_asn[:2]
    ]
    assert pair.f1_macro.value == pytest.approx(scores[0] - scores[1])
    wide = compared.pair(0, 1, comparisons=10).simultaneous
    assert wide.low < pair.simultaneous.low <= pair.f1_macro.low < pair.f1_macro.high < wide.high
    assert 0 < pair.f1_macro.low < pair.f1_macro.value < pair.f1_macro.high
    assert pair.p < 0.001
    assert len(pair.by_class) == 3
    assert all(one.effect.value == pytest.approx(one.f1 - one.f1_other) for one in pair.by_class)
    same = compared.pair(0, 2)
    assert tuple(same.f1_macro) == (0, 0, 0)
    assert same.p == same.mcnemar.p == 1
    other_way = compared.pair(1, 0)
    assert other_way.accuracy.value == pytest.approx(-pair.accuracy.value)
    assert (other_way.mcnemar.only_one, other_way.mcnemar.only_other) == pair.mcnemar[1::-1]


def test_mcnemar_is_the_binomial_test_of_the_rows_that_differ() -> None:
    right = np.array([True] * 10 + [False] * 4 + [True] * 50)
    other = np.array([False] * 10 + [True] * 4 + [True] * 50)
    found = mcnemar(right, other)
    assert (found.only_one, found.only_other) == (10, 4)
    tail = sum(math.comb(14, k) for k in range(5)) / 2**14
    assert found.p == pytest.approx(2 * tail)


# --- few shots --------------------------------------------------------------------------------


@given(
    label=st.lists(st.integers(0, 3), min_size=1, max_size=60).map(np.array),
    shots=st.sets(st.integers(1, 20), min_size=1, max_size=5).map(sorted),
    draw=st.integers(0, 50),
)
def test_a_draw_has_as_many_rows_of_every_class_as_asked_and_fewer_are_part_of_more(
    label: np.ndarray, shots: list[int], draw: int
) -> None:
    kept_ln = nested_choice(label, classes=4, shots=shots, seed=7, draw=draw)
    available = np.bincount(label, minlength=4)
    for count, kept_n in zip(shots, kept_ln, strict=True):
        assert np.bincount(label[kept_n], minlength=4).tolist() == np.minimum(available, count).tolist()
    assert (kept_ln[:-1] <= kept_ln[1:]).all()
    again = nested_choice(label, classes=4, shots=shots, seed=7, draw=draw)
    assert (again == kept_ln).all()


def test_a_curve_crosses_where_it_stays_ahead_and_not_at_all_where_it_ends_behind() -> None:
    shots = [1, 2, 4, 8]
    curves = np.array(
        [
            [0.1, 0.1, 0.2, 0.3],  # ahead from the first on
            [-0.1, 0.1, 0.2, 0.3],  # half-way, on a scale of doublings, between 1 and 2
            [0.1, -0.1, 0.3, 0.3],  # the lead of the first is lost again: between 2 and 4
            [-0.1, -0.1, -0.1, -0.1],
            [-0.1, -0.1, -0.1, 0.0],
        ]
    )
    found = first_lasting(curves, shots)
    np.testing.assert_allclose(found[:3], [1, 2**0.5, 2**1.25])
    assert math.isinf(found[3])
    assert found[4] == 8


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.floats(0, 0.5))
def test_a_better_head_never_crosses_later(curve: list[float], better: float) -> None:
    both = first_lasting(np.array([curve, np.array(curve) + better]), [1, 2, 4, 8])
    assert both[1] <= both[0] + 1e-9
    assert both[1] >= 1


def test_the_interval_of_a_crossing_may_end_beyond_the_data() -> None:
    value = np.array([-0.2, 0.1])
    draws = np.array([[-0.2, 0.1]] * 90 + [[-0.2, -0.1]] * 10)
    found = crossing(value, draws, [1, 16], low_l=np.array([-0.3, -0.1]), margin=0.05)
    assert 1 < found.shots < 16
    assert found.low == found.shots
    assert math.isinf(found.high)
    assert found.within == pytest.approx(0.9)
    assert math.isinf(found.as_good_from)


@pytest.mark.parametrize(
    ("low", "wanted"),
    [
        ([0.1, 0.1, 0.1], 1),
        ([-0.009, -0.009, 0.1], 1),  # less than the margin below counts as level
        ([-0.01, 0.0, 0.1], 2),
        ([0.1, -0.2, 0.1], 4),  # level must last
        ([0.1, 0.1, -0.2], math.inf),
    ],
)
def test_a_head_is_level_from_where_on_every_lower_end_is_above_the_margin(
    low: list[float], wanted: float
) -> None:
    value = np.array([0.1, 0.1, 0.1])
    found = crossing(value, value[None], [1, 2, 4], low_l=np.array(low), margin=0.01)
    assert found.as_good_from == wanted


def test_the_fitted_scale_makes_the_labels_likeliest() -> None:
    random = np.random.default_rng(0)
    cosine = random.normal(size=(300, 4)) * 0.1
    label = np.array([random.choice(4, p=np.exp(row) / np.exp(row).sum()) for row in 25 * cosine])
    scale = fitted_scale(cosine, label)
    assert 15 < scale < 40

    def loss(factor: float) -> float:
        return -float(log_softmax(factor * cosine, axis=1)[np.arange(300), label].mean())

    assert loss(scale) <= min(loss(scale * 1.1), loss(scale / 1.1))


# --- captions that name their class -----------------------------------------------------------

NAMES = [("cat", "kitten"), ("playing card",), ("road_sign",), ("c++ (logo)",)]


@pytest.mark.parametrize(
    ("caption", "label", "names_it"),
    [
        ("Two cats, sleeping", 0, True),
        ("a KITTEN", 0, True),
        ("category, concatenate", 0, False),
        ("playing-card back", 1, True),
        ("a card", 1, False),
        ("Road  Sign: stop", 2, True),
        ("a cat", 1, False),
        ("c++ (logo), blue", 3, True),
        ("", 0, False),
        ("a cat", -1, False),
    ],
)
def test_a_caption_names_its_class_in_whole_words(caption: str, label: int, names_it: bool) -> None:
    assert mentions_own_class([caption], np.array([label]), NAMES).tolist() == [names_it]


def test_hidden_names_leave_tidy_captions_and_those_of_other_classes_go_too() -> None:
    found = remove_class_names(
        ["Cats, playing card, old", "cat", "a dog , a  bone", "cat and road sign"], NAMES
    )
    assert found == ("old", "", "a dog, a bone", "and")
    assert remove_class_names(["a playing cat card"], NAMES) == ("a",)


@given(st.text(max_size=40), st.sampled_from(NAMES), st.text(max_size=40))
def test_after_hiding_no_caption_names_any_class(before: str, names: tuple[str, ...], after: str) -> None:
    (left,) = remove_class_names([f"{before} {names[0]} {after}"], NAMES)
    assert name_pattern([name for of_class in NAMES for name in of_class]).search(left) is None


def test_without_names_nothing_is_found() -> None:
    assert name_pattern([""]).search("anything") is None
