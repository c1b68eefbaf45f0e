"""New rows on a map that stays as it was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.features.projection import DEFAULT_PERPLEXITY, tsne
from trainer.features.projection_transform import ProjectionTransform


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of three far clouds, which cloud each is of, and their map."""
    random = np.random.default_rng(0)
    which_n = np.repeat(np.arange(3), 40)
    features_nd = (4 * np.eye(3, 12)[which_n] + 0.5 * random.normal(size=(120, 12))).astype(np.float32)
    return features_nd, which_n, tsne(features_nd, seed=0)[DEFAULT_PERPLEXITY]


def test_a_new_row_stands_in_its_own_cloud_and_the_map_stays(
    clouds: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    features_nd, which_n, xy_n2 = clouds
    before = xy_n2.copy()
    new_md = 4 * np.eye(3, 12) + 0.5 * np.random.default_rng(1).normal(size=(3, 12))
    placed = ProjectionTransform(features_nd, xy_n2).transform(new_md)
    centres = np.stack([xy_n2[which_n == cloud].mean(0) for cloud in range(3)])
    distances = np.linalg.norm(placed[:, None] - centres[None], axis=2)
    assert distances.argmin(1).tolist() == [0, 1, 2]
    assert (xy_n2 == before).all()


def test_a_row_of_the_map_comes_out_near_its_own_place(
    clouds: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    features_nd, _, xy_n2 = clouds
    placed = ProjectionTransform(features_nd, xy_n2).transform(features_nd[:20])
    off = np.linalg.norm(placed - xy_n2[:20], axis=1)
    assert np.median(off) < 0.1 * np.ptp(xy_n2, axis=0).max()


def test_a_place_does_not_depend_on_the_others_that_are_placed(
    clouds: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    features_nd, _, xy_n2 = clouds
    placer = ProjectionTransform(features_nd, xy_n2)
    assert np.allclose(placer.transform(features_nd[3:4]), placer.transform(features_nd[:6])[3:4])


@pytest.mark.parametrize("rows", [1, 2, 7, 9])
def test_few_rows_have_room_for_a_new_one_too(rows: int) -> None:
    features_nd = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
    placed = ProjectionTransform(features_nd, tsne(features_nd, seed=0)[DEFAULT_PERPLEXITY]).transform(
        features_nd[:1] + 0.01
    )
    assert placed.shape == (1, 2)
    assert np.isfinite(placed).all()
