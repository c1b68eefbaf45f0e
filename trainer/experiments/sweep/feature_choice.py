"""Which of several feature recipes a sweep searches on: chosen before the search, by logistic regressions (of
several labels one per label), of numbers by ridge regressions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from trainer.core.console import say
from trainer.experiments.sweep.validation import Validation, folds_of
from trainer.stats.objective import objective_named

if TYPE_CHECKING:
    from trainer.core.config import Recipe
    from trainer.experiments.hardware import Plan
    from trainer.experiments.sweep.config import SweepConfig
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings

FEATURES = "features"  # in a study's identity, where several recipes were named: the score of each
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # λ
NUMBER_STRENGTHS = (1e-2, 0.1, 1.0, 10.0, 100.0)  # λ of ridge regressions
ITERATIONS = 200


def score_recipes(
    features: Features,
    settings: EncoderSettings,
    config: SweepConfig,
    validation: Validation,
    plan: Plan,
) -> dict[str, float]:
    """Return the score by the objective of each recipe that ``config`` names, on the rows that judge the
    trials.

    It is that of a logistic regression with the best of `STRENGTHS`, of numbers a ridge regression, trained
    on the parts that train the trials, so never on test rows.

    Args:
        features: of the space of ``settings``, which contains the others.
    """
    from trainer.features.extract import with_recipe
    from trainer.heads.folded_population import FoldedPopulation
    from trainer.heads.head_config import HeadSpec

    scores: dict[str, float] = {}
    objective = objective_named(config.objective)
    for recipe in config.features:
        folds = folds_of(with_recipe(features, settings, recipe), validation, plan.device, objective)
        if objective.numbers:
            heads = [HeadSpec(target="number", solver="ridge", l2=l2) for l2 in NUMBER_STRENGTHS]
        else:
            usual = HeadSpec(target=objective.target, solver="lbfgs", epochs=ITERATIONS)
            heads = [dataclasses.replace(usual, l2=l2) for l2 in STRENGTHS]
        specs = [folds.as_judged(head) for head in heads]
        population = FoldedPopulation(specs, folds.parts, seeds=[0], precision=plan.precision)
        population.train(ITERATIONS)
        best = max((population.outcome(k).score for k in range(len(specs))), key=objective.utility)
        scores[recipe] = round(best, 6)
    return scores


def choose_recipe(
    features: Features,
    settings: EncoderSettings,
    config: SweepConfig,
    validation: Validation,
    plan: Plan,
    *,
    before: Mapping[str, Any] | None,
) -> tuple[Features, dict[str, float]]:
    """Return the features of the recipe with the best score, of equals the smallest, and all scores.

    Args:
        features: of the space of ``settings``, which contains the others.
        before: the identity of the study to resume, whose scores are taken, or None.
    """
    from trainer.features.extract import with_recipe
    from trainer.features.recipes import PARTS

    recorded = (before or {}).get(FEATURES, {})
    known = set(recorded) == set(config.features)
    scores = recorded if known else score_recipes(features, settings, config, validation, plan)
    objective = objective_named(config.objective)
    best = max(scores, key=lambda recipe: (objective.utility(scores[recipe]), -PARTS[cast("Recipe", recipe)]))
    listed = ", ".join(f"{recipe} {score:.3f}" for recipe, score in scores.items())
    rows = "out-of-fold" if validation.crossed else "validation"
    kind = "ridge" if objective.numbers else "logistic"
    say(f"Features: {best}, the best by {rows} {objective.title} of {kind} regressions ({listed}).")
    return with_recipe(features, settings, cast("Recipe", best)), scores
