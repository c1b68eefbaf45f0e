"""Decide what a search hands over, and train it on every labelled row that is not test.

What is compared are answers to rows that a head did not learn from: out of fold, or validation rows. They
are on record with the best trials, so that a study that was interrupted decides the same, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, logit

from trainer.core import text
from trainer.heads.ensemble import (
    Ensemble,
    Member,
    fit_temperature,
    greedy_weights,
    mean_of,
)
from trainer.heads.folded_population import FoldedPopulation, judged_at_its_end
from trainer.heads.head import Head
from trainer.heads.memory_estimate import groups_that_fit
from trainer.heads.platt import LabelScale, fit_label_scale
from trainer.heads.population import Population, Precision
from trainer.heads.resampling import Folds
from trainer.search.space import head_spec
from trainer.search.study import FinishedTrial
from trainer.stats.intervals import Interval, mean_difference
from trainer.stats.multilabel import LEAST_PROBABILITY
from trainer.stats.objective import F1, NLL, R2, Objective

NAMES = {0: "best linear", 1: "best 1-hidden", 2: "best 2-hidden"}
ALL_SEEDS = -1  # seed index of a head that is the mean over seeds


class HeldOut(NamedTuple):
    """What a head says of rows of train and val without having learned from them."""

    rows: np.ndarray  # int64 [M], among the rows of train, then of val
    probability_mc: np.ndarray  # of numbers these, [M, 1]; here and below
    uncalibrated_mc: np.ndarray  # the same before any temperature


class Finalist(NamedTuple):
    """A head that answers the test rows."""

    name: str
    trial: int  # of an ensemble, that of its heaviest member
    seed_index: int
    leading_score: float  # `Objective.leading` (macro-F1, R², mAP), on rows that it did not learn from
    head: Head | Ensemble
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class CalibratedTrial:
    """A trial as the mean over its seeds, with what it says of rows that it did not learn from."""

    trial: FinishedTrial
    temperature: float
    probability_mc: np.ndarray  # of the judged rows, calibrated
    uncalibrated_mc: np.ndarray
    score: float  # higher is better: `Objective.utility`
    leading_score: float  # `Objective.leading`: macro-F1, R², mAP
    loss: float  # mean of `Objective.losses`


class Choice(NamedTuple):
    """What is handed over."""

    weights: dict[int, float]  # trials and their weights, the heaviest first
    probability_mc: np.ndarray  # of the judged rows
    leading_score: float
    score: float  # by the objective, as it is shown
    gain: Interval  # how much lower the mean of the ensemble's `Objective.losses` is than the best trial's
    lead: Interval  # how much higher its score is; of a log-loss how much lower


def choose_finalists(trials: Sequence[FinishedTrial]) -> dict[str, FinishedTrial]:
    """Return the best completed trial, and for comparison the best of every other depth.

    All are selected by `ranking`.
    """
    ranked = ranking(trials)
    chosen: dict[str, FinishedTrial] = {"best": ranked[0]} if ranked else {}
    for depth, name in NAMES.items():
        of_depth = [t for t in ranked if t.params["depth"] == depth]
        if of_depth and of_depth[0] is not ranked[0]:
            chosen[name] = of_depth[0]
    return chosen


def ranking(trials: Sequence[FinishedTrial]) -> list[FinishedTrial]:
    """Return the completed trials, the best first: by score; ties go to the lower validation loss, then to
    the earlier trial."""
    complete = (trial for trial in trials if trial.state == "complete")
    return sorted(complete, key=lambda trial: (-trial.score, trial.log_loss, trial.number))


def describe(choice: Choice, objective: Objective, *, crossed: bool) -> str:
    """Say what is handed over, and why."""
    rows = "out of fold" if crossed else "on the validation rows"
    gain, lead = choice.gain, choice.lead
    form, change = text.forms(in_units=objective.in_units)
    lower = text.interval(-gain.value, (-gain.high, -gain.low), text.change)
    compared = f"{'unexplained variance' if objective.numbers else 'log-loss'} {lower}"
    if objective not in (NLL, R2):
        compared += f", {objective.title} {text.interval(lead.value, lead[1:], change)}"
    score = f"{objective.title} {form(choice.score)} {rows}"
    if len(choice.weights) > 1:
        return (
            f"Final head: an ensemble of {len(choice.weights)} trials, {score}. Against the best single "
            f"trial: {compared}."
        )
    return (
        f"Final head: trial {next(iter(choice.weights))}, {score}. The ensemble was not taken: against the "
        f"trial it has {compared}."
    )


def candidates(
    trials: Sequence[FinishedTrial],
    held_out: Mapping[int, np.ndarray],
    label_m: np.ndarray,
    objective: Objective = F1,
) -> list[CalibratedTrial]:
    """Return the trials whose answers to rows that they did not learn from are known, `in_order`.

    Args:
        held_out: by trial, see `FoldedPopulation.held_out`.
        label_m: int64 [M], of the same rows; numbers float64, several labels bool [M, C].
    """
    found = []
    for trial in trials:
        if trial.number not in held_out:
            continue
        said_mc = held_out[trial.number].astype(np.float32)
        if objective.numbers:
            found.append(judged(trial, 1.0, said_mc, said_mc, label_m, objective))
            continue
        if objective.labels:
            p_mc = expit(said_mc)
            found.append(judged(trial, 1.0, p_mc, p_mc, label_m, objective))
            continue
        log_mc = torch.from_numpy(said_mc)
        temperature = fit_temperature(log_mc, torch.from_numpy(label_m))
        p_mc, raw_mc = ((log_mc / heat).softmax(1).numpy() for heat in (temperature, 1.0))
        found.append(judged(trial, temperature, p_mc, raw_mc, label_m, objective))
    return in_order(found)


def judged(
    trial: FinishedTrial,
    temperature: float,
    probability_mc: np.ndarray,
    uncalibrated_mc: np.ndarray,
    label_m: np.ndarray,
    objective: Objective,
) -> CalibratedTrial:
    """Return a trial with its scores on the judged rows, or on some of them."""
    leading, score = (one.of(label_m, probability_mc).value for one in (objective.leading, objective))
    # an area under the ROC curve is none where all rows are of one class
    better = -math.inf if math.isnan(score) else objective.utility(score)
    loss = float(objective.losses(probability_mc, label_m).mean())
    return CalibratedTrial(trial, temperature, probability_mc, uncalibrated_mc, better, leading, loss)


def in_order(found: Sequence[CalibratedTrial]) -> list[CalibratedTrial]:
    """Return candidates with the best first: by score; ties go to the lower loss, then to the earlier
    trial."""
    return sorted(found, key=lambda one: (-one.score, one.loss, one.trial.number))


def answers_again(
    trials: Sequence[FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> dict[int, np.ndarray]:
    """Train trials once more for what `candidates` needs: of a record that does not hold it."""
    trained = _trained(trials, folds, seeds=seeds, precision=precision)
    return {
        trials[place].number: population.held_out(index, judged=folds.judged)
        for place, population, index in trained
    }


def choose(
    found: Sequence[CalibratedTrial],
    label_m: np.ndarray,
    unit_m: np.ndarray,
    objective: Objective = F1,
    *,
    seed: int,
) -> Choice:
    """Return what is handed over: the greedy ensemble where its loss (`Objective.losses`) is lower, unless
    its score by the objective is worse by more than chance (the 95 % interval of the paired difference, over
    units); else the best candidate.

    The best of many scores is too high, a mean of several heads varies less: on new rows ensembles win more
    often than on the rows that choose (`benchmarks/ensembles.py`).

    Args:
        label_m: int64 [M], of the judged rows.
        unit_m: int64 [M], equal for dependent rows.
    """
    best = found[0]
    every_kmc = np.stack([one.probability_mc for one in found])
    weight_k = greedy_weights(every_kmc, label_m, seed=seed)
    together_mc = mean_of(every_kmc, weight_k)
    lower_m = objective.losses(best.probability_mc, label_m) - objective.losses(together_mc, label_m)
    gain = mean_difference(lower_m, unit_m)
    score, score_of_best = (objective.of(label_m, p_mc) for p_mc in (together_mc, best.probability_mc))
    ahead = score - score_of_best if objective.up else score_of_best - score
    lead = ahead.difference_interval(unit_m)
    if not (gain.value > 0 and lead.high >= 0):
        shown = objective.utility(best.score)
        return Choice({best.trial.number: 1.0}, best.probability_mc, best.leading_score, shown, gain, lead)
    order = sorted(np.flatnonzero(weight_k).tolist(), key=lambda k: -weight_k[k])
    weights = {found[k].trial.number: float(weight_k[k]) for k in order}
    leading = score if objective is objective.leading else objective.leading.of(label_m, together_mc)
    return Choice(weights, together_mc, leading.value, score.value, gain, lead)


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
    parts = {"best": (choice.weights, choice.probability_mc, choice.leading_score)}
    for depth, name in NAMES.items():
        of_depth = next((one for one in found if one.trial.params["depth"] == depth), None)
        if of_depth and (weights := {of_depth.trial.number: 1.0}) != choice.weights:
            parts[name] = (weights, of_depth.probability_mc, of_depth.leading_score)
    needed = dict.fromkeys(number for weights, _, _ in parts.values() for number in weights)
    trials = [by_number[number].trial for number in needed]
    heads = _final_heads(trials, folds, seeds=seeds, precision=precision, refit=refit)
    finalists = []
    for name, (weights, p_mc, leading) in parts.items():
        members = [
            Member(number, weight, by_number[number].temperature, heads[number])
            for number, weight in weights.items()
        ]
        calibration, said_mc = _calibrated(p_mc, folds)
        raw_mc = mean_of(
            np.stack([by_number[number].uncalibrated_mc for number in weights]), list(weights.values())
        )
        held_out = HeldOut(folds.judged_rows, said_mc, raw_mc)
        finalists.append(
            Finalist(
                name,
                members[0].trial,
                ALL_SEEDS if len(seeds) > 1 else 0,
                leading,
                Ensemble(tuple(members), *calibration),
                held_out if refit else None,  # else it answers them itself: it has not learned from them
            )
        )
    return finalists


def _calibrated(p_mc: np.ndarray, folds: Folds) -> tuple[tuple[float, LabelScale | None], np.ndarray]:
    """Return the temperature of what is handed over or, of several labels, their scale, and its calibrated
    answers; numbers stay as they are."""
    if folds.objective.numbers:
        return (1.0, None), p_mc
    if folds.objective.labels:
        log_odds_mc = logit(np.clip(p_mc.astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
        scale = fit_label_scale(log_odds_mc, folds.judged_labels)
        return (1.0, scale), scale.applied(torch.from_numpy(log_odds_mc)).sigmoid().numpy()
    log_mc = torch.from_numpy(p_mc).double().clamp_min(torch.finfo(torch.float64).tiny).log()
    temperature = fit_temperature(log_mc, torch.from_numpy(folds.judged_labels))
    return (temperature, None), (log_mc / temperature).softmax(1).numpy()


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
    found: dict[int, tuple[Head, ...]] = {}
    for group in groups_that_fit(specs, [data], seeds=len(seeds)):
        chosen = [specs[place] for place in group]
        population = Population(chosen, data, seeds=seeds, precision=precision)
        population.train(max(spec.epochs for spec in chosen))
        found |= {trials[place].number: population.heads(index) for index, place in enumerate(group)}
    return found


def scores_with_fresh_seeds(
    chosen: dict[str, FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> dict[str, np.ndarray]:
    """Return the score [S] of each configuration with fresh seeds, by the objective; seeds are paired."""
    trained, names = _trained(list(chosen.values()), folds, seeds=seeds, precision=precision), list(chosen)
    return {names[place]: population.outcome(index).score_s for place, population, index in trained}


def _trained(
    trials: Sequence[FinishedTrial], folds: Folds, *, seeds: Sequence[int], precision: Precision
) -> Iterator[tuple[int, FoldedPopulation, int]]:
    """Yield each trial's place, a trained population and its number there; as many at a time as fit."""
    specs = [folds.as_judged(head_spec(dict(trial.params))) for trial in trials]
    for group in groups_that_fit(specs, folds.parts, seeds=len(seeds)):
        chosen = [specs[place] for place in group]
        population = FoldedPopulation(chosen, folds.parts, seeds=seeds, precision=precision)
        population.train(max(spec.epochs for spec in chosen))
        for index, place in enumerate(group):
            yield place, population, index
