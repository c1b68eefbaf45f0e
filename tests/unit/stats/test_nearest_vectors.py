"""Nearest vectors against a plain loop and scikit-learn, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from trainer.stats import nearest_vectors
from trainer.stats.nearest_vectors import nearest


def by_loop(query_qd: np.ndarray, row_nd: np.ndarray, count: int) -> list[list[int]]:
    """The nearest rows of each query, one cosine at a time."""
    found = []
    for query_d in query_qd.astype(np.float64):
        cosine = [
            query_d @ row_d / max(np.linalg.norm(query_d) * np.linalg.norm(row_d), 1e-300)
            for row_d in row_nd.astype(np.float64)
        ]
        found.append(sorted(range(len(cosine)), key=lambda row: -cosine[row])[:count])
    return found


@pytest.fixture(params=[(1 << 24, 1 << 14), (7, 3), (1, 1)], ids=["one block", "small blocks", "single"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, rows = request.param
    monkeypatch.setattr(nearest_vectors, "CELLS", cells)
    monkeypatch.setattr(nearest_vectors, "ROWS", rows)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_the_nearest_rows_are_those_of_a_loop_and_of_scikit_learn(dtype: type) -> None:
    random = np.random.default_rng(0)
    query_qd, row_nd = random.normal(size=(5, 8)).astype(dtype), random.normal(size=(40, 8)).astype(dtype)
    found = nearest(query_qd, row_nd, 6)
    assert found.row_qk.tolist() == by_loop(query_qd, row_nd, 6)
    reference = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute")
    reference.fit(row_nd.astype(np.float64))
    distance_qk, row_qk = reference.kneighbors(query_qd.astype(np.float64))
    assert np.array_equal(found.row_qk, row_qk)
    assert found.cosine_qk == pytest.approx(1 - distance_qk, abs=1e-6)
    assert found.cosine_qk.dtype == np.float32


@given(
    rows=st.integers(0, 30),
    queries=st.integers(0, 4),
    count=st.integers(0, 40),
    levels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_of_equal_cosines_the_earlier_row_comes_first(
    rows: int, queries: int, count: int, levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    row_nd = np.eye(4, dtype=np.float32)[random.integers(0, levels, rows)]  # cosines are exactly 0 or 1
    query_qd = np.eye(4, dtype=np.float32)[random.integers(0, levels, queries)]
    found = nearest(query_qd, row_nd, count)
    assert found.row_qk.shape == (queries, min(count, rows))
    assert found.row_qk.tolist() == by_loop(query_qd, row_nd, count)


@pytest.mark.usefixtures("_blocks")
def test_only_rows_that_may_be_found_are_and_lengths_do_not_matter() -> None:
    random = np.random.default_rng(1)
    query_qd, row_nd = random.normal(size=(3, 8)), random.normal(size=(30, 8))
    among_n = random.random(30) < 0.4
    found = nearest(query_qd, row_nd, 100, among_n=among_n)
    assert [set(row_k) for row_k in found.row_qk] == 3 * [set(np.flatnonzero(among_n))]
    longer = nearest(5 * query_qd, row_nd * random.uniform(0.1, 9, (30, 1)), 100, among_n=among_n)
    assert np.array_equal(longer.row_qk, found.row_qk)


def test_zeros_have_no_direction_and_nothing_finds_nothing() -> None:
    found = nearest(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 0.0]]), 3)
    assert found.row_qk.tolist() == [[1, 0, 2]]
    assert found.cosine_qk[0] == pytest.approx([0.5**0.5, 0, -1])
    assert nearest(np.zeros((1, 2)), np.eye(2), 2).cosine_qk.tolist() == [[0, 0]]
    assert nearest(np.ones((2, 3)), np.empty((0, 3)), 5).row_qk.shape == (2, 0)


def test_at_most_so_many_cosines_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_vectors, "CELLS", 100)
    random = np.random.default_rng(2)
    query_qd, row_nd = random.normal(size=(17, 4)), random.normal(size=(30, 4))
    sizes = [cosine_bn.size for _, cosine_bn in nearest_vectors.cosines(query_qd, row_nd)]
    assert max(sizes) <= 100
    assert sum(sizes) == 17 * 30
