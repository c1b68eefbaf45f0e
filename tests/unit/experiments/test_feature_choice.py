"""A sweep chooses the feature recipe on rows that are not test rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer.core.config import Recipe
from trainer.core.errors import InputError
from trainer.data.load import load
from trainer.experiments.extraction.config import ExtractConfig
from trainer.experiments.extraction.run import run as run_extraction
from trainer.experiments.hardware import Plan
from trainer.experiments.inputs import encoder_settings
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.feature_choice import choose_recipe
from trainer.experiments.sweep.trials import check
from trainer.experiments.sweep.validation import plan_validation
from trainer.features.extract import Features, extract
from trainer.features.settings import EncoderSettings

RECIPES: tuple[Recipe, ...] = ("cls4+patch", "pooled", "cls4")
PLAN = Plan("cpu", "float32", Path())


def _features(tmp_path: Path, *, telling: int) -> Features:
    """Five parts of two numbers, of which one alone tells the classes; test rows are labelled at random."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(90, 10)).astype(np.float32), np.arange(90) % 2
    x[:, 2 * telling] += 12 * y
    np.savez(
        tmp_path / "x.npz",
        **{"train_x": x[:50], "train_y": y[:50], "val_x": x[50:70], "val_y": y[50:70]},
        **{"test_x": x[70:], "test_y": random.permutation(y[70:])},
    )
    manifest = load(str(tmp_path / "x.npz"), seed=0)
    return extract(manifest, EncoderSettings(encoder="demo", cache_dir=tmp_path))


@pytest.mark.parametrize(
    ("telling", "best", "validate"),
    [(0, "pooled", "holdout"), (2, "cls4", "cv"), (4, "cls4+patch", "holdout")],
)
def test_the_recipe_that_tells_the_classes_is_chosen(
    tmp_path: Path, telling: int, best: str, validate: str
) -> None:
    features = _features(tmp_path, telling=telling)
    config = SweepConfig(features=RECIPES, validate=validate, folds=2)  # type: ignore[arg-type]
    settings = EncoderSettings(encoder="demo", cache_dir=tmp_path, space="cls4+patch")
    how = (settings, config, plan_validation(config, features.manifest, None), PLAN)
    chosen, scores = choose_recipe(features, *how, before=None)
    assert chosen.vectors_nd.shape[1] == {"pooled": 2, "cls4": 8, "cls4+patch": 10}[best]
    assert scores[best] == max(scores.values()) > 0.85
    assert set(scores) == set(RECIPES)
    again, recorded = choose_recipe(features, *how, before={"features": {**scores, "cls4": 2.0}})
    assert recorded["cls4"] == 2.0  # a resumed study goes on with its record
    assert again.vectors_nd.shape[1] == 8
    relabelled = replace(features.manifest, label_n=features.manifest.label_n.copy())
    relabelled.label_n[relabelled.rows("test")] = 0
    assert choose_recipe(replace(features, manifest=relabelled), *how, before=None)[1] == scores


def test_of_equal_recipes_the_smallest_is_chosen(tmp_path: Path) -> None:
    features = _features(tmp_path, telling=0)
    config = SweepConfig(features=RECIPES)
    settings = EncoderSettings(encoder="demo", cache_dir=tmp_path, space="cls4+patch")
    validation = plan_validation(config, features.manifest, None)
    before = {"features": dict.fromkeys(RECIPES, 0.5)}
    chosen, _ = choose_recipe(features, settings, config, validation, PLAN, before=before)
    assert chosen.vectors_nd.shape[1] == 2


def test_flags_that_name_no_recipe_one_twice_or_several_where_one_is_expected_are_refused(
    tracking_uri: str,
) -> None:
    for features in ((), ("cls4", "cls4")):
        with pytest.raises(InputError, match="name one recipe, or several once each"):
            check(SweepConfig(features=features))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"names 2 recipes\. A sweep chooses among several"):
        encoder_settings(SweepConfig(features=("pooled", "cls4")), "cpu")
    shared = ExtractConfig(space="shared", features=("cls4",), tracking_uri=tracking_uri)
    with pytest.raises(InputError, match="--space shared has no other --features than pooled"):
        run_extraction(shared)
