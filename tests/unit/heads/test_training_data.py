"""What heads are given: scalings found on the training rows alone."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from trainer.heads.head_config import Scaling
from trainer.heads.training_data import find_scale, to_training_data


def rows(count: int, features: int, *, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mix = random.normal(size=(features, features))
    return scale * (random.normal(size=(count, features)) @ mix + random.normal(size=features))


@pytest.mark.parametrize("scaling", get_args(Scaling))
@given(
    seed=st.integers(0, 1000),
    count=st.integers(12, 40),
    features=st.integers(2, 10),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_scaled_training_rows_have_mean_zero_and_mean_variance_one(
    scaling: Scaling, seed: int, count: int, features: int, scale: float
) -> None:
    x = torch.tensor(rows(count, features, seed=seed, scale=scale))
    scaled = find_scale(x, scaling).apply(x)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(features).double(), atol=1e-8, rtol=0)
    assert scaled.square().mean().item() == pytest.approx(1.0)


def test_standardised_rows_are_scikit_learns() -> None:
    x = rows(30, 6)
    ours = find_scale(torch.tensor(x), "standardise").apply(torch.tensor(x))
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(x), rtol=1e-10)


def test_whitened_rows_are_scikit_learns_but_for_order_sign_and_size() -> None:
    x = rows(30, 6)
    ours = find_scale(torch.tensor(x), "whiten").apply(torch.tensor(x)).numpy()
    theirs = PCA(whiten=True).fit_transform(x)[:, ::-1]
    size = np.abs(ours).sum() / np.abs(theirs).sum()
    np.testing.assert_allclose(np.abs(ours), size * np.abs(theirs), rtol=1e-6)
    np.testing.assert_allclose(np.cov(ours.T), np.eye(6) * np.cov(ours.T)[0, 0], atol=1e-10)


def test_whitening_leaves_out_directions_beyond_the_rank_of_the_rows() -> None:
    x = torch.tensor(rows(5, 9))
    scale = find_scale(x, "whiten")
    other = scale.apply(torch.tensor(rows(50, 9, seed=1)))
    assert (other.abs().amax(0) > 0).sum() == 4  # five rows around their mean
    assert torch.isfinite(other).all()


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_a_feature_that_never_changes_says_nothing(scaling: Scaling) -> None:
    x = torch.tensor(rows(30, 4))
    x[:, 2] = 7.0
    scaled = find_scale(x, scaling).apply(x)
    assert torch.isfinite(scaled).all()
    constant = torch.full((30, 4), 3.0).double()
    assert torch.isfinite(find_scale(constant, scaling).apply(constant)).all()


def test_unit_norm_forgets_how_long_rows_are() -> None:
    x = torch.tensor(rows(20, 5))
    longer = x * torch.arange(1, 21).double()[:, None]
    a, b = (find_scale(one, "unit_norm").apply(one) for one in (x, longer))
    torch.testing.assert_close(a, b)


def test_validation_rows_and_views_are_scaled_as_the_training_rows_are() -> None:
    train, views = rows(20, 4), np.stack([rows(20, 4, seed=1), rows(20, 4, seed=2)])
    y = np.arange(20) % 2
    data = to_training_data((train, y), (train * 2, y), classes=2, views_vnd=views, dtype=torch.float64)
    scaled = data.scaled("standardise")
    scaler = StandardScaler().fit(train)
    np.testing.assert_allclose(scaled.val_x_nd, scaler.transform(train * 2), rtol=1e-9)
    expected = np.concatenate([scaler.transform(part) for part in (train, *views)])
    np.testing.assert_allclose(scaled.views_x_nd, expected, rtol=1e-9)
