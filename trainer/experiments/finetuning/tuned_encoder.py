"""A fine-tuned encoder as an ordinary model in a folder, and the vectors that it makes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.features.backbone import LoadedBackbone
from trainer.features.extract import Features, extract
from trainer.features.families import family_of
from trainer.features.model_files import image_settings
from trainer.features.partial_encoder import TrainableTail
from trainer.features.settings import EncoderSettings
from trainer.serving.predictor import encoders_used


def save_tuned(base: Path, tail: TrainableTail, folder: Path) -> None:
    """Save the image tower of the model in ``base`` with the weights of a tail, with its image settings.

    Any command takes the folder as ``--encoder``. What was in it is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    LoadedBackbone(base, family_of(base).image, device="cpu", dtype="float32").save(
        folder, tail.tower_parameters()
    )
    source = base / image_settings(base)[1]
    if source.is_file():  # else the model has the usual ones
        shutil.copyfile(source, folder / source.name)


def tuned_features(features: Features, settings: EncoderSettings, folder: Path) -> Features:
    """Return the rows with the vectors of the encoder in ``folder``, as a later prediction computes them.

    Args:
        features: the same rows with the vectors of the frozen encoder.
        settings: with which these were encoded.

    Raises:
        InputError: an image can no longer be read; the cache cannot be written.
    """
    of_folder = replace(settings, encoder=str(folder), views=0, measure=False)
    with bar("Encoding with the fine-tuned encoder", "images") as progress:
        found = extract(features.manifest, of_folder, progress=progress.update)
    for warning in found.report.warnings:
        say(f"Warning: {warning}")
    if found.manifest.sample_id != features.manifest.sample_id:
        raise InputError(
            f"{len(features.manifest) - len(found.manifest)} images can no longer be read. Restore them and "
            "run again."
        )
    (used,) = encoders_used(found.report.encoder)
    name = f"{settings.encoder} fine-tuned"
    report = replace(features.report, encoder=str(used._replace(name=name)))
    return replace(features, vectors_nd=found.vectors_nd, report=report, views_vnd=None)


def folder_bytes(folder: Path) -> int:
    """Return the size of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
