"""The distance that tells images unlike the training images, against its formula; its false alarms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.heads.novelty import SHRINKAGE, NoveltyDetector, RelativeDistance

FEATURES, CLASSES = 6, 3


def clouds(rows: int, seed: int, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three overlapping classes, moved by ``shift`` in a direction that no class has."""
    random = np.random.default_rng(seed)
    centre_cd = 2 * np.random.default_rng(9).normal(size=(CLASSES, FEATURES))
    label = np.arange(rows) % CLASSES
    x = centre_cd[label] + random.normal(size=(rows, FEATURES)) + shift
    return x.astype(np.float32), label


def reference(x: np.ndarray, y: np.ndarray, query: np.ndarray) -> np.ndarray:
    def precision(centred: np.ndarray) -> np.ndarray:
        covariance = centred.T @ centred / len(centred)
        sphere = np.trace(covariance) / FEATURES * np.eye(FEATURES)
        return np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)

    means = np.stack([x[y == c].mean(0) for c in sorted(set(y))])
    within, outer = precision(x - means[np.searchsorted(sorted(set(y)), y)]), precision(x - x.mean(0))
    own = [min((q - m) @ within @ (q - m) for m in means) for q in query]
    return np.array(own) - [(q - x.mean(0)) @ outer @ (q - x.mean(0)) for q in query]


@pytest.mark.parametrize("names", [[0, 1, 2], [0, 4, 7]])  # a class without a row is no class
def test_the_distance_is_that_of_its_formula(names: list[int]) -> None:
    (x, label), (query, _) = clouds(90, 0), clouds(20, 1, shift=0.5)
    y = np.array(names)[label]
    found = RelativeDistance.fit(torch.from_numpy(x), torch.from_numpy(y)).scores(torch.from_numpy(query))
    expected = reference(x.astype(float), y, query.astype(float))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_alike_raise_few_alarms_and_others_many() -> None:
    x, y = clouds(600, 0)
    detector = NoveltyDetector.fit(x, y, np.arange(600), np.arange(600) // 3 % 5)
    alarms = [detector.is_novel(detector.scores(clouds(3000, 1, shift=one)[0])).mean() for one in (0, 6)]
    assert alarms[0] == pytest.approx(detector.false_alarm_rate, abs=0.02)
    assert alarms[1] > 0.9
    assert len(detector.scores(x[:0])) == 0


def test_of_too_few_units_nothing_is_called_unlike() -> None:
    x, y = clouds(15, 0)
    detector = NoveltyDetector.fit(x, y, np.arange(15), np.arange(15) // 3)
    assert detector.threshold == np.inf
