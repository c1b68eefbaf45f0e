"""Feature recipes on the same rows: ``python benchmarks/recipes.py [--encoder demo] DATA …``.

Of each DATA (what ``--data`` takes; without any, the demo) and each recipe (`pooled`, `cls4`, `cls4+patch`),
prints one JSON line:

- test_accuracy: of a logistic regression whose strength and scaling are the best on the validation rows,
  learned from train and val, with a 95 % Wilson interval;
- over_pooled: how much more of the test rows it gets right than with `pooled`, with a 95 % interval over
  rows, paired (Bonett and Price);
- out_of_fold_f1_macro: what a sweep chooses the recipe by, without the test rows;
- encode_s: seconds to encode 256 prepared images in float32, the median of 3 rounds in turn;
- fit_s: seconds to fit the regressions.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.config import Recipe
from trainer.data.load import load
from trainer.experiments.hardware import Plan
from trainer.experiments.inputs import training_data
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.feature_choice import score_recipes
from trainer.experiments.sweep.validation import plan_validation
from trainer.features.encoder import ImageEncoder
from trainer.features.extract import Features, extract, with_recipe
from trainer.features.hub import resolve
from trainer.features.settings import EncoderSettings
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population
from trainer.heads.training_data import Split, TrainingData
from trainer.stats.intervals import wilson
from trainer.stats.paired_comparison import accuracy_difference

RECIPES: tuple[Recipe, ...] = get_args(Recipe)
SPECS = [
    HeadSpec(solver="lbfgs", scaling=scaling, l2=l2, epochs=200, weights="last")  # type: ignore[arg-type]
    for scaling in ("centre", "standardise")
    for l2 in (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
]
IMAGES, ROUNDS = 256, 3


def right(features: Features) -> np.ndarray:
    """Return which test rows the chosen regression gets right: bool [N]."""
    import torch

    tried = Population(SPECS, training_data(features, "cpu"), seeds=[0])
    tried.train(200)
    best = max(range(len(SPECS)), key=lambda k: float(tried.outcome(k).val_accuracy_s[0]))
    manifest, learning = features.manifest, training_data(features, "cpu", refit=True)
    rows = manifest.rows("test")
    test = Split(torch.as_tensor(features.vectors_nd[rows]), torch.as_tensor(manifest.label_n[rows]))
    refit = Population([SPECS[best]], TrainingData(learning.train, test, classes=learning.classes), seeds=[0])
    refit.train(200)
    return (refit.head(0, seed_index=0).logits(test.x_nd).argmax(1) == test.y_n).numpy()


def encode_seconds(encoder: str) -> dict[str, float]:
    """Return the seconds that each recipe takes for the same images."""
    encoders = [ImageEncoder(resolve(encoder), device="cpu", space=recipe) for recipe in RECIPES]
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, *encoders[0].shape), dtype=np.uint8)
    seconds: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
    for one in encoders:
        one.forward(pixels[:32])  # warm-up
    for _ in range(ROUNDS):
        for recipe, one in zip(RECIPES, encoders, strict=True):
            began = time.perf_counter()
            for at in range(0, IMAGES, 32):
                one.forward(pixels[at : at + 32])
            seconds[recipe].append(time.perf_counter() - began)
    return {recipe: float(np.median(times)) for recipe, times in seconds.items()}


def measure(data: str, encoder: str, cache: Path) -> dict[str, Any]:
    settings = EncoderSettings(encoder=encoder, cache_dir=cache, space="cls4+patch", device="cpu")
    features = extract(load(data, seed=0), settings)
    config = SweepConfig(data=data, features=RECIPES, device="cpu", precision="float32")
    validation = plan_validation(config, features.manifest, None)
    scores = score_recipes(features, settings, config, validation, Plan.of(config))
    encode_s, found, pooled = encode_seconds(encoder), {}, None
    for recipe in RECIPES:
        began = time.perf_counter()
        right_n = right(with_recipe(features, settings, recipe))
        pooled = right_n if pooled is None else pooled
        gained, lost = int((right_n & ~pooled).sum()), int((pooled & ~right_n).sum())
        found[recipe] = {
            "test_accuracy": wilson(int(right_n.sum()), len(right_n)),
            "over_pooled": accuracy_difference(gained, lost, len(right_n)),
            "out_of_fold_f1_macro": scores[recipe],
            "encode_s": round(encode_s[recipe], 3),
            "fit_s": round(time.perf_counter() - began, 1),
        }
    return found


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("data", nargs="*", default=["demo"])
    flags.add_argument("--encoder", default="demo")
    asked = flags.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        for data in asked.data:
            print(json.dumps({data: measure(data, asked.encoder, Path(cache))}), flush=True)


if __name__ == "__main__":
    main()
