"""Out-of-fold probabilities: nobody is judged by what was learnt from him; and the folds they need."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from trainer.data.split import stratified_folds
from trainer.heads import out_of_fold as out_of_fold_heads
from trainer.heads.out_of_fold import out_of_fold

CLASSES, FOLDS = 3, 4


def clouds(
    rows: int = 160, *, apart: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping clouds of points with their classes and folds."""
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(rows) % CLASSES)
    x = random.normal(size=(CLASSES, 5))[y] * apart + random.normal(size=(rows, 5))
    fold = stratified_folds(y, [""] * rows, count=FOLDS, seed=seed)
    return x * np.array([1, 50, 0.01, 1, 1]) + 7, y, fold


def probabilities(x: np.ndarray, y: np.ndarray, fold: np.ndarray, classes: int = CLASSES) -> np.ndarray:
    return out_of_fold(
        torch.tensor(x), torch.tensor(y), torch.tensor(fold, dtype=torch.int64), classes=classes
    ).numpy()


# --- probabilities ----------------------------------------------------------------------------------


def fitted_apart(x: np.ndarray, y: np.ndarray, fold: np.ndarray, l2: float) -> np.ndarray:
    """scikit-learn, fold by fold, on rows that were standardised together."""
    scaled = (x - x.mean(0)) / x.std(0)
    found = np.zeros((len(y), CLASSES))
    for number in range(FOLDS):
        others = fold != number
        model = LogisticRegression(C=1 / (others.sum() * l2), tol=1e-8, max_iter=2000)
        found[~others] = model.fit(scaled[others], y[others]).predict_proba(scaled[~others])
    return found


@pytest.mark.parametrize("l2", [0.01, 0.1, 1.0])
def test_probabilities_equal_scikit_learns_fitted_fold_by_fold(
    l2: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold_heads, "L2", (l2,))
    x, y, fold = clouds()
    np.testing.assert_allclose(probabilities(x, y, fold), fitted_apart(x, y, fold, l2), atol=6e-3)


@pytest.mark.parametrize("apart", [0.1, 0.5, 2.0])
def test_the_strength_is_the_one_with_the_likeliest_labels(apart: float) -> None:
    x, y, fold = clouds(apart=apart)
    candidates = [fitted_apart(x, y, fold, l2) for l2 in out_of_fold_heads.L2]
    likelihood = [np.log(one[np.arange(len(y)), y]).mean() for one in candidates]
    best = candidates[int(np.argmax(likelihood))]
    np.testing.assert_allclose(probabilities(x, y, fold), best, atol=6e-3)


def test_probabilities_sum_to_one_and_are_the_same_again() -> None:
    x, y, fold = clouds()
    found = probabilities(x, y, fold)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_array_equal(found, probabilities(x, y, fold))


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_labels_of_a_fold_do_not_change_its_own_probabilities(
    l2: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold_heads, "L2", (l2,))
    x, y, fold = clouds()
    mine = fold == 2
    before = probabilities(x, y, fold)
    after = probabilities(x, np.where(mine, (y + 1) % CLASSES, y), fold)
    np.testing.assert_allclose(after[mine], before[mine], atol=1e-6)
    assert np.abs(after[~mine] - before[~mine]).max() > 0.05


def test_a_rows_own_label_can_at_most_choose_another_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strength is chosen by all labels together; no regression that judges a row has seen its label."""
    x, y, fold = clouds()
    rows = range(0, len(y), 8)
    found = []
    for row in rows:
        changed = y.copy()
        changed[row] = (y[row] + 1) % CLASSES
        found.append(probabilities(x, changed, fold)[row])
    candidates, strengths = [], out_of_fold_heads.L2
    for l2 in strengths:
        monkeypatch.setattr(out_of_fold_heads, "L2", (l2,))
        candidates.append(probabilities(x, y, fold)[rows])
    apart = np.abs(np.stack(candidates) - np.array(found)).max(2)  # [strengths, rows]
    np.testing.assert_allclose(apart.min(0), 0, atol=1e-6)


def test_rows_of_a_class_that_no_other_fold_has_get_no_probability() -> None:
    x, y, fold = clouds()
    lonely = np.flatnonzero(fold == 1)[:3]
    y[lonely] = CLASSES
    found = probabilities(x, y, fold, classes=CLASSES + 1)
    assert np.isnan(found[lonely]).all()
    assert np.isfinite(np.delete(found, lonely, axis=0)).all()


@pytest.mark.parametrize("apart", [0.5, 1.0])
def test_rows_that_nobody_could_learn_do_not_choose_the_strength(
    apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, fold = clouds(apart=apart)
    y[np.flatnonzero(fold == 1)[:12]] = CLASSES
    seen = y < CLASSES
    found = probabilities(x, y, fold, classes=CLASSES + 1)[seen]
    candidates, strengths = [], out_of_fold_heads.L2
    for l2 in strengths:
        monkeypatch.setattr(out_of_fold_heads, "L2", (l2,))
        candidates.append(probabilities(x, y, fold, classes=CLASSES + 1)[seen])
    likelihood = [np.log(one[np.arange(seen.sum()), y[seen]]).mean() for one in candidates]
    np.testing.assert_allclose(found, candidates[int(np.argmax(likelihood))], atol=1e-6)


def test_wrong_labels_that_were_planted_are_improbable() -> None:
    x, y, fold = clouds(600, apart=2.5)
    random = np.random.default_rng(1)
    wrong = random.random(len(y)) < 0.1
    given_label = np.where(wrong, (y + random.integers(1, CLASSES, size=len(y))) % CLASSES, y)
    own = probabilities(x, given_label, fold)[np.arange(len(y)), given_label]
    assert roc_auc_score(wrong, -own) > 0.95
    assert np.median(own[wrong]) < 0.1 < 0.5 < np.median(own[~wrong])


def test_labels_of_chance_are_judged_no_better_than_by_chance() -> None:
    """In fold, a regression on 100 features would have learnt its 120 rows by heart."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(120, 100)), np.arange(120) % CLASSES
    found = probabilities(x, y, stratified_folds(y, [""] * 120, count=FOLDS, seed=0))
    assert (found.argmax(1) == y).mean() < 0.5


def test_copies_across_folds_betray_a_wrong_label_and_copies_in_one_fold_do_not() -> None:
    """Why copies of a row belong into one fold."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 100)), np.arange(60) % CLASSES
    twice_x, twice_y, kin = np.r_[x, x], np.r_[y, y], [f"row{i}" for i in range(60)] * 2
    hit = {}
    for name, group in (("divided", [""] * 120), ("together", kin)):
        found = probabilities(twice_x, twice_y, stratified_folds(twice_y, group, count=FOLDS, seed=0))
        hit[name] = (found.argmax(1) == twice_y).mean()
    assert hit["divided"] > 0.6
    assert hit["together"] < 0.5


def test_float32_and_a_feature_that_never_changes_are_fine() -> None:
    x, y, fold = clouds()
    plain = probabilities(x, y, fold)
    found = probabilities(np.c_[x, np.full(len(x), 3.0)].astype(np.float32), y, fold)
    np.testing.assert_allclose(found, plain, atol=1e-2)


# --- folds ------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(20, 120),
    classes=st.integers(2, 5),
    count=st.integers(2, 6),
)
def test_folds_never_divide_a_group_and_are_the_same_again(
    seed: int, rows: int, classes: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    label = random.integers(classes, size=rows)
    group = [random.choice(["", *(f"g{i}" for i in range(rows // 3))]) for _ in range(rows)]
    found = stratified_folds(label, group, count=count, seed=seed)
    assert found.dtype == np.int64
    assert set(found) <= set(range(count))
    for name in set(group) - {""}:
        assert len(set(found[np.array(group) == name])) == 1
    np.testing.assert_array_equal(found, stratified_folds(label, group, count=count, seed=seed))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(20, 200), count=st.integers(2, 6))
def test_folds_spread_every_class_evenly(seed: int, rows: int, count: int) -> None:
    random = np.random.default_rng(seed)
    label = np.r_[np.zeros(count, dtype=int), random.choice(4, rows, p=[0.55, 0.3, 0.1, 0.05])]
    found = stratified_folds(label, [""] * len(label), count=count, seed=seed)
    assert set(found) == set(range(count))
    for one in np.unique(label):
        per_fold = np.bincount(found[label == one], minlength=count)
        assert per_fold.max() - per_fold.min() <= 1


def test_another_seed_draws_other_folds() -> None:
    label = np.arange(60) % 3
    one, other = (stratified_folds(label, [""] * 60, count=5, seed=seed) for seed in (0, 1))
    assert (one != other).any()


@pytest.mark.parametrize(("rows_of_largest", "parts"), [(2, 2), (3, 3), (9, 5)])
def test_there_are_no_more_folds_than_rows_of_the_largest_class(rows_of_largest: int, parts: int) -> None:
    label = np.array([0] * rows_of_largest + [1, 2])
    assert set(stratified_folds(label, [""] * len(label), count=5, seed=0)) == set(range(parts))


def test_rows_that_are_all_of_a_class_of_their_own_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="n_splits"):
        stratified_folds(np.arange(6), [""] * 6, count=5, seed=0)
