"""A cross-validated search on a small set of rows, as a sweep makes it."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

CLASSES, FEATURES, ROWS, NEW_ROWS = 8, 48, 250, 20_000


class SmallSearch(NamedTuple):
    """What was searched, found and chosen."""

    folds: Any
    seeds: list[int]
    log: Any  # `trainer.search.trial_log.TrialLog`
    score_s: dict[int, np.ndarray]  # of each trial, by seed
    found: list[Any]  # candidates, the best first
    choice: Any  # `trainer.search.refit.Choice`

    def hand_over(self, choice: Any) -> Any:
        """Return the head of a choice, trained on all rows."""
        from trainer.search import refit

        seeds, found = self.seeds, self.found
        heads = refit.hand_over(found, choice, self.folds, seeds=seeds, precision="float32", refit=True)
        return heads[0].head


def gaussian_classes(random: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to learn from and new rows of the same classes, which share a covariance."""
    means_cd = random.normal(size=(CLASSES, FEATURES)) * 0.17
    mix_dd = random.normal(size=(FEATURES, FEATURES)) / np.sqrt(FEATURES) * 0.8 + np.eye(FEATURES) * 0.6
    drawn = []
    for rows in (ROWS, NEW_ROWS):
        label_n = random.integers(0, CLASSES, rows)
        noise_nd = random.normal(size=(rows, FEATURES)) @ mix_dd
        drawn.append(((means_cd[label_n] + noise_nd).astype(np.float32), label_n))
    return drawn


def search_small(
    learned: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    trials: int,
    path: int,
    epochs: int,
    objective: str = "f1",
) -> SmallSearch:
    """Search with five folds and two seeds, twelve trials at a time, the first ``path`` of them linear.

    Args:
        learned: rows [N, D] and their labels [N].
    """
    from trainer.heads.folds import assign_folds
    from trainer.heads.resampling import crossed
    from trainer.heads.training_data import to_training_data
    from trainer.search import loop, refit, study, trial_log
    from trainer.search.space import load_space
    from trainer.stats.objective import objective_named

    (x_nd, label_n), score = learned, objective_named(objective)
    classes, unit_n = int(label_n.max()) + 1, np.arange(len(label_n))
    learning = to_training_data(learned, (x_nd[:0], label_n[:0]), classes=classes).judged_by(score)
    folds = crossed(learning, assign_folds(label_n, unit_n, folds=5, repeats=1, seed=seed), unit_n)
    seeds = study.head_seeds(seed, 2)
    settings = loop.SearchSettings(seeds=seeds, trials=trials, batch_size=12, pruner="median")
    space = load_space()
    space = dataclasses.replace(space, fixed={**space.fixed, "epochs": epochs})
    searching = study.Study(space, seed=seed, pruner="median", path=path, best_third=True)
    log, score_s = trial_log.TrialLog(objective=score), {}
    for step in loop.search(searching, folds, settings):
        log.add(step.ended)
        score_s |= {record.number: record.outcome.score_s for record in step.ended}
    best = trial_log.best_trials(log.finished, cells=label_n.size * classes)
    found = refit.candidates(best, log.held_out, folds.judged_labels, score)
    choice = refit.choose(found, folds.judged_labels, unit_n, score, seed=seed)
    return SmallSearch(folds, seeds, log, score_s, found, choice)
