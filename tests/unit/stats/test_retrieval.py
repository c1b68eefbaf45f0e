"""Recall at k against a plain loop and scikit-learn, and its intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from trainer.stats import nearest_vectors
from trainer.stats.paired_bootstrap import share_interval
from trainer.stats.retrieval import first_ranks, recall_at, recall_by_chance


def ranks_by_loop(query_qd: np.ndarray, candidate_nd: np.ndarray, pair_p2: np.ndarray) -> list[int]:
    ranks = []
    for query, query_d in enumerate(query_qd):
        right = {int(candidate) for one, candidate in pair_p2 if one == query}
        cosine = [
            float(query_d @ row / max(np.linalg.norm(query_d) * np.linalg.norm(row), 1e-300))
            for row in candidate_nd
        ]
        best = max(cosine[candidate] for candidate in right)
        ranks.append(1 + sum(cosine[c] >= best for c in range(len(cosine)) if c not in right))
    return ranks


@given(
    queries=st.integers(1, 6),
    candidates=st.integers(1, 20),
    cells=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_ranks_are_those_of_a_loop_with_several_right_candidates(
    queries: int, candidates: int, cells: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    query_qd, candidate_nd = random.normal(size=(queries, 5)), random.normal(size=(candidates, 5))
    right_qn = random.random((queries, candidates)) < 0.3
    right_qn[np.arange(queries), random.integers(0, candidates, queries)] = True
    pair_p2 = random.permutation(np.argwhere(right_qn))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_vectors, "CELLS", cells)
        found = first_ranks(query_qd, candidate_nd, pair_p2)
    assert found.tolist() == ranks_by_loop(query_qd, candidate_nd, pair_p2)


def test_with_one_right_candidate_recall_is_scikit_learns_top_k_accuracy() -> None:
    random = np.random.default_rng(0)
    candidate_nd = random.normal(size=(40, 6))
    query_qd = candidate_nd + random.normal(0, 1.5, candidate_nd.shape)
    cosine_qn = query_qd @ (candidate_nd / np.linalg.norm(candidate_nd, axis=1, keepdims=True)).T
    rank_q = first_ranks(query_qd, candidate_nd, np.stack([np.arange(40)] * 2, axis=1))
    for k, recall in recall_at(rank_q).items():
        expected = top_k_accuracy_score(np.arange(40), cosine_qn, k=k, labels=np.arange(40))
        assert float(recall.value) == pytest.approx(expected)


def test_recall_by_chance_is_that_of_random_orders() -> None:
    random = np.random.default_rng(0)
    right_q = np.array([1, 2, 5])
    orders = [[(random.permutation(12)[:4] < right).any() for right in right_q] for _ in range(5000)]
    assert recall_by_chance(right_q, 12, 4) == pytest.approx(np.mean(orders), abs=0.01)
    assert recall_by_chance(right_q, 5, 10) == 1


def test_vectors_that_are_all_alike_find_nothing() -> None:
    rank_q = first_ranks(np.eye(3)[[0, 0]], np.eye(3)[[0] * 30], np.array([[0, 0], [1, 1]]))
    assert rank_q.tolist() == [30, 30]
    assert float(recall_at(rank_q)[10].value) == 0


def test_two_right_candidates_of_one_cosine_do_not_stand_in_each_others_way() -> None:
    pair_p2 = np.array([[0, 0], [0, 1]])
    assert first_ranks(np.eye(2)[:1], np.eye(2)[[0, 0, 1]], pair_p2).tolist() == [1]


def test_the_interval_draws_units_and_not_their_queries() -> None:
    random = np.random.default_rng(0)
    hit_u = random.random(200) < 0.5
    rank_q, unit_q = np.repeat(np.where(hit_u, 1, 99), 5), np.repeat(np.arange(200), 5)
    alone, together = (share_interval(recall_at(rank_q, unit)[1]) for unit in (None, unit_q))
    assert alone.value == together.value == pytest.approx(hit_u.mean())
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(5**0.5, rel=0.1)


def test_the_interval_covers_the_true_recall() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        chance_u = random.beta(2, 2, 80)  # of each unit, whose queries depend on one another
        unit_q = np.repeat(np.arange(80), random.integers(1, 6, 80))
        rank_q = np.where(random.random(len(unit_q)) < chance_u[unit_q], 1, 99)
        low, high = share_interval(recall_at(rank_q, unit_q)[1])[1:]
        covered += low <= 0.5 <= high
    assert 0.91 <= covered / 200 <= 0.985


def test_where_every_query_is_answered_it_is_wilsons_over_units() -> None:
    rank_q, unit_q = np.ones(50, dtype=int), np.repeat(np.arange(10), 5)
    low = share_interval(recall_at(rank_q, unit_q)[10]).low
    assert low == pytest.approx(0.722, abs=1e-3)  # of 10 of 10
    assert share_interval(recall_at(np.array([1]))[1]).value == 1


def test_two_encoders_are_compared_in_pairs() -> None:
    random = np.random.default_rng(2)
    rank_q = np.where(random.random(400) < 0.5, 1, 50)
    better_q = np.where(random.random(400) < 0.1, 1, rank_q)  # right wherever the other is, and more often
    one, other = recall_at(better_q)[1], recall_at(rank_q)[1]
    gain = one.minus(other).interval()
    assert gain.low > 0
    assert gain.high - gain.low < 0.5 * (share_interval(one).high - share_interval(one).low)
