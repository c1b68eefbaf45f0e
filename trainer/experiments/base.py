"""What every experiment on record shares: open or resume its run, do what is missing, write the summary."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from trainer.core.config import CommonConfig, StudyConfig, command_line, new_study_name, settings
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.tracking.schema import Artifact, Kind, Tag
from trainer.tracking.studies import find_study
from trainer.tracking.writer import RunWriter

if TYPE_CHECKING:
    from trainer.experiments.hardware import Plan


Figures = dict[str, Any]  # names of the schema → what JSON can hold


def begin(config: StudyConfig) -> Plan:
    """Start the clock, see that the store can be used, and resolve what the flags stand for here.

    Raises:
        InputError: the store or the device cannot be used.
    """
    began = time.time()
    from trainer.experiments.hardware import Plan
    from trainer.tracking import database

    database.check(config.tracking_uri)
    return Plan.of(config, began=began)


class Experiment(ABC):
    """A study of one command: what must stay the same in it, what it does, what it prints at the end.

    Attributes:
        kind: of its run in MLflow.
        module: its command, such as trainer.sweep.
        only_in_file: figures of the summary that the last line on stdout leaves out.
    """

    kind: ClassVar[Kind]
    module: ClassVar[str]
    only_in_file: ClassVar[Collection[str]] = ()
    config: StudyConfig
    plan: Plan

    @property
    @abstractmethod
    def about(self) -> str:
        """What the study consists of, for people."""

    @abstractmethod
    def identity(self) -> Figures:
        """What must not change while the study goes on."""

    @abstractmethod
    def execute(self, writer: RunWriter) -> Figures:
        """Do what is not on record yet. Returns the figures for the summary."""

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        """What to say of a study that is done; None where something is left to do."""
        return f"Study {writer.study} is on record." if summary else None

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        """What is done at the end of a study, also of one that was on record. Returns its figures."""
        return figures

    @contextmanager
    def recording(self, writer: RunWriter) -> Iterator[None]:
        """What is open as long as the run is."""
        yield

    def run(self) -> Figures:
        """Open the run or resume it, and do what is missing. Returns the figures of the last line.

        Raises:
            InputError: the study exists and is something else.
        """
        identity = self.identity()
        opened = open_run(self.config, identity, kind=self.kind, module=self.module, about=self.about)
        with opened as writer, self.recording(writer):
            figures = json.loads(writer.read_file(Artifact.SUMMARY) or "{}")
            done = self.on_record(figures, writer)
            if done is not None:
                say(done)
            else:
                figures = self.execute(writer)
                writer.file(Artifact.SUMMARY, json.dumps(figures, indent=2).encode())
            figures = self.finish(figures, writer)
        return {name: value for name, value in figures.items() if name not in self.only_in_file}


def open_run(config: StudyConfig, identity: Figures, *, kind: Kind, module: str, about: str) -> RunWriter:
    """A new parent run, or that of the study to resume.

    Args:
        identity: what must be the same as long as a study goes on.
        module: the command, such as trainer.sweep.
        about: what the study consists of, for the person.

    Raises:
        InputError: the study exists and is something else.
    """
    close_lost_runs(config)
    if config.study is not None:
        earlier = find_study(config.tracking_uri, config.experiment, config.study, kind=kind)
        if earlier is not None:
            refuse_change(config.study, before=json.loads(earlier.tags[Tag.IDENTITY]), now=identity)
            return RunWriter.resume(tracking_uri=config.tracking_uri, run_id=earlier.run_id)
    study = config.study or new_study_name(config.data)
    say(f"Study {study}: {about}. `--study {study}` resumes it.")
    command = settings(config)
    return RunWriter.start(
        tracking_uri=config.tracking_uri,
        experiment=config.experiment,
        study=study,
        tags={
            Tag.KIND: kind,
            Tag.DATA: config.data,
            Tag.DIGEST: str(identity["data digest"]),
            Tag.ENCODER: str(identity["encoder"]),
            Tag.COMMAND: command_line(module, config, study=study),
            Tag.IDENTITY: json.dumps(identity),
        },
        params=command,
        config_yaml=yaml.safe_dump({"command": command, "identity": identity}, sort_keys=False),
    )


def refuse_change(study: str, *, before: Figures, now: Figures) -> None:
    """A study goes on only with the data, encoder, space and so on that it began with.

    Raises:
        InputError: naming each difference.
    """
    now = json.loads(json.dumps(now))  # the same round trip as the record: tuples become lists
    changed = [
        f"  {name} was {before.get(name)!r} and is {now.get(name)!r}"
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
