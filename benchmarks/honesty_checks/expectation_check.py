"""What a sweep expects on new data."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.honesty_checks.shares import Figures, progress
from benchmarks.honesty_checks.small_search import CLASSES, gaussian_classes, search_small

EPOCHS = 20


def expected_on_new_data(sets: int = 200) -> Figures:
    """What a sweep of 12 trials with two seeds expects, against the macro-F1 and accuracy of its final head
    on 20,000 further rows; 250 rows of eight Gaussian classes, five folds. Beside it: the best trial's score
    with its interval over seeds, and the cross-fitted score without the gain from the folds to all rows."""
    told: dict[str, list[tuple[Any, float]]] = {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for number, one in enumerate(processes.map(_of_one_set, range(sets))):
            for name, pair in one.items():
                told.setdefault(name, []).append(pair)
            progress("expected on new data", number + 1, sets)
    return {name: _coverage(pairs) for name, pairs in told.items()} | {"sets": sets}


def expected_by_objective(sets: int = 100) -> Figures:
    """The same for searches by log-loss, AUROC and balanced accuracy: what is expected of that score."""
    told: dict[str, list[tuple[Any, float]]] = {}
    jobs = [(name, number) for number in range(sets) for name in ("nll", "auroc", "balanced")]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for done, pairs in enumerate(processes.map(_of_one_objective, jobs)):
            for name, pair in pairs.items():
                told.setdefault(name, []).append(pair)
            progress("expected by objective", done + 1, len(jobs))
    return {name: _coverage(pairs) for name, pairs in told.items()} | {"sets": sets}


def _of_one_objective(job: tuple[str, int]) -> dict[str, tuple[Any, float]]:
    import torch

    from trainer.stats.objective import objective_named

    torch.set_num_threads(1)
    name, number = job
    objective = objective_named(name)
    learned, (new_nd, new_label_n) = gaussian_classes(np.random.default_rng(number))
    final, expected, uncorrected, _ = _searched(learned, seed=number, objective=name)
    truth = objective.of(new_label_n, final.probabilities(torch.as_tensor(new_nd)).numpy()).value
    return {
        f"expected_{objective.metric}": (expected.scores[objective], truth),
        f"without_learning_curve_{objective.metric}": (uncorrected.scores[objective], truth),
    }


def _of_one_set(number: int) -> dict[str, tuple[Any, float]]:
    """Return intervals with what they should cover."""
    import torch

    from trainer.stats.intervals import mean_over_seeds

    torch.set_num_threads(1)  # as many processes as processors
    learned, (new_nd, new_label_n) = gaussian_classes(np.random.default_rng(number))
    final, expected, uncorrected, score_s = _searched(learned, seed=number)
    f1, accuracy = _scores(new_label_n, final.probabilities(torch.as_tensor(new_nd)).numpy().argmax(1))
    return {
        "expected_f1_macro": (expected.f1_macro, f1),
        "expected_accuracy": (expected.accuracy, accuracy),
        "without_learning_curve_f1_macro": (uncorrected.f1_macro, f1),
        "best_trial_over_seeds_f1_macro": (mean_over_seeds(score_s)[0], f1),
    }


def _searched(
    learned: tuple[np.ndarray, np.ndarray], *, seed: int, objective: str = "f1"
) -> tuple[Any, Any, Any, np.ndarray]:
    """Return the final head of a cross-validated search, what it expects with and without the learning curve,
    and the scores of the best trial by seed."""
    from trainer.search import expectation, refit

    done = search_small(learned, seed=seed, trials=12, path=8, epochs=EPOCHS, objective=objective)
    expected, uncorrected = (
        expectation.expect(done.found, done.folds, seed=seed, refit=r) for r in (True, False)
    )
    best = refit.ranking(done.log.finished)[0].number
    return done.hand_over(done.choice), expected, uncorrected, done.score_s[best]


def _scores(label_n: np.ndarray, pred_n: np.ndarray) -> tuple[float, float]:
    from trainer.stats.intervals import accuracy, confusion_matrix, f1_macro

    confusion = confusion_matrix(label_n, pred_n, classes=CLASSES)
    return float(f1_macro(confusion)), float(accuracy(confusion))


def _coverage(pairs: list[tuple[Any, float]]) -> dict[str, float]:
    """How often intervals cover the truth, and by how much their values are off on average."""
    covers = np.mean([interval.low <= truth <= interval.high for interval, truth in pairs])
    bias = np.mean([interval.value - truth for interval, truth in pairs])
    return {"coverage": round(float(covers), 4), "bias": round(float(bias), 4)}
