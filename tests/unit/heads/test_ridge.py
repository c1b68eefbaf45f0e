"""Ridge regression leaves one row out as a fit without it would, and closed forms classify what is plain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from trainer.heads.closed_form import CHOICES, ClosedForm, fit
from trainer.heads.nearest import NearestMean, NearestRows
from trainer.heads.ridge import STRENGTHS, RidgePath, ridge_head

CLASSES = 3


def clouds(rows: int = 40, features: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    y = random.integers(CLASSES, size=rows)
    x = random.normal(size=(rows, features)) + 2 * random.normal(size=(CLASSES, features))[y] + 5
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("features", [7, 60])  # fewer and more than rows
def test_a_row_left_out_is_given_what_a_fit_without_it_gives(features: int) -> None:
    x, y = clouds(features=features)
    target = torch.nn.functional.one_hot(y, CLASSES).double()
    path = RidgePath.of(x, target, torch.ones(len(x)))
    for penalty in (0.01, 1.0, 300.0):
        whole = Ridge(alpha=penalty).fit(x, target)
        np.testing.assert_allclose(path.head(penalty / len(x))(x), whole.predict(x), atol=1e-8)
        left_out = path.left_out(x, target, penalty / len(x))
        for row in range(len(x)):
            rest = np.arange(len(x)) != row
            brute = Ridge(alpha=penalty).fit(x[rest], target[rest]).predict(x[row : row + 1])[0]
            np.testing.assert_allclose(left_out[row], brute, atol=1e-8)


@pytest.mark.parametrize("features", [7, 60])
def test_a_row_counts_as_often_as_it_weighs(features: int) -> None:
    x, y = clouds(features=features)
    target = torch.nn.functional.one_hot(y, CLASSES).double()
    often = torch.from_numpy(np.random.default_rng(2).integers(4, size=len(x)))  # 0: left out
    rows = torch.repeat_interleave(torch.arange(len(x)), often)
    weighted = RidgePath.of(x, target, often).head(0.1)
    repeated = RidgePath.of(x[rows], target[rows], torch.ones(len(rows))).head(0.1)
    for ours, theirs in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_the_strength_with_the_least_error_on_rows_left_out_is_chosen() -> None:
    x, y = clouds(rows=60, features=50)
    _, strength, left_out = ridge_head(x, y, classes=CLASSES)
    assert min(STRENGTHS) < strength < max(STRENGTHS)
    assert float((left_out.argmax(1) == y).double().mean()) > 0.8


def test_with_one_row_per_class_ridge_regression_compares_with_the_rows() -> None:
    x, _ = clouds(rows=CLASSES, features=20)
    head, _, _ = ridge_head(x, torch.arange(CLASSES), classes=CLASSES)
    assert head(x).argmax(1).tolist() == [0, 1, 2]


def test_nearest_rows_and_means_are_those_of_scikit_learn() -> None:
    x, y = clouds()
    unit = torch.nn.functional.normalize(x, dim=1)
    new = torch.nn.functional.normalize(clouds(seed=1)[0], dim=1)
    votes = NearestRows.of(x, y, classes=CLASSES, k=5).score(new)
    theirs = KNeighborsClassifier(5).fit(unit, y).predict_proba(new)
    np.testing.assert_allclose(votes, theirs, atol=2e-3)
    means = NearestMean.of(unit, y, classes=CLASSES)
    directions = torch.nn.functional.normalize(
        torch.from_numpy(NearestCentroid().fit(unit, y).centroids_), dim=1
    )
    np.testing.assert_allclose(means.score(new), new @ directions.T, atol=1e-9)


@pytest.mark.parametrize("kind", list(CHOICES))
@pytest.mark.parametrize("rows", [1, 4])
def test_closed_forms_classify_few_rows_of_well_parted_classes(kind: ClosedForm, rows: int) -> None:
    middle = 10 * torch.eye(CLASSES, 8)
    y = torch.arange(CLASSES).repeat(rows)
    x = middle[y] + 0.1 * torch.from_numpy(np.random.default_rng(0).normal(size=(len(y), 8))).float()
    for head in fit(kind, x, y, CHOICES[kind][:1], CLASSES):
        probabilities = head.probabilities(middle)
        assert bool(torch.isfinite(probabilities).all())
        assert probabilities.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", list(CHOICES))
def test_a_class_without_rows_breaks_nothing(kind: ClosedForm) -> None:
    x, y = clouds()
    for head in fit(kind, x, y, CHOICES[kind], CLASSES + 1):
        logits = head.logits(x)
        assert bool(torch.isfinite(logits).all())
        assert int((logits.argmax(1) == CLASSES).sum()) == 0
