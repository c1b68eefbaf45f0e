"""What a sweep expects on new data."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.honesty_checks.shares import Figures, progress

CLASSES, FEATURES, ROWS, NEW_ROWS = 8, 48, 250, 20_000
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
    (x_nd, label_n), (new_nd, new_label_n) = _gaussian_classes(np.random.default_rng(number))
    final, expected, uncorrected, _ = _searched(x_nd, label_n, seed=number, objective=name)
    truth = objective.of(new_label_n, final.probabilities(torch.as_tensor(new_nd)).numpy()).value
    return {
        f"expected_{objective.metric}": (expected.objective, truth),
        f"without_learning_curve_{objective.metric}": (uncorrected.objective, truth),
    }


def _of_one_set(number: int) -> dict[str, tuple[Any, float]]:
    """Return intervals with what they should cover."""
    import torch

    from trainer.stats.intervals import mean_over_seeds

    torch.set_num_threads(1)  # as many processes as processors
    (x_nd, label_n), (new_nd, new_label_n) = _gaussian_classes(np.random.default_rng(number))
    final, expected, uncorrected, score_s = _searched(x_nd, label_n, seed=number)
    f1, accuracy = _scores(new_label_n, final.probabilities(torch.as_tensor(new_nd)).numpy().argmax(1))
    return {
        "expected_f1_macro": (expected.f1_macro, f1),
        "expected_accuracy": (expected.accuracy, accuracy),
        "without_learning_curve_f1_macro": (uncorrected.f1_macro, f1),
        "best_trial_over_seeds_f1_macro": (mean_over_seeds(score_s)[0], f1),
    }


def _gaussian_classes(random: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to learn from and new rows of the same classes, which share a covariance."""
    means_cd = random.normal(size=(CLASSES, FEATURES)) * 0.17
    mix_dd = random.normal(size=(FEATURES, FEATURES)) / np.sqrt(FEATURES) * 0.8 + np.eye(FEATURES) * 0.6
    drawn = []
    for rows in (ROWS, NEW_ROWS):
        label_n = random.integers(0, CLASSES, rows)
        noise_nd = random.normal(size=(rows, FEATURES)) @ mix_dd
        drawn.append(((means_cd[label_n] + noise_nd).astype(np.float32), label_n))
    return drawn


def _searched(
    x_nd: np.ndarray, label_n: np.ndarray, *, seed: int, objective: str = "f1"
) -> tuple[Any, Any, Any, np.ndarray]:
    """Return the final head of a cross-validated search, what it expects with and without the learning curve,
    and the scores of the best trial by seed."""
    from trainer.heads.folds import assign_folds
    from trainer.heads.resampling import crossed
    from trainer.heads.training_data import to_training_data
    from trainer.search import expectation, loop, refit, study, trial_log
    from trainer.search.space import load_space
    from trainer.stats.objective import objective_named

    score = objective_named(objective)
    learning = to_training_data((x_nd, label_n), (x_nd[:0], label_n[:0]), classes=CLASSES).judged_by(score)
    unit_n = np.arange(len(label_n))
    folds = crossed(learning, assign_folds(label_n, unit_n, folds=5, repeats=1, seed=seed), unit_n)
    seeds = study.head_seeds(seed, 2)
    settings = loop.SearchSettings(seeds=seeds, trials=12, batch_size=12, pruner="median")
    space = load_space()
    space = dataclasses.replace(space, fixed={**space.fixed, "epochs": EPOCHS})
    searching = study.Study(space, seed=seed, pruner="median", path=8, thins=True)
    log, scores = trial_log.TrialLog(objective=score), {}
    for step in loop.search(searching, folds, settings):
        log.add(step.ended)
        scores |= {record.number: record.outcome.score_s for record in step.ended}
    best = trial_log.best_trials(log.finished, cells=label_n.size * CLASSES)
    found = refit.candidates(best, log.held_out, folds.judged_labels, score)
    choice = refit.choose(found, folds.judged_labels, unit_n, score, seed=seed)
    heads = refit.hand_over(found, choice, folds, seeds=seeds, precision="float32", refit=True)
    expected, uncorrected = (expectation.expect(found, folds, seed=seed, refit=r) for r in (True, False))
    return heads[0].head, expected, uncorrected, scores[refit.ranking(log.finished)[0].number]


def _scores(label_n: np.ndarray, pred_n: np.ndarray) -> tuple[float, float]:
    from trainer.stats.intervals import accuracy, confusion_matrix, f1_macro

    confusion = confusion_matrix(label_n, pred_n, classes=CLASSES)
    return float(f1_macro(confusion)), float(accuracy(confusion))


def _coverage(pairs: list[tuple[Any, float]]) -> dict[str, float]:
    """How often intervals cover the truth, and by how much their values are off on average."""
    covers = np.mean([interval.low <= truth <= interval.high for interval, truth in pairs])
    bias = np.mean([interval.value - truth for interval, truth in pairs])
    return {"coverage": round(float(covers), 4), "bias": round(float(bias), 4)}
