"""Logistic regressions of many strengths at once against scikit-learn, autograd and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from trainer.heads.lbfgs import LogisticPath, Objectives
from trainer.heads.losses import LossSettings, balanced_class_weights, cross_entropy

STRENGTHS = torch.tensor([1e-4, 1e-3, 1e-2, 0.1, 1.0], dtype=torch.float64)


def blobs(*, rows: int = 60, features: int = 8, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clouds far from the origin, in float64, along directions of very different spread."""
    random = np.random.default_rng(0)
    y = np.arange(rows) % (classes + 1) % classes  # class 0 twice as often
    x = random.normal(size=(classes, features))[y] + random.normal(size=(rows, features))
    return torch.tensor(x * np.logspace(0.5, -1.5, features) + 3), torch.tensor(y)


def fit(path: LogisticPath, *, limit: int = 500) -> LogisticPath:
    for _ in range(limit):
        if bool(path.converged_k.all()):
            return path
        path.step()
    raise AssertionError(f"not converged: {path.converged_k}")


def solved(
    x_nd: torch.Tensor,
    y_n: torch.Tensor,
    l2_k: torch.Tensor = STRENGTHS,
    *,
    classes: int = 4,
    tolerance: float = 1e-14,
    **objectives: torch.Tensor,
) -> LogisticPath:
    return fit(LogisticPath(x_nd, y_n, Objectives(l2_k, **objectives), classes=classes, tolerance=tolerance))


def weight_of(path: LogisticPath) -> torch.Tensor:
    """[K, C, D]."""
    return path.unturned(path.theta_kcr)[0]


def bias_of(path: LogisticPath) -> torch.Tensor:
    """[K, C]."""
    return path.unturned(path.theta_kcr)[1]


def probabilities(path: LogisticPath, x_nd: torch.Tensor) -> torch.Tensor:
    """[K, N, C]."""
    return (x_nd @ weight_of(path).transpose(1, 2) + bias_of(path)[:, None]).softmax(-1)


def scikit_learns(x: torch.Tensor, y: torch.Tensor, l2: float, **options: Any) -> LogisticRegression:
    options |= {"C": 1 / (len(y) * l2), "tol": 1e-10, "max_iter": 10_000, "solver": "newton-cg"}
    return LogisticRegression(**options).fit(x.numpy(), y.numpy())


# --- the optimum ------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "features", "classes"), [(60, 8, 4), (20, 45, 4), (50, 6, 2)])
def test_the_optimum_equals_scikit_learns(rows: int, features: int, classes: int) -> None:
    x, y = blobs(rows=rows, features=features, classes=classes)
    ours = probabilities(solved(x, y, classes=classes), x)
    for head, l2 in enumerate(STRENGTHS.tolist()):
        # scikit-learn's two-class model is one vector, which ours splits in two halves of either sign
        model = scikit_learns(x, y, l2 if classes > 2 else l2 / 2)
        np.testing.assert_allclose(ours[head], model.predict_proba(x.numpy()), atol=1e-5)


def test_balanced_weights_and_masked_rows_equal_scikit_learns_fit_of_the_kept_rows() -> None:
    x, y = blobs()
    kept = torch.arange(len(y)) % 5 != 0
    kept_kn = torch.stack([kept, torch.ones_like(kept)]).double()
    weight_kc = balanced_class_weights(y, classes=4, kept_kn=kept_kn)
    l2 = torch.tensor([0.01, 0.01])
    ours = probabilities(solved(x, y, l2, kept_kn=kept_kn, class_weight_kc=weight_kc), x)
    for head, rows in enumerate((kept, torch.ones_like(kept))):
        model = scikit_learns(x[rows], y[rows], 0.01, class_weight="balanced")
        np.testing.assert_allclose(ours[head], model.predict_proba(x.numpy()), atol=1e-5)


def test_the_gradient_of_the_loss_meant_is_zero_at_the_end() -> None:
    x, y = blobs()
    options = {
        "smoothing_k": torch.tensor([0.0, 0.1, 0.3, 0.2, 0.05]).double(),
        "class_weight_kc": torch.linspace(0.5, 2, 20).view(5, 4).double(),
    }
    kept_kn = (torch.arange(5)[:, None] != torch.arange(len(y)) % 7).double()
    path = solved(x, y, kept_kn=kept_kn, **options)
    weight, bias = weight_of(path).requires_grad_(), bias_of(path).requires_grad_()
    logits = weight @ x.T + bias[..., None]
    loss = cross_entropy(logits[None], y[None], LossSettings(**options), sample_weight_skb=kept_kn[None])[0]
    torch.testing.assert_close(path.step(), loss.detach(), rtol=1e-10, atol=0)
    objective = loss + STRENGTHS / 2 * weight.square().sum((1, 2))
    torch.testing.assert_close(path.objective_k, objective.detach(), rtol=1e-10, atol=0)
    for gradient in torch.autograd.grad(objective.sum(), (weight, bias)):
        assert gradient.abs().max() < 1e-6


def test_float32_finds_the_same_predictions_at_a_weak_penalty() -> None:
    x, y = blobs(rows=20, features=45)
    l2 = torch.tensor([1e-6, 1e-4])
    wide, narrow = solved(x, y, l2), fit(LogisticPath(x.float(), y, Objectives(l2), classes=4))
    assert weight_of(narrow).dtype == torch.float32
    np.testing.assert_allclose(narrow.objective_k, wide.objective_k, rtol=1e-3)
    np.testing.assert_allclose(probabilities(narrow, x.float()), probabilities(wide, x), atol=1e-3)


def test_fewer_rows_than_features_leave_no_weight_outside_their_span() -> None:
    x, y = blobs(rows=20, features=45)
    path = solved(x, y)
    outside = torch.linalg.svd(x - x.mean(0), full_matrices=True).Vh[20:]
    assert (weight_of(path) @ outside.T).abs().max() < 1e-10


def test_a_class_without_rows_is_never_predicted() -> None:
    x, y = blobs()
    path = solved(x, y, classes=5, tolerance=1e-9)
    ours = probabilities(path, x)
    assert ours[..., 4].max() < 1e-6
    np.testing.assert_allclose(ours[..., :4], probabilities(solved(x, y), x), atol=1e-3)


def test_rows_in_chunks_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = blobs()
    objectives = Objectives(STRENGTHS, smoothing_k=torch.full((5,), 0.1))
    whole = LogisticPath(x, y, objectives, classes=4)
    monkeypatch.setattr("trainer.heads.lbfgs.CELLS", 7 * 4 * len(STRENGTHS))
    pieces = LogisticPath(x, y, objectives, classes=4)
    for _ in range(20):
        torch.testing.assert_close(pieces.step(), whole.step(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(weight_of(pieces), weight_of(whole), rtol=1e-7, atol=1e-7)


# --- a head and its neighbours ----------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(exponents=st.lists(st.floats(-6, 1), min_size=2, max_size=5), data=st.data())
def test_a_head_is_the_same_alone_in_any_slot_and_after_its_neighbours_left(
    exponents: list[float], data: st.DataObject
) -> None:
    x, y = blobs()
    l2 = 10.0 ** torch.tensor(exponents, dtype=torch.float64)
    slot = data.draw(st.integers(0, len(l2) - 1))
    steps, leave_after = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 30))
    options: dict[str, Any] = {"classes": 4, "tolerance": 1e-7}
    together, shrunk = (LogisticPath(x, y, Objectives(l2), **options) for _ in range(2))
    alone = LogisticPath(x, y, Objectives(l2[slot : slot + 1]), **options)
    for count in range(steps):
        if count == leave_after:
            shrunk.keep(torch.tensor([slot]))
        for path in (alone, together, shrunk):
            path.step()
    position = 0 if leave_after < steps else slot
    for path, at in ((together, slot), (shrunk, position)):
        torch.testing.assert_close(weight_of(path)[at], weight_of(alone)[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(bias_of(path)[at], bias_of(alone)[0], rtol=1e-9, atol=1e-9)


def test_a_head_that_sees_no_row_stays_at_zero() -> None:
    x, y = blobs()
    kept_kn = torch.stack([torch.zeros(len(y)), torch.ones(len(y))]).double()
    path = solved(x, y, STRENGTHS[:2], kept_kn=kept_kn)
    assert not bool(weight_of(path)[0].any())
    alone = solved(x, y, STRENGTHS[1:2])
    torch.testing.assert_close(weight_of(path)[1], weight_of(alone)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", ["l2", "weight"])
def test_a_head_without_numbers_fails_alone(bad: str) -> None:
    x, y = blobs()
    l2, weight_kc = torch.tensor([0.01, 0.01]).double(), torch.ones(2, 4).double()
    if bad == "l2":
        l2[1] = torch.inf
    else:
        weight_kc[1, 2] = torch.nan
    both = solved(x, y, l2, class_weight_kc=weight_kc)
    alone = solved(x, y, l2[:1])
    assert not bool(torch.isfinite(both.objective_k[1]))
    torch.testing.assert_close(weight_of(both)[0], weight_of(alone)[0], rtol=1e-9, atol=1e-9)


def test_the_order_given_to_keep_is_the_order_kept() -> None:
    x, y = blobs()
    path, reference = (
        LogisticPath(x, y, Objectives(STRENGTHS), classes=4, tolerance=1e-10) for _ in range(2)
    )
    for _ in range(12):
        path.step()
    path.keep(torch.tensor([4, 0, 2]))
    fit(path)
    fit(reference)
    torch.testing.assert_close(weight_of(path), weight_of(reference)[[4, 0, 2]], rtol=1e-7, atol=1e-7)


# --- the way there ----------------------------------------------------------------------------


def test_the_objective_never_rises_and_converged_heads_do_not_move() -> None:
    x, y = blobs()
    path = LogisticPath(x, y, Objectives(STRENGTHS), classes=4)
    while not bool(path.converged_k.all()):
        before, stays = path.objective_k.clone(), path.converged_k.clone()
        weight = weight_of(path).clone()
        path.step()
        assert bool((path.objective_k <= before).all())
        assert torch.equal(weight_of(path)[stays], weight[stays])
    weight = weight_of(path).clone()
    path.step()
    assert torch.equal(weight_of(path), weight)


def test_a_penalty_of_nothing_is_named() -> None:
    x, y = blobs()
    with pytest.raises(ValueError, match="l2_k"):
        LogisticPath(x, y, Objectives(torch.tensor([0.1, 0.0])), classes=4)
