"""Search for the best head on frozen features and log everything to MLflow.

    python -m trainer.sweep --data DATA --encoder ENCODER --trials 64 --seeds 3

Data → features (cached) → heads, many at once → MLflow. The last line on stdout is one JSON object.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from trainer import cli
from trainer.errors import InputError
from trainer.progress import bar, say
from trainer.reading import Reading, read_features
from trainer.tracking.schema import Artifact, Metric, Summary, Tag, Trials, TrialState

# Heavy rooms (torch, transformers, Optuna, MLflow) are imported where they are entered, so that --help and
# a mistyped path answer at once.
if TYPE_CHECKING:
    from trainer.features.extract import Features
    from trainer.heads.data import TrainingData
    from trainer.search.loop import TrialRecord
    from trainer.search.record import Ledger
    from trainer.search.space import Space
    from trainer.tracking.writer import ChildRun, SweepWriter

LIVE_EVERY_S = 2.0  # how often the tables of a running batch are rewritten


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Reading):
    """What to search, on what."""

    trials: int = 64
    """How many configurations to try, counting those of a resumed study."""
    seeds: int = 3
    """How many times each configuration is trained, each time with other random numbers."""
    study: str | None = None
    """Name of the study: one that exists is resumed. Left out, a new name is made."""
    space: Path | None = None
    """YAML file whose lines replace those of trainer/search/space.yaml."""
    pruner: Literal["median", "halving", "none"] = "median"
    """How losing configurations are given up early."""
    at_once: int = 16
    """Configurations trained side by side."""


def run(config: SweepConfig) -> dict[str, Any]:
    """Run a sweep, or the rest of one. Returns its figures (`schema.Summary`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
        CameToNothing: every trial diverged.
    """
    began = time.time()
    cli.require_at_least(config, trials=1, seeds=1, at_once=1, seed=0)

    from trainer.features.tower import pick_device
    from trainer.search.record import Ledger
    from trainer.search.space import load_space
    from trainer.tracking import database

    database.check(config.tracking_uri)
    space = load_space(config.space)
    device = pick_device(config.device)
    features = read_features(config, device, to_train=True)
    data = training_data(features, device)
    with open_run(config, features, space) as writer:
        ledger = Ledger(writer.read_table(Artifact.TRIALS), writer.read_table(Artifact.CURVES))
        summary = json.loads(writer.read_file(Artifact.SUMMARY) or "{}")
        # A study that was extended and stopped half-way has more trials than its summary speaks of.
        if summary.get(Summary.TRIALS) == len(ledger.finished) >= config.trials:
            say(f"Study {writer.study}: all of its {len(ledger.finished)} trials are on record.")
            figures = summary | {
                Summary.ENCODER_CALLS: features.report.encoder_calls,
                Summary.ELAPSED_S: round(time.time() - began, 3),
            }
        else:
            rate = search(config, space=space, data=data, ledger=ledger, writer=writer)
            figures = conclude(config, features=features, data=data, ledger=ledger, writer=writer) | {
                Summary.ENCODER_CALLS: features.report.encoder_calls,
                Summary.ELAPSED_S: round(time.time() - began, 3),
                Summary.TRIALS_PER_S: round(rate, 3),
            }
            writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
    return {name: value for name, value in figures.items() if name not in Summary.ONLY_IN_FILE}


# --- data ------------------------------------------------------------------------


def training_data(features: Features, device: str) -> TrainingData:
    """Training and validation rows, on the device."""
    from trainer.heads.data import prepare

    manifest, x_nd = features.manifest, features.vectors_nd
    train, val = manifest.rows("train"), manifest.rows("val")
    return prepare(
        x_nd[train],
        manifest.label_n[train],
        val_x_nd=x_nd[val],
        val_y_n=manifest.label_n[val],
        classes=len(manifest.classes),
        device=device,
    )


# --- the run in MLflow ------------------------------------------------------------------------


def open_run(config: SweepConfig, features: Features, space: Space) -> SweepWriter:
    """A new parent run, or that of the study to resume."""
    from trainer.tracking.studies import find_study
    from trainer.tracking.writer import SweepWriter

    cli.close_lost_runs(config)
    identity = {
        "data digest": features.manifest.digest,
        "encoder": features.report.encoder,
        "seed": config.seed,
        "seeds": config.seeds,
        "pruner": config.pruner,
        **{f"space: {name}": line for name, line in space.text.items()},
    }
    if config.study is not None:
        earlier = find_study(config.tracking_uri, config.experiment, config.study)
        if earlier is not None:
            refuse_change(config.study, before=json.loads(earlier.tags[Tag.IDENTITY]), now=identity)
            return SweepWriter.resume(tracking_uri=config.tracking_uri, run_id=earlier.run_id)
    study = config.study or cli.new_name(config.data)
    say(f"Study {study}: {config.trials} trials × {config.seeds} seeds. `--study {study}` resumes it.")
    command = cli.settings(config)
    return SweepWriter.start(
        tracking_uri=config.tracking_uri,
        experiment=config.experiment,
        study=study,
        tags={
            Tag.DATA: config.data,
            Tag.DIGEST: features.manifest.digest,
            Tag.ENCODER: features.report.encoder,
            Tag.COMMAND: cli.command_line("trainer.sweep", config, study=study),
            Tag.IDENTITY: json.dumps(identity),
        },
        params=command,
        config_yaml=yaml.safe_dump({"command": command, "identity": identity}, sort_keys=False),
    )


def refuse_change(study: str, *, before: dict[str, Any], now: dict[str, Any]) -> None:
    """A study goes on only with the data, encoder and space that it began with.

    Raises:
        InputError: naming each difference.
    """
    now = json.loads(json.dumps(now))  # the same round trip as the record: tuples become lists
    changed = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise InputError(
            f"The study {study} cannot be resumed like this: {'; '.join(changed)}. Go back to what it began "
            "with, or pass another --study."
        )


# --- search, and the end ----------------------------------------------------------------------


def search(
    config: SweepConfig, *, space: Space, data: TrainingData, ledger: Ledger, writer: SweepWriter
) -> float:
    """Run the trials that are missing from the ledger; returns trials per second."""
    from trainer.search import loop
    from trainer.search.study import Study

    study = Study(space, seed=config.seed, pruner=config.pruner)
    study.recall(ledger.finished)
    before = len(ledger.finished)
    if before:
        say(f"Resuming {writer.study}: {before} of {config.trials} trials are on record.")
    started, written = time.time(), 0.0
    with bar("Searching", "trials") as progress:
        for records in loop.search(
            study,
            data,
            seeds=head_seeds(config),
            trials=config.trials,
            at_once=config.at_once,
            pruner=config.pruner,
        ):
            ended = sum(record.state != "running" for record in records)
            done = len(ledger.finished) + ended
            if ended == len(records):
                commit(records, ledger, writer)
                written = time.time()
            elif time.time() - written > LIVE_EVERY_S:
                write_tables(*ledger.with_records(records), writer)
                written = time.time()
            progress.update(done, config.trials, state_of(ledger))
    return (len(ledger.finished) - before) / (time.time() - started)


def head_seeds(config: SweepConfig) -> list[int]:
    """The seeds of a configuration's heads."""
    return [config.seed * 1000 + index for index in range(config.seeds)]


def commit(records: list[TrialRecord], ledger: Ledger, writer: SweepWriter) -> None:
    """Put finished trials on record. TRIALS is written last: a trial counts once it stands there."""
    writer.trials([child_run(record) for record in records])
    ledger.add(records)
    write_tables(ledger.trials, ledger.curves, writer)
    best = ledger.best()
    if best is not None:
        writer.metrics({Metric.BEST_VAL_F1_MACRO: best[Trials.VAL_F1_MACRO]}, step=len(ledger.finished))


def write_tables(trials: Any, curves: Any, writer: SweepWriter) -> None:
    """CURVES, then TRIALS."""
    writer.table(Artifact.CURVES, curves)
    writer.table(Artifact.TRIALS, trials)


def child_run(record: TrialRecord) -> ChildRun:
    """A finished trial as MLflow shall show it: means over seeds."""
    import numpy as np

    from trainer.analysis.statistics import mean_over_seeds
    from trainer.tracking.writer import ChildRun

    outcome = record.outcome
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an epoch of a diverged head has no finite value
        epochs = {name: np.nanmean(values_se, axis=0).tolist() for name, values_se in outcome.curves.items()}
    score, _ = mean_over_seeds(outcome.val_f1_macro_s)
    assert record.finished is not None
    return ChildRun(
        trial=record.number,
        name=f"trial {record.number}",
        state=TrialState(record.state),
        params=record.params,
        epochs=epochs,
        final={
            Metric.BEST_VAL_F1_MACRO: score.value,
            Metric.BEST_VAL_F1_MACRO_LOW: score.low,
            Metric.BEST_VAL_F1_MACRO_HIGH: score.high,
            Metric.BEST_EPOCH: float(outcome.best_epoch_s.mean()),
        },
        started_ms=int(record.started * 1000),
        ended_ms=int(record.finished * 1000),
        message=record.message,
    )


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
    from trainer import conclusion
    from trainer.search import finalists

    chosen = finalists.choose(ledger.finished)
    best = ledger.best()
    if best is None:
        raise cli.CameToNothing(
            "No trial completed: every loss stopped being a finite number. Narrow the learning rate, for "
            "example with a file of the one line `lr: {log: [1.0e-5, 1.0e-2]}`, passed as --space."
        )
    heads = finalists.train(chosen, data, seeds=head_seeds(config))
    answers = conclusion.Answers(features, heads, seed=config.seed)
    answers.log(writer)
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
        **answers.test_figures(),
    }
    tested = (Summary.TEST_F1_MACRO, Summary.TEST_ACCURACY, Summary.TEST_AUROC)
    writer.metrics({name: figures[name] for name in tested if name in figures})
    return figures


if __name__ == "__main__":
    cli.main(SweepConfig, run, __doc__)
