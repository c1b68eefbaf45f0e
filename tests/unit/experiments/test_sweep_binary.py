"""What a sweep's conclusion says of two classes, and of groups."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trainer.experiments import binary_evaluation
from trainer.experiments.evaluation import groups_by_split
from trainer.tracking.schema import Summary


def data(*, shift: float = 0.0, rows: int = 400) -> tuple[Any, np.ndarray]:
    """A manifest and a head's answers; ``shift`` moves the log-odds of the test rows up."""
    random = np.random.default_rng(0)
    split = np.array(["train", "val", "test"])[np.arange(rows) % 3]
    label = (random.random(rows) < 0.5).astype(int)
    odds = 3 * (label - 0.5) + random.normal(size=rows) + shift * (split == "test")
    positive = 1 / (1 + np.exp(-odds))
    manifest = SimpleNamespace(
        classes=("normal", "pneumonia"),
        label_n=label,
        content=[str(row) for row in range(rows)],
        group=[f"{part}{i // 6}" for i, part in enumerate(split)],
        rows=lambda part: np.flatnonzero(split == part),
    )
    return manifest, np.stack([1 - positive, positive], axis=1).astype(np.float32)


def test_the_second_class_is_looked_for_and_every_figure_has_its_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest, probability = data()
    found = json.loads(json.dumps(binary_evaluation.figures(manifest, probability, seed=0), allow_nan=False))
    assert found[Summary.POSITIVE] == "pneumonia"
    test = manifest.rows("test")
    area = roc_auc_score(manifest.label_n[test], probability[test, 1])
    assert found[Summary.TEST_AUROC] == pytest.approx(area)
    for name in set(Summary.OF_TWO_CLASSES) - {Summary.TEMPERATURE}:
        low, high = found[name + Summary.CI95]
        assert low <= found[name] <= high
    assert found[Summary.VAL_SPECIFICITY] >= Summary.SPECIFICITY
    called = probability[test, 1] >= found[Summary.THRESHOLD]
    assert found[Summary.TEST_SENSITIVITY] == pytest.approx(called[manifest.label_n[test] == 1].mean())
    said = capsys.readouterr().err
    assert "AUROC 0." in said
    assert "ECE" in said
    assert "differ from the validation rows" not in said


def test_of_a_calibrated_head_the_figures_before_are_of_what_it_said_before() -> None:
    manifest, probability = data()
    odds = np.log(probability[:, 1]) - np.log(probability[:, 0])
    before = 1 / (1 + np.exp(-odds / 4))
    found, alone = (
        binary_evaluation.figures(manifest, probability, seed=0, **more)
        for more in (
            {"uncalibrated_n2": np.stack([1 - before, before], axis=1), "temperature": 0.25},
            {},
        )
    )
    assert found[Summary.TEMPERATURE] == 0.25
    assert found[Summary.TEST_ECE_CALIBRATED] == pytest.approx(alone[Summary.TEST_ECE])  # as the head says it
    assert found[Summary.TEST_NLL] > found[Summary.TEST_NLL_CALIBRATED]
    assert found[Summary.NLL_CHANGE][2] < 0
    assert found[Summary.THRESHOLD] == alone[Summary.THRESHOLD]


def test_test_rows_unlike_the_validation_rows_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    manifest, probability = data(shift=2.0)
    binary_evaluation.figures(manifest, probability, seed=0)
    assert "differ from the validation rows" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("split", ["val", "test"])
def test_without_one_of_the_classes_there_are_no_figures(split: str) -> None:
    manifest, probability = data()
    manifest.label_n[manifest.rows(split)] = 1
    assert binary_evaluation.figures(manifest, probability, seed=0) == {}


def test_groups_are_counted_by_split_and_those_in_two_are_told() -> None:
    split = np.array(["train", "train", "val", "test", "test", "test"])
    manifest: Any = SimpleNamespace(
        group=["a", "a", "a", "b", "", "c"], split_n=split, rows=lambda part: np.flatnonzero(split == part)
    )
    assert groups_by_split(manifest) == {"train": 1, "val": 1, "test": 2, "in_two_splits": 1}
