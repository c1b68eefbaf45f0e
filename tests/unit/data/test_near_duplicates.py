"""Near-duplicates: as comparing every pair would find them, in blocks of any size and in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.image_files import noise
from trainer.data.image_quality import hashes_of_measures, measure_image
from trainer.data.near_duplicates import NearDuplicates, Thresholds, near_duplicates

SPLITS = np.array(["test", "train", "val"])
WIDTH = 16  # vectors of ±1 and length 4: their cosines are multiples of 1/8, without rounding


def _close_rows(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits, hashes and vectors of rows that are copies of a few, with some bits and signs turned."""
    seed = random.integers(0, 3, rows)
    bits = random.random((3, 64))[seed] < 0.5
    signs = np.where(random.random((3, WIDTH))[seed] < 0.5, 1, -1).astype(np.float32)
    bits ^= random.random(bits.shape) < 0.05
    signs[random.random(signs.shape) < 0.08] *= -1
    return SPLITS[random.integers(0, 3, rows)], np.packbits(bits, axis=1), signs


def _every_pair(
    split_n: np.ndarray, hash_nb: np.ndarray | None, signs: np.ndarray | None, most: int, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Near bool [N, N] and similarity [N, N], pair by pair."""
    n = len(split_n)
    near, similarity = np.zeros((n, n), dtype=bool), np.zeros((n, n))
    for i in range(n):
        for j in set(range(n)) - {i}:
            bits = 0 if hash_nb is None else int(np.unpackbits(hash_nb[i] ^ hash_nb[j]).sum())
            similarity[i, j] = 1 - bits / 32 if signs is None else signs[i] @ signs[j] / WIDTH
            near[i, j] = bits <= most and (signs is None or similarity[i, j] >= least)
    return near, similarity


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 25),
    block=st.integers(1, 30),
    most=st.integers(0, 12),
    least=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
    given_=st.sampled_from(["hashes", "vectors", "both"]),
)
def test_blocks_of_any_size_find_what_comparing_every_pair_finds(
    seed: int, rows: int, block: int, most: int, least: float, given_: str
) -> None:
    split_n, hash_nb, signs = _close_rows(np.random.default_rng(seed), rows)
    some = {
        "hash_nb": None if given_ == "vectors" else hash_nb,
        "vectors_nd": None if given_ == "hashes" else signs,
    }
    found = near_duplicates(split_n, **some, thresholds=Thresholds(most, least), centre=False, block=block)
    near, similarity = _every_pair(split_n, some["hash_nb"], some["vectors_nd"], most, least)

    assert [found.splits[s] for s in found.split_n] == split_n.tolist()
    for s, split in enumerate(found.splits):
        of_split = near & (split_n == split)
        np.testing.assert_array_equal(found.count_ns[:, s], of_split.sum(1))
        score = np.where(of_split, similarity, -np.inf)
        np.testing.assert_array_equal(found.similarity_ns[:, s], score.max(1))
        first = np.where(of_split.any(1), score.argmax(1), -1)
        np.testing.assert_array_equal(found.best_ns[:, s], first)
    reached = near | np.eye(rows, dtype=bool)
    for _ in range(rows):
        reached = reached @ reached
    np.testing.assert_array_equal(found.group_n, reached.argmax(1))
    for one in found.splits:
        for other in found.splits:
            across = near[split_n == one][:, split_n == other]
            assert found.pairs(one, other) == across.sum() // (2 if one == other else 1)
            _check_closest(found, near, similarity, one, other)


def _check_closest(
    found: NearDuplicates, near: np.ndarray, similarity: np.ndarray, one: str, other: str
) -> None:
    pairs, score = found.closest(one, other)
    split = np.array(found.splits)[found.split_n]
    assert pairs.shape == (len(score), 2)
    assert (split[pairs] == [one, other]).all()
    assert all(near[i, j] and similarity[i, j] == s for (i, j), s in zip(pairs, score, strict=True))
    assert (np.diff(score) <= 0).all()
    touched = np.flatnonzero((split == one) & near[:, split == other].any(1))
    if one == other:
        assert set(pairs.ravel()) == set(touched)
        assert (pairs[:, 0] < pairs[:, 1]).all()
        assert len(np.unique(pairs, axis=0)) == len(pairs)
    else:
        assert sorted(pairs[:, 0]) == touched.tolist()


def test_without_hashes_and_vectors_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="hashes, vectors or both"):
        near_duplicates(np.array(["train"]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("centre", [True, False])
def test_a_vector_of_zeros_is_like_nothing(centre: bool) -> None:
    vectors = np.array([[0, 0], [0, 0], [3, 0], [-3, 0], [3, 0.1], [-3, -0.1]], dtype=np.float32)
    found = near_duplicates(np.array(["train"] * 6), vectors_nd=vectors, centre=centre)
    assert found.group_n.tolist() == [0, 1, 2, 3, 2, 3]
    assert not np.isnan(found.similarity_ns).any()


def test_centring_parts_rows_that_lie_in_a_cone() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32) + 10
    vectors[7] = vectors[3] * 1.01
    train = np.array(["train"] * 50)
    assert near_duplicates(train, vectors_nd=vectors, centre=False).pairs("train", "train") == 1225
    assert near_duplicates(train, vectors_nd=vectors).closest("train", "train")[0].tolist() == [[3, 7]]


def test_leaks_are_told_apart_from_copies_within_a_split() -> None:
    split = np.array(["train", "train", "test", "val", "test", "test"])
    hash_nb = np.array([[0], [0], [0], [255], [255], [15]], dtype=np.uint8).repeat(8, axis=1)
    found = near_duplicates(split, hash_nb=hash_nb)
    assert found.closest("test", "train")[0].tolist() == [[2, 0]]
    assert found.pairs("test", "train") == 2
    assert found.closest("train", "train")[0].tolist() == [[0, 1]]
    assert found.closest("val", "test")[0].tolist() == [[3, 4]]
    assert found.closest("val", "train")[0].shape == (0, 2)


def test_thousands_of_copies_are_counted_in_full_and_fit_in_memory() -> None:
    rows = 5000
    hash_nb, vectors = np.zeros((rows, 8), dtype=np.uint8), np.ones((rows, 8), dtype=np.float32)
    tracemalloc.start()
    found = near_duplicates(np.array(["train"] * rows), hash_nb=hash_nb, vectors_nd=vectors, centre=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.pairs("train", "train") == rows * (rows - 1) // 2
    assert set(found.group_n) == {0}
    assert peak < 80_000_000  # the pairs alone would be 200 MB


def test_images_stored_again_are_found_and_others_are_not() -> None:
    originals = [
        Image.fromarray(noise(i, height=6, width=8)).resize((120, 90), Image.Resampling.BICUBIC)
        for i in range(20)
    ]
    again = [image.resize((80, 60)) for image in originals]
    images = [np.asarray(image) for image in originals + again]
    vectors = np.stack([np.asarray(Image.fromarray(one).resize((8, 8))).ravel() for one in images])
    found = near_duplicates(
        np.array(["train"] * 20 + ["test"] * 20),
        hash_nb=hashes_of_measures(np.stack([measure_image(one) for one in images])),
        vectors_nd=vectors.astype(np.float32),
    )
    assert sorted(map(tuple, found.closest("test", "train")[0])) == [(20 + i, i) for i in range(20)]
    assert found.pairs("train", "train") == found.pairs("test", "test") == 0
