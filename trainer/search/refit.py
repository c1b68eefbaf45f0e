"""Decide what a search hands over, and train it on every labelled row that is not test.

What is compared are answers to rows that a head did not learn from: out of fold, or validation rows. They
are on record with the best trials, so that a study that was interrupted decides the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from trainer.heads.ensemble import (
    Ensemble,
    Member,
    fit_temperature,
    greedy_weights,
    mean_of,
)
from trainer.heads.folded_population import FoldedPopulation, judged_at_its_end
from trainer.heads.head import Head
from trainer.heads.population import Population, Precision
from trainer.heads.resampling import Folds
from trainer.search.space import head_spec
from trainer.search.study import FinishedTrial
from trainer.stats.calibration import row_losses
from trainer.stats.influence import of_f1_macro
from trainer.stats.intervals import Interval, confusion_matrix, f1_macro, mean_difference

NAMES = {0: "best linear", 1: "best 1-hidden", 2: "best 2-hidden"}
ALL_SEEDS = -1  # seed index of a head that is the mean over seeds


class HeldOut(NamedTuple):
    """What a head says of rows of train and val without having learned from them."""

    rows: np.ndarray  # int64 [M], among the rows of train, then of val
    probability_mc: np.ndarray
    uncalibrated_mc: np.ndarray  # the same before any temperature


class Finalist(NamedTuple):
    """A head that answers the test rows."""

    name: str
    trial: int  # of an ensemble, that of its heaviest member
    seed_index: int
    val_f1_macro: float  # on rows that it did not learn from
    head: Head | Ensemble
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class CalibratedTrial:
    """A trial as the mean over its seeds, with what it says of rows that it did not learn from."""

    trial: FinishedTrial
    temperature: float
    probability_mc: np.ndarray  # of the judged rows, calibrated
    uncalibrated_mc: np.ndarray
    f1_macro: float
    log_loss: float


class Choice(NamedTuple):
    """What is handed over."""

    weights: dict[int, float]  # trials and their weights, the heaviest first
    probability_mc: np.ndarray  # of the judged rows
    f1_macro: float
    gain: Interval  # how much lower the ensemble's log-loss is than the best trial's
    lead: Interval  # how much higher its macro-F1 is


def choose_finalists(trials: Sequence[FinishedTrial]) -> dict[str, FinishedTrial]:
    """Return the best completed trial, and for comparison the best of every other depth.

    All are selected by mean validation macro-F1; ties go to the earlier trial.
    """
    ranked = ranking(trials)
    chosen: dict[str, FinishedTrial] = {"best": ranked[0]} if ranked else {}
    for depth, name in NAMES.items():
        of_depth = [t for t in ranked if t.params["depth"] == depth]
        if of_depth and of_depth[0] is not ranked[0]:
            chosen[name] = of_depth[0]
    return chosen


def ranking(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    """Return the completed trials, the best first."""
    return sorted((t for t in trials if t.state == "complete"), key=lambda t: (-t.score, t.number))


def describe(choice: Choice, *, crossed: bool) -> str:
    """Say what is handed over, and why."""
    rows = "out of fold" if crossed else "on the validation rows"
    compared = (
        f"log-loss {choice.gain.value:.4f} [{choice.gain.low:+.4f}, {choice.gain.high:+.4f}] lower, macro-F1 "
        f"{choice.lead.value:+.4f} [{choice.lead.low:+.4f}, {choice.lead.high:+.4f}]"
    )
    if len(choice.weights) > 1:
        return (
            f"Final head: an ensemble of {len(choice.weights)} trials, {choice.f1_macro:.4f} macro-F1 {rows}."
            f" Against the best of them: {compared}."
        )
    return (
        f"Final head: trial {next(iter(choice.weights))}, {choice.f1_macro:.4f} macro-F1 {rows}. An ensemble "
        f"is not better by more than chance: {compared}."
    )


def candidates(
    trials: Sequence[FinishedTrial], held_out: Mapping[int, np.ndarray], label_m: np.ndarray
) -> list[CalibratedTrial]:
    """Return the trials whose answers to rows that they did not learn from are known, `in_order`.

    Args:
        held_out: by trial, see `FoldedPopulation.held_out`.
        label_m: int64 [M], of the same rows.
    """
    found = []
    for trial in trials:
        if trial.number not in held_out:
            continue
        log_mc = torch.from_numpy(held_out[trial.number].astype(np.float32))
        temperature = fit_temperature(log_mc, torch.from_numpy(label_m))
        p_mc, raw_mc = ((log_mc / heat).softmax(1).numpy() for heat in (temperature, 1.0))
        score = f1_of(p_mc.argmax(1), label_m, classes=p_mc.shape[1])
        loss = float(row_losses(p_mc, label_m).mean())
        found.append(CalibratedTrial(trial, temperature, p_mc, raw_mc, score, loss))
    return in_order(found)


def in_order(found: Sequence[CalibratedTrial]) -> list[CalibratedTrial]:
    """Return candidates with the best first: by macro-F1; ties go to the lower log-loss, then to the earlier
    trial."""
    return sorted(found, key=lambda one: (-one.f1_macro, one.log_loss, one.trial.number))


def answers_again(
    trials: Sequence[FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> dict[int, np.ndarray]:
    """Train trials once more for what `candidates` needs: of a record that does not hold it."""
    population = _trained(trials, folds, seeds=seeds, precision=precision)
    return {
        trial.number: population.held_out(index, judged=folds.judged) for index, trial in enumerate(trials)
    }


def choose(found: Sequence[CalibratedTrial], label_m: np.ndarray, unit_m: np.ndarray, *, seed: int) -> Choice:
    """Return what is handed over: the greedy ensemble where it is the better one, else the best candidate.

    The ensemble is better where its log-loss is lower by more than chance, and its macro-F1 is not lower by
    more than chance: 95 % intervals of the paired differences, over units.

    Args:
        label_m: int64 [M], of the judged rows.
        unit_m: int64 [M], equal for dependent rows.
    """
    best = found[0]
    every_kmc = np.stack([one.probability_mc for one in found])
    weight_k = greedy_weights(every_kmc, label_m, seed=seed)
    together_mc = mean_of(every_kmc, weight_k)
    lower_m = row_losses(best.probability_mc, label_m) - row_losses(together_mc, label_m)
    gain = mean_difference(lower_m, unit_m)
    f1, f1_of_best = (
        of_f1_macro(label_m, p_mc.argmax(1), classes=p_mc.shape[1])
        for p_mc in (together_mc, best.probability_mc)
    )
    lead = (f1 - f1_of_best).difference_interval(unit_m)
    if not (gain.low > 0 and lead.high >= 0):
        return Choice({best.trial.number: 1.0}, best.probability_mc, best.f1_macro, gain, lead)
    order = sorted(np.flatnonzero(weight_k).tolist(), key=lambda k: -weight_k[k])
    weights = {found[k].trial.number: float(weight_k[k]) for k in order}
    return Choice(weights, together_mc, f1.value, gain, lead)


def hand_over(
    found: Sequence[CalibratedTrial],
    choice: Choice,
    folds: Folds,
    *,
    seeds: Sequence[int],
    precision: Precision,
    refit: bool,
) -> list[Finalist]:
    """Train what was chosen, and for comparison the best candidate of every depth that is not all of it.

    Args:
        refit: learn from all rows that are not test, whole schedules; else from the training rows alone, each
            head with the weights of its best epoch.
    """
    by_number = {one.trial.number: one for one in found}
    parts = {"best": (choice.weights, choice.probability_mc, choice.f1_macro)}
    for depth, name in NAMES.items():
        of_depth = next((one for one in found if one.trial.params["depth"] == depth), None)
        if of_depth and (weights := {of_depth.trial.number: 1.0}) != choice.weights:
            parts[name] = (weights, of_depth.probability_mc, of_depth.f1_macro)
    needed = dict.fromkeys(number for weights, _, _ in parts.values() for number in weights)
    trials = [by_number[number].trial for number in needed]
    heads = _final_heads(trials, folds, seeds=seeds, precision=precision, refit=refit)
    finalists = []
    for name, (weights, p_mc, f1) in parts.items():
        members = [
            Member(number, weight, by_number[number].temperature, heads[number])
            for number, weight in weights.items()
        ]
        log_mc = torch.from_numpy(p_mc).double().clamp_min(torch.finfo(torch.float64).tiny).log()
        temperature = fit_temperature(log_mc, torch.from_numpy(folds.judged_labels))
        raw_mc = mean_of(
            np.stack([by_number[number].uncalibrated_mc for number in weights]), list(weights.values())
        )
        held_out = HeldOut(folds.judged_rows, (log_mc / temperature).softmax(1).numpy(), raw_mc)
        finalists.append(
            Finalist(
                name,
                members[0].trial,
                ALL_SEEDS if len(seeds) > 1 else 0,
                f1,
                Ensemble(tuple(members), temperature),
                held_out if refit else None,  # else it answers them itself: it has not learned from them
            )
        )
    return finalists


def _final_heads(
    trials: Sequence[FinishedTrial],
    folds: Folds,
    *,
    seeds: Sequence[int],
    precision: Precision,
    refit: bool,
) -> dict[int, tuple[Head, ...]]:
    """Return the heads of each trial, see `Population.heads`."""
    specs = [head_spec(dict(trial.params)) for trial in trials]
    if refit:
        specs = [judged_at_its_end(spec) for spec in specs]
    data = folds.learning if refit else folds.parts[0]
    population = Population(specs, data, seeds=seeds, precision=precision)
    population.train(max(spec.epochs for spec in specs))
    return {trial.number: population.heads(index) for index, trial in enumerate(trials)}


def scores_with_fresh_seeds(
    chosen: dict[str, FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> dict[str, np.ndarray]:
    """Return the validation macro-F1 [S] of each configuration with fresh seeds; seeds are paired."""
    population = _trained(list(chosen.values()), folds, seeds=seeds, precision=precision)
    return {name: population.outcome(index).val_f1_macro_s for index, name in enumerate(chosen)}


def _trained(
    trials: Sequence[FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> FoldedPopulation:
    specs = [folds.as_judged(head_spec(dict(trial.params))) for trial in trials]
    population = FoldedPopulation(specs, folds.parts, seeds=seeds, precision=precision)
    population.train(max(spec.epochs for spec in specs))
    return population


def f1_of(pred_n: np.ndarray, label_n: np.ndarray, *, classes: int) -> float:
    """Return the macro-F1 of predictions [N]."""
    return float(f1_macro(confusion_matrix(label_n, pred_n, classes=classes)))
