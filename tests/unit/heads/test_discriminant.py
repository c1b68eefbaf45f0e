"""Discriminants are scikit-learn's, of any rows, and members of a population like other heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from trainer.heads.discriminant import ClassMoments
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import to_training_data

CLASSES, FEATURES = 4, 9


def clouds(rows: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unequally frequent classes whose features depend on one another."""
    rng = np.random.default_rng(seed)
    y = rng.choice(CLASSES, size=rows, p=[0.5, 0.25, 0.15, 0.1])
    mixing = rng.normal(size=(FEATURES, FEATURES))
    return rng.normal(size=(rows, FEATURES)) @ mixing + rng.normal(size=(CLASSES, FEATURES))[y] * 2, y


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 1.0])
def test_it_is_the_discriminant_of_scikit_learn(shrinkage: float) -> None:
    x, y = clouds()
    moments = ClassMoments.of(
        torch.from_numpy(x), torch.from_numpy(y), classes=CLASSES, kept_n=torch.ones(len(y))
    )
    weight, bias = moments.discriminant(shrinkage)
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(x, y)
    ours = torch.from_numpy(x) @ weight.T + bias
    expected = theirs.decision_function(x)
    np.testing.assert_allclose(
        ours - ours.mean(1, True), expected - expected.mean(1, keepdims=True), atol=1e-6
    )


def test_the_nearest_mean_decides_where_all_is_shrunk() -> None:
    x, y = clouds()
    moments = ClassMoments.of(
        torch.from_numpy(x), torch.from_numpy(y), classes=CLASSES, kept_n=torch.ones(len(y))
    )
    weight, bias = moments.discriminant(1.0, even_priors=True)
    means = np.stack([x[y == c].mean(0) for c in range(CLASSES)])
    nearest = ((x[:, None] - means) ** 2).sum(2).argmin(1)
    assert ((torch.from_numpy(x) @ weight.T + bias).argmax(1).numpy() == nearest).all()


def test_in_a_population_a_mask_gives_the_head_of_the_rows_alone() -> None:
    x, y = clouds()
    kept = np.random.default_rng(1).random(len(y)) < 0.6
    spec = HeadSpec(solver="gda", shrinkage=0.2, weights="last")
    val = (x[:7], y[:7])
    data = to_training_data((x, y), val, classes=CLASSES, dtype=torch.float64)
    masked = Population([spec, spec], data, seeds=[0, 1], kept_kn=torch.from_numpy(np.stack([kept, ~kept])))
    masked.train(1)
    alone = Population(
        [spec], to_training_data((x[kept], y[kept]), val, classes=CLASSES, dtype=torch.float64), seeds=[0]
    )
    alone.train(1)
    points = torch.from_numpy(x)
    for seed in (0, 1):
        np.testing.assert_allclose(
            masked.head(0, seed_index=seed).probabilities(points),
            alone.head(0, seed_index=0).probabilities(points),
            atol=1e-9,
        )
    assert masked.running == []
    assert masked.outcome(1).epochs == 1


def test_a_class_without_rows_is_unlikely_and_breaks_nothing() -> None:
    x, y = clouds()
    moments = ClassMoments.of(
        torch.from_numpy(x), torch.from_numpy(y), classes=CLASSES + 1, kept_n=torch.ones(len(y))
    )
    weight, bias = moments.discriminant(0.3)
    logits = torch.from_numpy(x) @ weight.T + bias
    assert bool(torch.isfinite(logits).all())
    assert float(logits.softmax(1)[:, -1].mean()) < 0.05


def test_rows_that_are_all_alike_within_their_classes_are_told_apart() -> None:
    x = torch.eye(3, dtype=torch.float64).repeat(2, 1)
    y = torch.arange(3).repeat(2)
    weight, bias = ClassMoments.of(x, y, classes=3, kept_n=torch.ones(6)).discriminant(0.5)
    logits = x @ weight.T + bias
    assert bool(torch.isfinite(logits).all())
    assert logits.argmax(1).tolist() == y.tolist()


@pytest.mark.parametrize("shrinkage", [0.0, 1.1])
def test_a_shrinkage_out_of_range_is_refused(shrinkage: float) -> None:
    with pytest.raises(ValueError, match="0 < shrinkage ≤ 1"):
        HeadSpec(solver="gda", shrinkage=shrinkage)
