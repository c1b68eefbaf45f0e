"""How often Headroom says something that is not true: ``python benchmarks/honesty.py [CHECK …]``.

Each check simulates data whose truth is known and counts wrong statements. Prints one JSON line per check.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from scipy.special import ndtri

from trainer.experiments.encoder_comparison.recommendation import Rival, recommend
from trainer.search import tpe
from trainer.search.space import Params, Space
from trainer.search.tpe import Observation
from trainer.stats import ped_anova
from trainer.stats.intervals import Interval, wilson
from trainer.stats.ped_anova import TrialGrid
from trainer.stats.power import simultaneous_level

Figures = dict[str, Any]


def share(count: int, of: int) -> Figures:
    """A share with its 95 % interval over simulations."""
    found = wilson(count, of)
    return {"share": round(found.value, 4), "ci95": [round(found.low, 4), round(found.high, 4)], "n": of}


# --- hyperparameter importance ----------------------------------------------------------------

CHOICES = ("a", "b", "c")


class FreeSpace(Space):
    """A space whose names all apply, whatever they are."""

    def propose(self, suggest: Callable[[str, BaseDistribution], Any]) -> Params:
        return {name: suggest(name, line) for name, line in self.varying.items()}


def importance(sweeps: int = 300) -> Figures:
    """Sweeps in which no hyperparameter has an effect: how many name one as important?

    ``corrected``: with Holm's correction, as the dashboard says it. ``uncorrected``: any of them beyond its
    own 95 % level. Trials are drawn at random, or proposed by the sweep's own TPE, which clusters them.
    """
    ped_anova.BOOTSTRAP, ped_anova.PERMUTATIONS = 2, 1000
    figures: Figures = {}
    for design in ("random", "tpe"):
        for parameters, trials in ((5, 64), (8, 64), (8, 128)):
            corrected = uncorrected = 0
            for seed in range(sweeps):
                found = effect_free_sweep(design, parameters, trials, seed)
                corrected += any(one.p_holm < ped_anova.LEVEL for one in found)
                uncorrected += any(one.p < ped_anova.LEVEL for one in found)
            figures[f"{design}, {parameters} hyperparameters, {trials} trials"] = {
                "corrected": share(corrected, sweeps),
                "uncorrected": share(uncorrected, sweeps),
            }
    return figures


def effect_free_sweep(design: str, parameters: int, trials: int, seed: int) -> list[ped_anova.Importance]:
    """The importances in a sweep of noise; every third hyperparameter is a choice of three, the others are
    numbers."""
    random = np.random.default_rng(seed)
    varying: dict[str, BaseDistribution] = {
        f"p{index}": CategoricalDistribution(CHOICES) if index % 3 == 2 else FloatDistribution(0, 1)
        for index in range(parameters)
    }
    space = FreeSpace(varying=varying, fixed={}, text={})
    seen: list[Observation] = []
    while len(seen) < trials:
        if design == "random":
            proposed = [space.propose(lambda _, line: drawn(line, random)) for _ in range(16)]
        elif not seen:
            proposed = [tpe.quasi_random(space, number=number, seed=seed) for number in range(16)]
        else:
            proposed = tpe.propose(space, seen, count=8, random=random)
        seen += [Observation(params, float(random.normal())) for params in proposed]
    loss_n = -np.array([one.value for one in seen])
    grids = [grid([one.params[name] for one in seen]) for name in varying]
    return ped_anova.importances(grids, [loss_n] * parameters, seed=seed)


def drawn(line: BaseDistribution, random: np.random.Generator) -> Any:
    return CHOICES[random.integers(3)] if isinstance(line, CategoricalDistribution) else random.random()


def grid(values: list[Any]) -> TrialGrid:
    if isinstance(values[0], str):
        return TrialGrid(np.array([CHOICES.index(value) for value in values]), len(CHOICES), ordered=False)
    place_n = np.array(values)
    place_n = (place_n - place_n.min()) / np.ptp(place_n)
    return TrialGrid(np.rint(49 * place_n).astype(int), 50, ordered=True)


# --- what to expect on new data ---------------------------------------------------------------

CLASSES, FEATURES, ROWS, NEW_ROWS = 8, 48, 250, 20_000


def expected_on_new_data(sets: int = 200) -> Figures:
    """What a sweep of 16 trials with two seeds expects, against the macro-F1 and accuracy of its final head
    on 20,000 further rows; 250 rows of eight Gaussian classes, five folds. Beside it: the best trial's score
    with its interval over seeds, and the cross-fitted score without the gain from the folds to all rows."""
    told: dict[str, list[tuple[Any, float]]] = {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for number, one in enumerate(processes.map(_of_one_set, range(sets))):
            for name, pair in one.items():
                told.setdefault(name, []).append(pair)
            _progress("expected on new data", number + 1, sets)
    return {name: _coverage(pairs) for name, pairs in told.items()} | {"sets": sets}


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


def _searched(x_nd: np.ndarray, label_n: np.ndarray, *, seed: int) -> tuple[Any, Any, Any, np.ndarray]:
    """Return the final head of a cross-validated search, what it expects with and without the learning curve,
    and the scores of the best trial by seed."""
    from trainer.heads.folds import assign_folds
    from trainer.heads.resampling import crossed
    from trainer.heads.training_data import to_training_data
    from trainer.search import expectation, loop, refit, study, trial_log
    from trainer.search.space import load_space

    learning = to_training_data((x_nd, label_n), (x_nd[:0], label_n[:0]), classes=CLASSES)
    unit_n = np.arange(len(label_n))
    folds = crossed(learning, assign_folds(label_n, unit_n, folds=5, repeats=1, seed=seed), unit_n)
    seeds = study.head_seeds(seed, 2)
    settings = loop.SearchSettings(seeds=seeds, trials=16, batch_size=16, pruner="median")
    searching = study.Study(load_space(), seed=seed, pruner="median", path=8, halves=True)
    log, scores = trial_log.TrialLog(), {}
    for step in loop.search(searching, folds, settings):
        log.add(step.ended)
        scores |= {record.number: record.outcome.val_f1_macro_s for record in step.ended}
    best = trial_log.best_trials(log.finished, cells=label_n.size * CLASSES)
    found = refit.candidates(best, log.held_out, folds.judged_labels)
    choice = refit.choose(found, folds.judged_labels, unit_n, seed=seed)
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


# --- recommendation of an encoder -------------------------------------------------------------


def encoders(comparisons: int = 2000, rows: int = 500, margin: float = 0.01) -> Figures:
    """Comparisons with two faster encoders, of which the first is really worse: how many recommend it?

    ``by_margin``: as the command does it. ``not_significant``: if it must only not be significantly worse.
    Paired differences have a standard deviation of 0.4 per row.
    """
    random = np.random.default_rng(0)
    figures: Figures = {}
    error = 0.4 / rows**0.5
    for worse in (0.01, 0.02, 0.05):
        wrong = old = 0
        for _ in range(comparisons):
            rivals = [rival(speed, below, error, random) for speed, below in ((2, worse), (1.5, 0.0))]
            wrong += recommend("best", 1.0, rivals, margin=margin, rows=rows).name == rivals[0].name
            old += rivals[0].high >= 0
        figures[f"{rows} rows, truly {worse:g} worse"] = {
            "by_margin": share(wrong, comparisons),
            "not_significant": share(old, comparisons),
        }
    return figures


def rival(speed: float, below: float, error: float, random: np.random.Generator) -> Rival:
    value = float(random.normal(-below, error))
    reach, wide = (float(ndtri((1 + level) / 2)) * error for level in (0.95, simultaneous_level(2)))
    less = Interval(value, value - reach, value + reach)
    return Rival(f"at {speed:g}", speed, less, value - wide, value + wide)


# --- the command ------------------------------------------------------------------------------

CHECKS: tuple[Callable[[], Figures], ...] = (expected_on_new_data, importance, encoders)


def _progress(name: str, done: int, total: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"{name}: {done}/{total}", file=sys.stderr, flush=True)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    flags.add_argument(
        "check", nargs="*", choices=[[], *(check.__name__ for check in CHECKS)], metavar="CHECK"
    )
    wanted = flags.parse_args().check
    for check in CHECKS:
        if not wanted or check.__name__ in wanted:
            print(json.dumps({"check": check.__name__, **check()}), flush=True)


if __name__ == "__main__":
    main()
