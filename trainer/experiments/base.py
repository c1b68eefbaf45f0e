"""How a sweep or an ablation begins: how heads train on this machine, and the run that is written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import yaml

from trainer import cli
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.experiments.inputs import Reading
from trainer.tracking.schema import Kind, Tag
from trainer.tracking.studies import find_study
from trainer.tracking.writer import SweepWriter

if TYPE_CHECKING:
    from trainer.heads.population import Precision
    from trainer.heads.training_data import TrainingData


@dataclass(frozen=True, kw_only=True)
class Studying(Reading):
    """Flags of the commands that train heads on record, and go on with what they began."""

    study: str | None = None
    """Name of the study: one that exists is resumed. Left out, a new name is made."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the factors of matrix products are rounded to. auto: bfloat16 where the device has it natively."""


def open_run(
    config: Studying, identity: dict[str, Any], *, kind: Kind, module: str, about: str
) -> SweepWriter:
    """A new parent run, or that of the study to resume.

    Args:
        identity: what must be the same as long as a study goes on.
        module: the command, such as trainer.sweep.
        about: what the study consists of, for the person.

    Raises:
        InputError: the study exists and is something else.
    """
    cli.close_lost_runs(config)
    if config.study is not None:
        earlier = find_study(config.tracking_uri, config.experiment, config.study, kind=kind)
        if earlier is not None:
            refuse_change(config.study, before=json.loads(earlier.tags[Tag.IDENTITY]), now=identity)
            return SweepWriter.resume(tracking_uri=config.tracking_uri, run_id=earlier.run_id)
    study = config.study or cli.new_name(config.data)
    say(f"Study {study}: {about}. `--study {study}` resumes it.")
    command = cli.settings(config)
    return SweepWriter.start(
        tracking_uri=config.tracking_uri,
        experiment=config.experiment,
        study=study,
        tags={
            Tag.DATA: config.data,
            Tag.DIGEST: str(identity["data digest"]),
            Tag.ENCODER: str(identity["encoder"]),
            Tag.COMMAND: cli.command_line(module, config, study=study),
            Tag.IDENTITY: json.dumps(identity),
        },
        kind=kind,
        params=command,
        config_yaml=yaml.safe_dump({"command": command, "identity": identity}, sort_keys=False),
    )


def precision(config: Studying) -> Precision:
    """What ``--precision`` stands for on this machine."""
    from trainer.features.backbone import pick_dtype

    return pick_dtype(config.precision, config.device)  # type: ignore[return-value]


def slab_bytes(config: Studying, data: TrainingData, *, seeds: int) -> float | None:
    """How much to train side by side: on a CPU measured once and remembered, on a GPU everything."""
    import torch

    from trainer.core.json_cache import recall, remember
    from trainer.heads.slab_autotune import fastest_slab

    if data.train.x_nd.device.type != "cpu":
        return None
    memory = config.cache_dir / "slabs.json"
    name = (
        f"{torch.get_num_threads()} threads, {data.features} features, {data.classes} classes, "
        f"{seeds} seeds, {precision(config)}"
    )
    known = recall(memory)
    if name not in known:
        known[name] = fastest_slab(data, seeds=range(seeds), precision=precision(config))
        remember(memory, known)
    return float(known[name])


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
