"""The trials of a sweep and its best heads, with or without a record in MLflow."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from trainer.core import errors
from trainer.core.config import check_coverage, require_at_least
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.stopwatch import Stopwatch
from trainer.experiments.sweep.config import SweepConfig
from trainer.stats.objective import F1, OBJECTIVES, objective_named
from trainer.tracking.schema import Summary, Trials

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest
    from trainer.experiments.evaluation import Evaluation
    from trainer.experiments.hardware import Plan
    from trainer.features.extract import Features
    from trainer.heads.resampling import Folds
    from trainer.search.expectation import Expectation
    from trainer.search.loop import SearchSettings, SearchStep
    from trainer.search.refit import Finalist
    from trainer.search.space import Space
    from trainer.search.trial_log import TrialLog

# objective where --objective is not given
USUAL: dict[str, Literal["r2", "map"]] = {"number": "r2", "labels": "map"}
KINDS = {"class": "classes", "number": "numbers", "labels": "several per image"}
WITH_SIZE = "f1+size"  # the objective that looks for small heads, too
RECORDING = "tables"  # name on the stopwatch


def check(config: SweepConfig) -> None:
    """Raise InputError for a flag that makes no sense."""
    require_at_least(config, trials=1, seeds=1, at_once=1, seed=0, views=0, fresh_seeds=0, folds=2, repeats=1)
    if not config.features or len(set(config.features)) < len(config.features):
        named = " ".join(config.features)
        raise InputError(f"--features is {named!r}; name one recipe, or several once each.")
    check_coverage(config.coverage)
    objective = objective_named(config.objective)
    if config.objective not in (*OBJECTIVES, WITH_SIZE):
        allowed = ", ".join((*OBJECTIVES, WITH_SIZE))
        raise InputError(f"--objective is {config.objective!r}; it must be one of {allowed}.")
    if config.enough is not None and not 0 < config.enough <= objective.most:
        most = f" and at most {objective.most:g}" if objective.up else ""
        raise InputError(f"--target is {config.enough}; it must be a {objective.title} above 0{most}.")
    if config.timeout is not None and config.timeout <= 0:
        raise InputError(f"--timeout is {config.timeout}; it must be a number of seconds above 0.")


def for_labels(config: SweepConfig, manifest: Manifest) -> SweepConfig:
    """Return the flags as they are for classes, for numbers or for several labels, whichever the labels are.

    Raises:
        InputError: the objective is one of another kind.
    """
    objective, kind = objective_named(config.objective), manifest.target
    if kind != "class" and config.target is None:
        config = dataclasses.replace(config, target=kind)
    if kind != "class" and config.objective == F1.name:
        return dataclasses.replace(config, objective=USUAL[kind])
    if objective.target != kind:
        fitting = ", ".join(one.name for one in OBJECTIVES.values() if one.target == kind)
        also = f", or --target {objective.target}" if kind == "class" else ""
        raise InputError(
            f"--objective {config.objective} is for {KINDS[objective.target]}, and the labels of "
            f"{config.data} are {KINDS[kind]}. Pass one of {fitting}{also}."
        )
    return config


def search_settings(config: SweepConfig, plan: Plan, folds: Folds) -> SearchSettings:
    """Return how the trials are trained on this machine; the first time on a CPU this is measured."""
    from trainer.search.loop import SearchSettings
    from trainer.search.study import head_seeds

    return SearchSettings(
        seeds=head_seeds(config.seed, config.seeds),
        trials=config.trials,
        batch_size=config.at_once,
        pruner=config.pruner,
        precision=plan.precision,
        slab_bytes=plan.slab_bytes(folds.parts[0], seeds=config.seeds),
    )


def run_trials(
    config: SweepConfig,
    settings: SearchSettings,
    space: Space,
    folds: Folds,
    trial_log: TrialLog,
    stopwatch: Stopwatch,
) -> Iterator[SearchStep]:
    """Run the trials that are missing from the trial log; what has ended is in it when a step is yielded."""
    from trainer.search import loop
    from trainer.search.study import Study

    study = Study(
        space,
        seed=config.seed,
        pruner=config.pruner,
        path=config.trials // 2,
        sized=config.objective == WITH_SIZE,
        best_third=folds.crossed,  # each of these trials takes several times as long
    )
    study.recall(trial_log.finished)
    study.requeue(trial_log.interrupted)
    started = time.monotonic()

    def should_stop() -> str:
        if config.timeout is not None and time.monotonic() - started > config.timeout:
            return f"Given up when the {config.timeout:g} s of --timeout were over."
        best, objective = trial_log.best(), trial_log.objective
        if config.enough is None or best is None:
            return ""
        if objective.utility(best[objective.column]) >= objective.utility(config.enough):
            return f"Given up when another trial had reached the --target of {config.enough:g}."
        return ""

    for step in loop.search(study, folds, settings, should_stop=should_stop, stopwatch=stopwatch):
        with stopwatch.measure(RECORDING):
            trial_log.add(step.ended)
        yield step


class Selection(NamedTuple):
    """What a search hands over, before the test rows are answered."""

    finalists: list[Finalist]  # the final head and, to compare with, the best of every depth that it is not
    expected: Expectation | None  # on new data; None of too few rows to tell


def select(config: SweepConfig, plan: Plan, folds: Folds, trial_log: TrialLog) -> Selection:
    """Choose heads by what they say of rows that they did not learn from, and train them on all rows that are
    not test.

    Args:
        unit_n: of the learning rows, see `trainer.stats.units`.

    Raises:
        NoResultError: no trial completed.
    """
    from trainer.experiments import evaluation
    from trainer.search import refit
    from trainer.search.expectation import expect
    from trainer.search.study import head_seeds
    from trainer.search.trial_log import best_trials

    if trial_log.best() is None:
        raise errors.NoResultError(
            "No trial completed: every loss stopped being a finite number. Narrow the learning rate, for "
            "example with a file of the one line `lr: {log: [1.0e-5, 1.0e-2]}`, passed as --space."
            if config.timeout is None
            else f"No trial completed within the {config.timeout:g} s of --timeout. Give it more time."
        )
    seeds = head_seeds(config.seed, config.seeds)
    held_out = dict(trial_log.held_out)
    best = best_trials(trial_log.finished, cells=len(folds.judged_rows) * folds.learning.classes)
    unknown = [trial for trial in best if trial.number not in held_out]
    if unknown:  # the record of a version that did not keep them
        held_out |= refit.answers_again(unknown, folds, seeds=seeds, precision=plan.precision)
    objective, label_m = folds.objective, folds.judged_labels
    found = refit.candidates(best, held_out, label_m, objective)
    choice = refit.choose(found, label_m, folds.unit_n[folds.judged_rows], objective, seed=config.seed)
    say(refit.describe(choice, objective, crossed=folds.crossed))
    expected = expect(found, folds, seed=config.seed, refit=config.refit)
    evaluation.report_expectation(expected)
    heads = refit.hand_over(found, choice, folds, seeds=seeds, precision=plan.precision, refit=config.refit)
    return Selection(heads, expected)


def evaluation_of(config: SweepConfig, features: Features, selection: Selection) -> Evaluation:
    """Return the answers of what was chosen, of whichever kind. It answers the test rows."""
    from trainer.experiments.evaluation import Evaluation
    from trainer.experiments.label_evaluation import LabelEvaluation
    from trainer.experiments.number_evaluation import NumberEvaluation

    kinds = {"class": Evaluation, "number": NumberEvaluation, "labels": LabelEvaluation}
    return kinds[features.manifest.target](
        *(features, selection.finalists),
        seed=config.seed,
        coverage=config.coverage,
        objective=objective_named(config.objective),
    )


def fresh_seeds(config: SweepConfig, plan: Plan, folds: Folds, trial_log: TrialLog) -> dict[str, Any]:
    """Return how the best configurations score with other seeds; {} where seeds change nothing."""
    from trainer.experiments import evaluation
    from trainer.search import refit
    from trainer.search.space import head_spec
    from trainer.search.study import head_seeds

    chosen = refit.choose_finalists(trial_log.finished)
    if not head_spec(dict(chosen["best"].params)).is_random:
        say(f"Retraining with new seeds changes nothing: trial {chosen['best'].number} is deterministic.")
        return {}
    seeds = head_seeds(config.seed, config.fresh_seeds, first=config.seeds)
    scores = refit.scores_with_fresh_seeds(chosen, folds, seeds=seeds, precision=plan.precision)
    objective = folds.objective
    fresh = evaluation.fresh_seed_figures(scores, objective)
    evaluation.report_selection_bias(objective.utility(chosen["best"].score), fresh, objective)
    return fresh


def summarise(
    config: SweepConfig,
    plan: Plan,
    folds: Folds,
    trial_log: TrialLog,
    expected: Expectation | None,
    answers: Evaluation,
) -> dict[str, Any]:
    """Return the figures of a sweep with completed trials (`schema.Summary`), without names in MLflow."""
    from trainer.experiments import evaluation

    best = trial_log.best()
    assert best is not None
    fresh = fresh_seeds(config, plan, folds, trial_log) if config.fresh_seeds else {}
    tested, objective = answers.test_figures(), folds.objective
    leading = objective.leading
    best_score, best_leading, other = Summary.BEST + objective.column, Summary.BEST + leading.column, {}
    if objective is not leading:
        other = {
            best_score: best[objective.column],
            best_score + Summary.CI95: _known(best, objective.column),
            **answers.held_out_score(),
        }
    figures = {
        Summary.OBJECTIVE: config.objective,
        Summary.TRIALS: len(trial_log.finished),
        **{state: trial_log.count(state) for state in (Summary.COMPLETE, Summary.PRUNED, Summary.FAILED)},
        Summary.MEMBERS: {str(trial): share for trial, share in answers.final_head.shares.items()},
        Summary.HELD_OUT + leading.metric: answers.heads[0].leading_score,
        **evaluation.expected_figures(expected, tested, objective),
        Summary.BEST_TRIAL: int(best[Trials.TRIAL]),
        best_leading: best[leading.column],
        best_leading + Summary.CI95: _known(best, leading.column),
        **other,
        Summary.BEST_SO_FAR: trial_log.best_so_far(points=Summary.SPARK_POINTS),
        **fresh,
        **tested,
    }
    if config.objective == WITH_SIZE:
        figures[Summary.FRONT] = evaluation.front_of(trial_log.finished)
    return figures


def _known(row: Mapping[Hashable, Any], column: str) -> list[float | None]:
    """Return the ends of a score's interval for JSON, which has no NaN."""
    ends = row[column + Trials.LOW], row[column + Trials.HIGH]
    return [None if end != end else end for end in ends]
