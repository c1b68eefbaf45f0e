"""Search for the best head and record the study in MLflow."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.core.console import bar, say
from trainer.core.stopwatch import Stopwatch
from trainer.experiments.base import Figures, begin, recorded_identity
from trainer.experiments.child_runs import Mirror, TrialExperiment
from trainer.experiments.inputs import encode_rows, encoder_settings, read_labelled_rows
from trainer.experiments.study_tables import StudyTables
from trainer.experiments.sweep.config import SweepConfig
from trainer.experiments.sweep.event_files import EventFiles, check_event_files
from trainer.experiments.sweep.feature_choice import FEATURES, choose_recipe
from trainer.experiments.sweep.memory_plan import trials_that_fit
from trainer.experiments.sweep.trials import (
    RECORDING,
    check,
    evaluation_of,
    for_labels,
    run_trials,
    search_settings,
    select,
    summarise,
)
from trainer.experiments.sweep.validation import VALIDATION, Validation, folds_of, plan_validation
from trainer.stats.objective import Objective, objective_named
from trainer.tracking.schema import Kind, Summary, Trials

# Heavy rooms (torch, transformers, Optuna, MLflow) are imported where they are entered, so that --help and
# a mistyped path answer at once.
if TYPE_CHECKING:
    from trainer.experiments.row_map import RowMap
    from trainer.heads.resampling import Folds
    from trainer.search.space import Space
    from trainer.search.trial_log import TrialLog
    from trainer.tracking.writer import RunWriter

SPACE = "space: "  # before the name of each line of the space, in a study's identity
LIVE_EVERY_S = 2.0  # how often the tables are rewritten for trials that are under way
# names on the stopwatch
SETTING_UP, TUNING, CONCLUDING = "reading the data", "tuning", "conclusion"
MLFLOW = "MLflow (beside)"


def run(config: SweepConfig) -> Figures:
    """Run a sweep, or the rest of one. Returns its figures (`schema.Summary`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        NoResultError: every trial diverged; or a trial trained again differs from its record.
    """
    stopwatch = Stopwatch()
    check(config)
    if config.rerun is not None:
        from trainer.experiments.sweep.reproduce import rerun

        return rerun(config, config.rerun)

    from trainer.features.recipes import largest
    from trainer.search.optuna_export import check_export, export_to_optuna
    from trainer.search.space import load_space

    with stopwatch.measure(SETTING_UP):
        plan = begin(config)
        before = recorded_identity(config, Kind.SWEEP)
        if config.tensorboard is not None:
            check_event_files(config.tensorboard)
        if config.export_optuna is not None:
            check_export(config.export_optuna, config.study, resumed=before is not None)
        manifest = read_labelled_rows(config)
        config = for_labels(config, manifest)
        lines = recorded_lines(before)
        space = load_space(config.space, views=config.views, recorded=lines, target=manifest.target)
        whole = largest(config.features)  # it contains the others, so images are encoded once
        settings = encoder_settings(config, plan.device, views=config.views, space=whole)
        features = encode_rows(config, manifest, settings, to_train=True)
        validation = plan_validation(config, features.manifest, before)
        scores: dict[str, float] = {}
        if len(config.features) > 1:
            features, scores = choose_recipe(features, settings, config, validation, plan, before=before)
        folds = folds_of(features, validation, plan.device, objective_named(config.objective))
        at_once = trials_that_fit(config, space, folds, rows=len(features.manifest))
    config = dataclasses.replace(config, refit=validation.refit, at_once=at_once)
    sweep = Sweep(config, plan, features, folds, space, validation, stopwatch, recipe_scores=scores)
    figures = sweep.run()
    if config.export_optuna is not None:
        finished = sweep.trial_log.finished
        url, objective = config.export_optuna, sweep.objective
        export_to_optuna(finished, space=space, study=sweep.study, url=url, objective=objective)
        say(f"The study is in {config.export_optuna}: optuna-dashboard {config.export_optuna}")
    return figures


def recorded_lines(before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the lines of the search space of a study of an earlier version, with which it goes on.

    {} for any other, which is refused when its space is another one.
    """
    if before is None or VALIDATION in before:
        return {}
    return {name.removeprefix(SPACE): line for name, line in before.items() if name.startswith(SPACE)}


@dataclass
class Sweep(TrialExperiment[SweepConfig]):
    """Trials, the best heads retrained, their answers to the test rows."""

    kind = Kind.SWEEP
    module = "trainer.sweep"
    only_in_file = Summary.ONLY_IN_FILE

    folds: Folds
    space: Space
    validation: Validation
    stopwatch: Stopwatch
    study: str = ""
    trials_per_s: float | None = None  # None: all trials were on record
    recipe_scores: dict[str, float] = field(default_factory=dict)  # where it was chosen among several

    @property
    def objective(self) -> Objective:
        return objective_named(self.config.objective)

    @property
    def about(self) -> str:
        return f"{self.config.trials} trials × {self.config.seeds} seeds"

    def settings(self) -> Figures:
        config = self.config
        return {
            "direction": "maximize",  # of a log-loss its negative
            "objective": config.objective,
            "precision": self.plan.precision,
            "views": config.views,
            "seed": config.seed,
            "seeds": config.seeds,
            "pruner": config.pruner,
            **self.validation.identity(),
            **({FEATURES: self.recipe_scores} if self.recipe_scores else {}),
            **{f"{SPACE}{name}": line for name, line in self.space.text.items()},
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        self.study, count = writer.study, len(self.trial_log.finished)
        # A study that was extended and stopped half-way has more trials than its summary speaks of.
        if summary.get(Summary.TRIALS) == count >= self.config.trials:
            return f"Study {writer.study}: all of its {count} trials are on record."
        return None

    def execute(self, writer: RunWriter) -> Figures:
        from trainer.experiments.row_map import RowMap

        row_map = RowMap(self.features, seed=self.config.seed)
        self.trials_per_s = self.search(writer)
        with self.stopwatch.measure(CONCLUDING):
            figures = conclude(self, writer, row_map)
        self.mirror.catch_up()
        return {**figures, **self.cost(), Summary.TRIALS_PER_S: round(self.trials_per_s, 3)}

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        if (event_files := self.event_files(writer)) is not None:
            event_files.follow(self.trial_log)
            event_files.map(writer)
            say(f"For TensorBoard: tensorboard --logdir {shlex.quote(str(self.config.tensorboard))}")
        if self.trials_per_s is None:
            figures |= self.cost()
        if self.config.profile:
            figures |= {
                Summary.PROFILE: profile(self.stopwatch, self.mirror, elapsed_s=self.plan.elapsed_s())
            }
        return figures

    def event_files(self, writer: RunWriter) -> EventFiles | None:
        """Return what writes for TensorBoard, where that was asked for."""
        folder = self.config.tensorboard
        return None if folder is None else EventFiles(folder, study=writer.study, run_id=writer.run_id)

    def search(self, writer: RunWriter) -> float:
        """Run the trials that are missing from the log; returns trials per second."""
        config, trial_log = self.config, self.trial_log
        before = len(trial_log.finished)
        writer.budget(config.trials)
        if before or trial_log.interrupted:
            say(
                f"Resuming {writer.study}: {before} of {config.trials} trials are on record, "
                f"{len(trial_log.interrupted)} were under way and are run again."
            )
        with self.stopwatch.measure(TUNING):
            settings = search_settings(config, self.plan, self.folds)
        started, written, tables = time.time(), 0.0, StudyTables(writer, trial_log)
        event_files = self.event_files(writer)
        steps = run_trials(config, settings, self.space, self.folds, trial_log, self.stopwatch)
        with bar("Searching", "trials") as progress:
            for ended, running in steps:
                with self.stopwatch.measure(RECORDING):
                    if ended or (tables.small and time.time() - written > LIVE_EVERY_S):
                        tables.write(running)
                        written = time.time()
                    self.mirror.follow(trial_log)
                    if event_files is not None and ended:
                        event_files.follow(trial_log)
                progress.update(len(trial_log.finished), config.trials, state_of(trial_log))
        tables.close()
        return (len(trial_log.finished) - before) / (time.time() - started)


def state_of(trial_log: TrialLog) -> str:
    """Return the line behind the progress bar."""
    best = trial_log.best()
    counts = f"{trial_log.count('pruned')} pruned, {trial_log.count('failed')} failed"
    if best is None:
        return counts
    column, title = trial_log.objective.column, trial_log.objective.title
    low, high = best[column + Trials.LOW], best[column + Trials.HIGH]
    interval = f" [{low:.4f}, {high:.4f}]" if low == low else ""  # one seed has no interval: NaN
    return f"{counts}, best val {title} {best[column]:.4f}{interval}"


def conclude(sweep: Sweep, writer: RunWriter, row_map: RowMap) -> Figures:
    """Choose on validation, answer the test rows once, log what the pages show. Returns the figures.

    Raises:
        NoResultError: no trial completed.
    """
    from trainer.serving.predictor import encoders_used

    config, plan, folds, trial_log = sweep.config, sweep.plan, sweep.folds, sweep.trial_log
    selection = select(config, plan, folds, trial_log)
    answers = evaluation_of(config, sweep.features, selection)
    answers.log(writer)
    row_map.log(writer)
    used = encoders_used(sweep.features.report.encoder)
    figures = {
        **summarise(config, plan, folds, trial_log, selection.expected, answers),
        **({Summary.FEATURES: used[0].recipe} if used else {}),
        **({Summary.FEATURES_SCORES: sweep.recipe_scores} if sweep.recipe_scores else {}),
        Summary.VALIDATION: sweep.validation.text,
        Summary.REFIT: config.refit,
        Summary.MODEL: answers.model_uri,
    }
    objective = sweep.objective
    tested = (
        *(Summary.TEST + one.metric for one in objective.family),
        Summary.FRESH + objective.column,
        *Summary.FURTHER,
        *Summary.OF_CALIBRATION,
        *Summary.OF_TWO_CLASSES,
        *Summary.OF_NUMBERS,
        *Summary.OF_LABELS,
        Summary.TEST + objective.metric,
    )
    writer.metrics({name: figures[name] for name in dict.fromkeys(tested) if name in figures})
    return figures


def profile(stopwatch: Stopwatch, mirror: Mirror, *, elapsed_s: float) -> Figures:
    """Return where the time of the search went, in seconds and as shares of it; said to the person, too.

    MLflow's runs are written by a thread beside the search. Its seconds are of processor time, which it takes
    from the trainer, and count in ``overhead`` like the others.
    """
    from trainer.search.loop import JUDGING, PROPOSING, TRAINING

    spent = dict(stopwatch.spent_s) | {MLFLOW: mirror.busy_s}
    whole = sum(spent.get(name, 0.0) for name in (PROPOSING, TRAINING, JUDGING, RECORDING))
    costs = [spent.get(name, 0.0) for name in (PROPOSING, JUDGING, RECORDING, MLFLOW)]
    overhead = sum(costs) / whole if whole else 0.0
    width = max(map(len, spent))
    for name, seconds in spent.items():
        say(f"  {name:<{width}} {seconds:8.2f} s")
    say(
        f"Sampler, storage and tracking: {overhead:.1%} of the search's {whole:.1f} s "
        f"({elapsed_s:.1f} s in all)."
    )
    return {
        "seconds": {name: round(seconds, 3) for name, seconds in spent.items()},
        "search_s": round(whole, 3),
        "overhead": round(overhead, 4),
        "waited_for_mlflow_s": round(mirror.waited_s, 3),
    }
