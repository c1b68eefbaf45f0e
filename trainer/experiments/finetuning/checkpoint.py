"""Where a training stands, on disk: one safetensors file, with what is no tensor as JSON in its header. It
appears by rename, so that a kill at any moment leaves the one before."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.experiments.finetuning.training import Training, TrainingProgress


def write(path: Path, training: Training) -> None:
    """Keep how far a training has come.

    Raises:
        InputError: the disk is full, or the cache cannot be written.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in training.tensors().items()}
    data = save(tensors, metadata={"standing": json.dumps(asdict(training.standing))})
    try:
        atomic.write_bytes(path, data)
    except OSError as error:
        raise InputError(
            f"The checkpoint {path} cannot be written: {error.strerror}. It takes {len(data):,} bytes. Make "
            "room or pass another --cache-dir, then run again."
        ) from error


def read(path: Path) -> tuple[TrainingProgress, dict[str, Tensor]] | None:
    """Return what was kept; None where there is nothing, or what there is is damaged."""
    try:
        with safe_open(path, framework="pt") as opened:
            standing = TrainingProgress(**json.loads(opened.metadata()["standing"]))
            return standing, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
