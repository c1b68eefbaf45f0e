"""What every experiment on record shares: open or resume its run, do what is missing, write the summary."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import yaml

from trainer.core import signals
from trainer.core.config import CommonConfig, DataConfig, StudyConfig, command_line, new_study_name, settings
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.text import cut
from trainer.tracking.database import opening_study
from trainer.tracking.schema import Artifact, Kind, Summary, Tag
from trainer.tracking.studies import StudyRun, find_study
from trainer.tracking.writer import RunWriter

if TYPE_CHECKING:
    from trainer.data.manifest import Manifest
    from trainer.experiments.hardware import Plan
    from trainer.features.extract import Features

C = TypeVar("C", bound=StudyConfig)
SETTING_SHOWN = 300  # characters of a setting that a message quotes
Figures = dict[str, Any]  # names of the schema → what JSON can hold


def begin(config: StudyConfig) -> Plan:
    """Start the clock, see that the store can be used, and resolve what the flags stand for here.

    Raises:
        InputError: the store or the device cannot be used.
    """
    began = time.time()
    from trainer.experiments.hardware import Plan
    from trainer.tracking import database
    from trainer.tracking.client import check_may_write

    database.check(config.tracking_uri)
    check_may_write(config.tracking_uri, config.experiment)
    return Plan.of(config, began=began)


@dataclass
class Experiment(ABC, Generic[C]):
    """A study of one command: what must stay the same in it, what it does, what it prints at the end.

    Attributes:
        kind: of its run in MLflow.
        module: its command, such as trainer.sweep.
        only_in_file: figures of the summary that the last line on stdout leaves out.
        features: of the rows; of the first encoder where there are several.
    """

    kind: ClassVar[Kind]
    module: ClassVar[str]
    only_in_file: ClassVar[Collection[str]] = ()
    config: C
    plan: Plan
    features: Features

    @property
    @abstractmethod
    def about(self) -> str:
        """Describe what the study consists of, for people."""

    @abstractmethod
    def settings(self) -> Figures:
        """Return what must not change while the study goes on, beside data and encoder."""

    @abstractmethod
    def execute(self, writer: RunWriter) -> Figures:
        """Do what is not on record yet. Returns the figures for the summary, beside run and study."""

    @property
    def manifest(self) -> Manifest:
        """The rows."""
        return self.features.manifest

    @property
    def encoder(self) -> str:
        """The key of the encoder, or of several."""
        return self.features.report.encoder

    @property
    def encoder_calls(self) -> int:
        """How many batches were encoded now."""
        return self.features.report.encoder_calls

    def identity(self) -> Figures:
        """Return what must not change while the study goes on."""
        return {"data digest": self.manifest.digest, "encoder": self.encoder, **self.settings()}

    def cost(self) -> Figures:
        """Return what the command has spent so far."""
        return {Summary.ENCODER_CALLS: self.encoder_calls, Summary.ELAPSED_S: self.plan.elapsed_s()}

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        """Return what to say of a study that is done; None where something is left to do."""
        return f"Study {writer.study} is on record." if summary else None

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        """Do what ends a study, also one that was on record. Returns its figures."""
        return figures

    @contextmanager
    def recording(self, writer: RunWriter) -> Iterator[None]:
        """Hold open what is needed as long as the run is."""
        yield

    def run(self) -> Figures:
        """Open the run or resume it, and do what is missing. Returns the figures of the last line.

        Raises:
            InputError: the study exists and is something else.
        """
        identity = self.identity()
        with ExitStack() as opened:
            with signals.held(), opening_study(self.config.tracking_uri):
                writer = opened.enter_context(open_run(self, identity))
            opened.enter_context(self.recording(writer))
            figures = json.loads(writer.read_file(Artifact.SUMMARY) or "{}")
            done = self.on_record(figures, writer)
            if done is not None:
                say(done)
            else:
                run = {Summary.RUN_ID: writer.run_id, Summary.STUDY: writer.study}
                figures = {**run, **self.execute(writer), Summary.TEST_LOOKS: writer.looked()}
                report_looks(figures[Summary.TEST_LOOKS])
                writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
            figures = self.finish(figures, writer)
        return {name: value for name, value in figures.items() if name not in self.only_in_file}


def report_looks(looks: int) -> None:
    """Say how often the test rows have been answered, if that was before: the best of many is luck, too."""
    if looks > 1:
        say(
            f"These test rows have been evaluated {looks} times in this store: the best of several test "
            "scores is too high."
        )


def open_run(experiment: Experiment[Any], identity: Figures) -> RunWriter:
    """Open a new parent run, or that of the study to resume.

    Args:
        identity: what must be the same as long as a study goes on.

    Raises:
        InputError: the study exists and is something else.
    """
    from trainer.data.dataset_summary import summarise

    config = experiment.config
    close_lost_runs(config)
    earlier = _earlier(config, experiment.kind)
    if config.study is not None and earlier is not None:
        refuse_change(config.study, before=_identity(earlier), now=identity)
        return RunWriter.resume(tracking_uri=config.tracking_uri, run_id=earlier.run_id)
    study = config.study or new_study_name(config.data)
    say(f"Study {study}: {experiment.about}. `--study {study}` resumes it.")
    tags = {
        Tag.DIGEST: str(identity["data digest"]),
        Tag.DATA_SUMMARY: summarise(experiment.manifest),
        Tag.ENCODER: str(identity["encoder"]),
        Tag.COMMAND: command_line(experiment.module, config, study=study),
        Tag.IDENTITY: json.dumps(identity),
    }
    return start_run(config, experiment.kind, study=study, tags=tags, record={"identity": identity})


def recorded_identity(config: StudyConfig, kind: Kind) -> Figures | None:
    """Return what the study to resume has on record as what must not change; None of a new one."""
    earlier = _earlier(config, kind)
    return None if earlier is None else _identity(earlier)


def _identity(earlier: StudyRun) -> Figures:
    """Return what the study began with.

    Raises:
        InputError: it was killed before that was written, or the record is damaged.
    """
    try:
        return json.loads(earlier.tags[Tag.IDENTITY])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The study {earlier.tags.get(Tag.STUDY)} has no record of the settings that it began with, so "
            "it cannot be resumed. Pass another --study."
        ) from error


def _earlier(config: StudyConfig, kind: Kind) -> StudyRun | None:
    if config.study is None:
        return None
    return find_study(config.tracking_uri, config.experiment, config.study, kind=kind)


def start_run(
    config: DataConfig, kind: Kind, *, study: str, tags: dict[str, str], record: Figures | None = None
) -> RunWriter:
    """Open a new run that has the flags as its parameters.

    Args:
        tags: beside kind and data.
        record: what the run's YAML holds beside the flags.
    """
    command = settings(config)
    return RunWriter.start(
        tracking_uri=config.tracking_uri,
        experiment=config.experiment,
        study=study,
        tags={Tag.KIND: kind, Tag.DATA: config.data, **tags},
        params=command,
        config_yaml=yaml.safe_dump({"command": command, **(record or {})}, sort_keys=False),
    )


def refuse_change(study: str, *, before: Figures, now: Figures) -> None:
    """A study goes on only with the data, encoder, space and so on that it began with.

    Raises:
        InputError: naming each difference.
    """
    now = json.loads(json.dumps(now))  # the same round trip as the record: tuples become lists
    changed = [
        f"  {name} was {cut(repr(before.get(name)), SETTING_SHOWN)} and is "
        f"{cut(repr(now.get(name)), SETTING_SHOWN)}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if changed:
        lines = "\n".join(changed)
        raise InputError(
            f"The study {study} cannot be resumed like this:\n{lines}\nGo back to what it began with, or "
            "pass another --study."
        )


def close_lost_runs(config: CommonConfig) -> None:
    """Close the runs whose process died without a word, and say so. Before a new one is opened."""
    from trainer.tracking import studies

    for run_id in studies.close_lost_runs(config.tracking_uri, config.experiment):
        say(f"Run {run_id} is closed as interrupted: its process had died.")
