"""The run that a sweep is written to: a new one, or that of the study to go on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from trainer import cli
from trainer.errors import InputError
from trainer.progress import say
from trainer.tracking.schema import Tag
from trainer.tracking.studies import find_study
from trainer.tracking.writer import SweepWriter

if TYPE_CHECKING:
    from trainer.sweep import SweepConfig


def open_run(config: SweepConfig, identity: dict[str, Any]) -> SweepWriter:
    """A new parent run, or that of the study to resume.

    Args:
        identity: what must be the same as long as a study goes on.

    Raises:
        InputError: the study exists and is something else.
    """
    cli.close_lost_runs(config)
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
            Tag.DIGEST: str(identity["data digest"]),
            Tag.ENCODER: str(identity["encoder"]),
            Tag.COMMAND: cli.command_line("trainer.sweep", config, study=study),
            Tag.IDENTITY: json.dumps(identity),
        },
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
