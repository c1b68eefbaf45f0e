"""Open or resume the MLflow run of an experiment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from trainer.core.config import CommonConfig, StudyConfig, command_line, new_study_name, settings
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.tracking.schema import Kind, Tag
from trainer.tracking.studies import find_study
from trainer.tracking.writer import SweepWriter

if TYPE_CHECKING:
    pass


def open_run(
    config: StudyConfig, identity: dict[str, Any], *, kind: Kind, module: str, about: str
) -> SweepWriter:
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
            return SweepWriter.resume(tracking_uri=config.tracking_uri, run_id=earlier.run_id)
    study = config.study or new_study_name(config.data)
    say(f"Study {study}: {about}. `--study {study}` resumes it.")
    command = settings(config)
    return SweepWriter.start(
        tracking_uri=config.tracking_uri,
        experiment=config.experiment,
        study=study,
        tags={
            Tag.DATA: config.data,
            Tag.DIGEST: str(identity["data digest"]),
            Tag.ENCODER: str(identity["encoder"]),
            Tag.COMMAND: command_line(module, config, study=study),
            Tag.IDENTITY: json.dumps(identity),
        },
        kind=kind,
        params=command,
        config_yaml=yaml.safe_dump({"command": command, "identity": identity}, sort_keys=False),
    )


def refuse_change(study: str, *, before: dict[str, Any], now: dict[str, Any]) -> None:
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
