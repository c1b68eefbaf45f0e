"""Search for the best head and record the study in MLflow."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from trainer.core import errors
from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.core.stopwatch import Stopwatch
from trainer.experiments.hardware import precision, slab_bytes
from trainer.experiments.inputs import read_features, training_data
from trainer.experiments.sweep.config import SweepConfig
from trainer.tracking.schema import Artifact, Kind, Summary, Trials

# Heavy rooms (torch, transformers, Optuna, MLflow) are imported where they are entered, so that --help and
# a mistyped path answer at once.
if TYPE_CHECKING:
    from trainer.experiments.child_runs import Mirror
    from trainer.features.extract import Features
    from trainer.heads.training_data import TrainingData
    from trainer.search.space import Space
    from trainer.search.trial_log import Ledger
    from trainer.tracking.writer import SweepWriter

LIVE_EVERY_S = 2.0  # how often the tables are rewritten for trials that are under way
# names on the stopwatch
SETTING_UP, TUNING, RECORDING, CONCLUDING = "reading the data", "tuning", "tables", "conclusion"
MLFLOW = "MLflow (beside)"


def run(config: SweepConfig) -> dict[str, Any]:
    """Run a sweep, or the rest of one. Returns its figures (`schema.Summary`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        CameToNothing: every trial diverged; or a trial trained again differs from its record.
    """
    began = time.time()
    stopwatch = Stopwatch()
    require_at_least(config, trials=1, seeds=1, at_once=1, seed=0, views=0, fresh_seeds=0)
    if config.target is not None and not 0 < config.target <= 1:
        raise InputError(f"--target is {config.target}; it must be a macro-F1 above 0 and at most 1.")
    if config.timeout is not None and config.timeout <= 0:
        raise InputError(f"--timeout is {config.timeout}; it must be a number of seconds above 0.")
    if config.rerun is not None:
        from trainer.experiments.sweep.reproduce import rerun

        return rerun(config, config.rerun)

    from trainer.experiments.base import open_run
    from trainer.experiments.child_runs import Mirror
    from trainer.features.backbone import pick_device
    from trainer.search.space import load_space
    from trainer.search.trial_log import Ledger
    from trainer.tracking import database

    with stopwatch.on(SETTING_UP):
        database.check(config.tracking_uri)
        space = load_space(config.space, views=config.views)
        device = pick_device(config.device)
        features = read_features(config, device, to_train=True, views=config.views)
        data = training_data(features, device)
    opened = open_run(
        config,
        identity(config, features, space),
        kind=Kind.SWEEP,
        module="trainer.sweep",
        about=f"{config.trials} trials × {config.seeds} seeds",
    )
    with opened as writer, Mirror(writer) as mirror:
        ledger = Ledger(writer.read_table(Artifact.TRIALS), writer.read_table(Artifact.CURVES))
        mirror.follow(ledger)
        summary = json.loads(writer.read_file(Artifact.SUMMARY) or "{}")
        # A study that was extended and stopped half-way has more trials than its summary speaks of.
        if summary.get(Summary.TRIALS) == len(ledger.finished) >= config.trials:
            say(f"Study {writer.study}: all of its {len(ledger.finished)} trials are on record.")
            figures = summary | {
                Summary.ENCODER_CALLS: features.report.encoder_calls,
                Summary.ELAPSED_S: round(time.time() - began, 3),
            }
        else:
            rate = search(
                config,
                space=space,
                data=data,
                ledger=ledger,
                writer=writer,
                mirror=mirror,
                stopwatch=stopwatch,
            )
            with stopwatch.on(CONCLUDING):
                figures = conclude(config, features=features, data=data, ledger=ledger, writer=writer)
            mirror.catch_up()
            figures |= {
                Summary.ENCODER_CALLS: features.report.encoder_calls,
                Summary.ELAPSED_S: round(time.time() - began, 3),
                Summary.TRIALS_PER_S: round(rate, 3),
            }
            writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
        if config.profile:
            figures |= {Summary.PROFILE: profile(stopwatch, mirror, elapsed_s=time.time() - began)}
        study = writer.study
    if config.export_optuna is not None:
        from trainer.search.optuna_export import export

        export(ledger.finished, space=space, study=study, url=config.export_optuna)
        say(f"The study is in {config.export_optuna}: optuna-dashboard {config.export_optuna}")
    return {name: value for name, value in figures.items() if name not in Summary.ONLY_IN_FILE}


def identity(config: SweepConfig, features: Features, space: Space) -> dict[str, Any]:
    """What must not change while a study goes on: its trials could not be compared."""
    return {
        "data digest": features.manifest.digest,
        "encoder": features.report.encoder,
        "direction": "maximize",
        "objective": config.objective,
        "precision": precision(config),
        "views": config.views,
        "seed": config.seed,
        "seeds": config.seeds,
        "pruner": config.pruner,
        **{f"space: {name}": line for name, line in space.text.items()},
    }


# --- search, and the end ----------------------------------------------------------------------


def search(
    config: SweepConfig,
    *,
    space: Space,
    data: TrainingData,
    ledger: Ledger,
    writer: SweepWriter,
    mirror: Mirror,
    stopwatch: Stopwatch,
) -> float:
    """Run the trials that are missing from the ledger; returns trials per second."""
    from trainer.search import loop
    from trainer.search.study import Study, head_seeds

    study = Study(
        space,
        seed=config.seed,
        pruner=config.pruner,
        path=config.trials // 2,
        objective=config.objective,
    )
    study.recall(ledger.finished)
    before = len(ledger.finished)
    if before or ledger.cut_off:
        say(
            f"Resuming {writer.study}: {before} of {config.trials} trials are on record, "
            f"{len(ledger.cut_off)} were under way and are run again."
        )
    with stopwatch.on(TUNING):
        pace = loop.Pace(
            at_once=config.at_once,
            pruner=config.pruner,
            precision=precision(config),
            slab_bytes=slab_bytes(config, data, seeds=config.seeds),
        )
    started, written = time.time(), 0.0

    def enough() -> str:
        if config.timeout is not None and time.time() - started > config.timeout:
            return f"Given up when the {config.timeout:g} s of --timeout were over."
        best = ledger.best()
        if config.target is not None and best is not None and best[Trials.VAL_F1_MACRO] >= config.target:
            return f"Given up when another trial had reached the --target of {config.target:g}."
        return ""

    with bar("Searching", "trials") as progress:
        for ended, running in loop.search(
            study,
            data,
            seeds=head_seeds(config.seed, config.seeds),
            trials=config.trials,
            pace=pace,
            again=ledger.cut_off,
            enough=enough,
            stopwatch=stopwatch,
        ):
            with stopwatch.on(RECORDING):
                # TRIALS is written last: a trial counts once it stands there
                ledger.add(ended)
                if ended or time.time() - written > LIVE_EVERY_S:
                    trials, curves = ledger.with_records(running)
                    writer.table(Artifact.CURVES, curves)
                    writer.table(Artifact.TRIALS, trials)
                    written = time.time()
                mirror.follow(ledger)
            progress.update(len(ledger.finished), config.trials, state_of(ledger))
    if ledger.cut_off and len(ledger.finished) == before:
        # there was enough already, and nothing is under way any more
        writer.table(Artifact.TRIALS, ledger.trials)
    return (len(ledger.finished) - before) / (time.time() - started)


def state_of(ledger: Ledger) -> str:
    """The line behind the progress bar."""
    best = ledger.best()
    counts = f"{ledger.count('pruned')} pruned, {ledger.count('failed')} failed"
    if best is None:
        return counts
    low, high = best[Trials.VAL_F1_MACRO_LOW], best[Trials.VAL_F1_MACRO_HIGH]
    interval = f" [{low:.4f}, {high:.4f}]" if low == low else ""  # one seed has no interval: NaN
    return f"{counts}, best val macro-F1 {best[Trials.VAL_F1_MACRO]:.4f}{interval}"


def conclude(
    config: SweepConfig, *, features: Features, data: TrainingData, ledger: Ledger, writer: SweepWriter
) -> dict[str, Any]:
    """Choose on validation, answer the test rows once, log what the pages show. Returns the figures.

    Raises:
        CameToNothing: no trial completed.
    """
    from trainer.experiments import evaluation
    from trainer.search import refit
    from trainer.search.study import head_seeds

    chosen = refit.choose(ledger.finished)
    best = ledger.best()
    if best is None:
        raise errors.NoResultError(
            "No trial completed: every loss stopped being a finite number. Narrow the learning rate, for "
            "example with a file of the one line `lr: {log: [1.0e-5, 1.0e-2]}`, passed as --space."
            if config.timeout is None
            else f"No trial completed within the {config.timeout:g} s of --timeout. Give it more time."
        )
    how: dict[str, Any] = {"precision": precision(config)}
    heads = refit.train(chosen, data, seeds=head_seeds(config.seed, config.seeds), **how)
    answers = evaluation.Answers(features, heads, seed=config.seed)
    answers.log(writer)
    fresh: dict[str, Any] = {}
    if config.fresh_seeds:
        seeds = head_seeds(config.seed, config.fresh_seeds, first=config.seeds)
        fresh = evaluation.trained_anew(refit.rerun(chosen, data, seeds=seeds, **how))
        evaluation.say_how_it_held(best[Trials.VAL_F1_MACRO], fresh)
    figures = {
        Summary.RUN_ID: writer.run_id,
        Summary.STUDY: writer.study,
        Summary.TRIALS: len(ledger.finished),
        **{state: ledger.count(state) for state in (Summary.COMPLETE, Summary.PRUNED, Summary.FAILED)},
        Summary.BEST_TRIAL: heads[0].trial,
        Summary.BEST_VAL_F1_MACRO: best[Trials.VAL_F1_MACRO],
        Summary.BEST_VAL_F1_MACRO_CI95: [
            None if bound != bound else bound
            for bound in (best[Trials.VAL_F1_MACRO_LOW], best[Trials.VAL_F1_MACRO_HIGH])
        ],
        Summary.BEST_SO_FAR: ledger.best_so_far(points=Summary.SPARK_POINTS),
        **fresh,
        **answers.test_figures(),
        Summary.MODEL: answers.model_uri,
    }
    if config.objective == "f1+size":
        figures[Summary.FRONT] = evaluation.front_of(ledger.finished)
    tested = (
        *(Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY, Summary.FRESH_VAL_F1_MACRO),
        *Summary.OF_TWO_CLASSES,
    )
    writer.metrics({name: figures[name] for name in tested if name in figures})
    return figures


def profile(stopwatch: Stopwatch, mirror: Mirror, *, elapsed_s: float) -> dict[str, Any]:
    """Where the time of the search went, in seconds and as shares of it; said to the person, too.

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
