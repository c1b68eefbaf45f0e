"""Whatever vectors pass the check of their numbers: heads, distances, neighbours and maps are finite."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainer.core.errors import InputError
from trainer.data.manifest import Columns, build_manifest
from trainer.data.vector_range import check_vectors
from trainer.features.projection import DEFAULT_PERPLEXITY, tsne
from trainer.features.projection_transform import ProjectionTransform
from trainer.heads.closed_form import CHOICES, fit
from trainer.heads.folds import assign_folds
from trainer.heads.head_config import HeadSpec
from trainer.heads.novelty import NoveltyDetector
from trainer.heads.out_of_fold import out_of_fold
from trainer.heads.population import Population
from trainer.heads.training_data import TrainingData, to_training_data
from trainer.stats.vectors import unit_rows

SCALINGS = ("centre", "standardise", "unit_norm", "whiten")
SPECS = [
    HeadSpec(**how, scaling=scaling)
    for scaling in SCALINGS
    for how in (
        {"epochs": 2, "lr": 0.01},
        {"epochs": 2, "lr": 0.01, "hidden": (8,), "layer_norm": True},
        {"epochs": 2, "lr": 0.01, "hidden": (8,), "output": "cosine"},
        {"epochs": 2, "lr": 0.01, "output": "cosine"},
        {"epochs": 20, "solver": "lbfgs", "l2": 1e-4},
        {"epochs": 1, "solver": "gda", "shrinkage": 0.01},
        {"epochs": 1, "solver": "ridge", "l2": 1e-4},
    )
]
MODERATE = settings(max_examples=40, deadline=None)


class Rows(NamedTuple):
    x_nd: np.ndarray  # float32
    y_n: np.ndarray
    train: int  # the rows before are for training

    def data(self) -> TrainingData:
        """Return the rows as heads get them."""
        x, y, n = self
        return to_training_data((x[:n], y[:n]), (x[n:], y[n:]), classes=int(y.max()) + 1)


@st.composite
def ugly_rows(draw: st.DrawFn, *, least: int = 4) -> Rows:
    """Return vectors of odd scale, rank and repetition that the check lets pass."""
    train, judged, width = draw(st.integers(least, 24)), draw(st.integers(2, 8)), draw(st.integers(1, 12))
    classes = draw(st.integers(2, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = train + judged
    y = np.arange(n) % classes
    x = random.normal(size=(n, width)) + draw(st.sampled_from([0.0, 3.0])) * y[:, None]
    for kind in draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=3, unique=True)):
        x = KINDS[kind](x, y, random)
    x = x * 10.0 ** draw(st.integers(-7, 15)) + draw(st.sampled_from([0.0, 1e-3, 1e2, 1e6]))
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    assume(np.isfinite(x).all() and np.abs(x).max() <= 1e15)
    rows = Rows(x, y, train)
    try:
        checked(rows)
    except InputError:
        assume(False)
    return rows


def _constant(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(x.shape[1]) < 0.5, 0.1, x)


def _one_ulp(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    x = x.copy()
    x[:, 0] = 1.0
    x[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    return x


def _far(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    x = x.copy()
    x[-1] *= 10.0 ** random.integers(1, 6)
    return x


KINDS = {
    "constant columns": _constant,
    "one ulp in one row": _one_ulp,
    "a judged row far away": _far,
    "columns of unlike scale": lambda x, y, random: x * 10.0 ** random.integers(-45, 1, size=x.shape[1]),
    "rows of unlike scale": lambda x, y, random: x * 10.0 ** random.integers(-30, 1, size=(len(x), 1)),
    "rank one": lambda x, y, random: np.outer(x[:, 0], random.normal(size=x.shape[1])),
    "one vector per class": lambda x, y, random: x[y],
    "rows of zeros": lambda x, y, random: x * (random.random((len(x), 1)) < 0.6),
    "copies": lambda x, y, random: x[random.integers(0, max(2, len(x) // 3), size=len(x))],
    "a huge mean": lambda x, y, random: x + 1e5,
}


def checked(rows: Rows) -> str:
    x, y, n = rows
    split = ["train"] * n + ["val"] * (len(y) - n)
    names = [f"{part}/{i}" for i, part in enumerate(split)]
    columns = Columns(sample_id=names, content=names, label=[str(one) for one in y], split=split)
    return check_vectors(build_manifest("ugly", columns), x)


@MODERATE
@given(ugly_rows())
def test_scaled_rows_are_finite_and_constant_ones_zero(rows: Rows) -> None:
    data = rows.data()
    constant = np.ptp(rows.x_nd[: rows.train], axis=0) == 0
    for scaling in SCALINGS:
        train, _, val, scale = data.scaled(scaling)
        for tensor in (train, val, scale.centre_d, scale.matrix):
            assert torch.isfinite(tensor).all(), scaling
        if scaling == "standardise":
            assert (train[:, constant] == 0).all()


@pytest.mark.slow
@MODERATE
@given(ugly_rows())
def test_heads_of_every_kind_give_probabilities(rows: Rows) -> None:
    population = Population(SPECS, rows.data(), seeds=[0])
    population.train(20)
    for number, spec in enumerate(SPECS):
        assert not population.outcome(number).failed, spec
        p_nc = population.head(number, seed_index=0).probabilities(torch.from_numpy(rows.x_nd))
        assert torch.isfinite(p_nc).all(), spec
        torch.testing.assert_close(p_nc.sum(1), torch.ones(len(p_nc)))


@MODERATE
@given(ugly_rows())
def test_heads_of_few_rows_give_probabilities(rows: Rows) -> None:
    x_nd, y_n = torch.from_numpy(rows.x_nd), torch.from_numpy(rows.y_n)
    for kind, choices in CHOICES.items():
        for head in fit(kind, x_nd[: rows.train], y_n[: rows.train], choices, int(y_n.max()) + 1):
            p_nc = head.probabilities(x_nd)
            assert torch.isfinite(p_nc).all(), kind
            torch.testing.assert_close(p_nc.sum(1), torch.ones(len(p_nc)))


@MODERATE
@given(ugly_rows(least=20))
def test_the_distance_from_the_training_images_is_finite(rows: Rows) -> None:
    x, y, n = rows
    (fold_n,) = assign_folds(y[:n], np.arange(n), folds=20, repeats=1, seed=0)
    novelty = NoveltyDetector.fit(x[:n], y[:n], np.arange(n), fold_n)
    assert np.isfinite(novelty.scores(x)).all()
    assert not np.isnan(novelty.threshold)


@MODERATE
@given(ugly_rows())
def test_probabilities_out_of_fold_are_finite_where_a_class_was_seen(rows: Rows) -> None:
    x_nd, y_n = torch.from_numpy(rows.x_nd[: rows.train]), torch.from_numpy(rows.y_n[: rows.train])
    fold_n = torch.arange(len(y_n)) // 2 % 2
    seen_n = torch.tensor([bool(((y_n == y_n[i]) & (fold_n != fold_n[i])).any()) for i in range(len(y_n))])
    p_nc = out_of_fold(x_nd, y_n, fold_n, classes=int(y_n.max()) + 1)
    assert torch.isfinite(p_nc[seen_n]).all()


@settings(max_examples=15, deadline=None)
@given(ugly_rows(least=8))
def test_neighbours_and_maps_are_finite(rows: Rows) -> None:
    length_n = np.linalg.norm(unit_rows(rows.x_nd).astype(np.float64), axis=1)
    assert (length_n <= 1 + 1e-5).all()  # what is next to nothing stays so
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba; NaN is looked for below
        xy_n2 = tsne(rows.x_nd, seed=0, perplexities=())[DEFAULT_PERPLEXITY]
        assert np.isfinite(xy_n2).all()
        assert np.isfinite(ProjectionTransform(rows.x_nd, xy_n2).transform(rows.x_nd[-2:])).all()


def test_a_row_at_the_mean_of_all_has_a_place_on_the_map() -> None:
    x = np.random.default_rng(0).integers(-9, 9, size=(10, 4))
    x = np.vstack([x, -x, np.zeros(4)])
    assert np.isfinite(tsne(x, seed=0)[DEFAULT_PERPLEXITY]).all()


def plain(change: str) -> Rows:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(24, 3)), np.arange(24) % 2
    if change == "all alike":
        x[:16] = 0.1
    elif change == "alike to the last digit":
        x[:16] = 1.0
        x[3, 0] = np.nextafter(np.float32(1), np.float32(2))
    elif change == "tiny":
        x *= 1e-30
    elif change == "far":
        x[20, 1] = 1e9
    elif change == "constant":
        x[:, 2] = 0.1
    return Rows(x.astype(np.float32), y, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("all alike", "all 16 training rows, from train/0 on, are the same .* nothing to learn"),
        ("alike to the last digit", "are the same to the precision of float32"),
        ("tiny", "spread by .e-30, which is too little .* multiply all arrays"),
        ("far", r"the vector of val/20 is .e\+08 times as far"),
    ],
)
def test_vectors_that_cannot_be_trained_on_are_refused_by_name(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(plain(change))


def test_constant_features_are_counted_aloud() -> None:
    assert "1 of 3 are constant in the training rows" in checked(plain("constant"))
    assert checked(plain("")) == ""


@pytest.mark.parametrize("tiny", [1e-42, 1e-30])
def test_a_feature_whose_inverse_float32_cannot_hold_counts_as_constant(tiny: float) -> None:
    x = np.random.default_rng(0).normal(size=(24, 3))
    x[:, 1] *= tiny
    rows = Rows(x.astype(np.float32), np.arange(24) % 2, 16)
    assert "1 of 3" in checked(rows)
    train, _, val, scale = rows.data().scaled("standardise")
    assert torch.isfinite(val).all()
    assert scale.matrix[1] == 0
    assert (train[:, 1] == 0).all()
