"""Find the files of a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.core.errors import InputError
from trainer.core.json_cache import read_json

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
)


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files that transformers would load: one, or the shards of an index.

    Raises:
        InputError: there are no weights, or a shard is missing.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            parts = [folder / part for part in sorted(set(read_json(index)["weight_map"].values()))]
            absent = [part.name for part in parts if not part.is_file()]
            if absent:
                raise InputError(
                    f"{folder} lacks {absent[0]}, a part of its weights. Download the model again."
                )
            return parts
    raise InputError(
        f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin, whole or sharded. "
        "Pass a folder made with save_pretrained."
    )


def image_settings(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of the image processor and their file ("defaults" if there is none).

    Without a file only the input size of the model is known.
    """
    own = folder / "preprocessor_config.json"
    if own.is_file():
        return read_json(own), own.name
    combined = folder / "processor_config.json"
    if combined.is_file() and "image_processor" in read_json(combined):
        return read_json(combined)["image_processor"], combined.name
    config = read_json(folder / "config.json")
    side = config.get("vision_config", config).get("image_size", 224)
    return {"size": side, "crop_size": {"height": side, "width": side}}, "defaults"


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the tokenizer files of a model; may be empty."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
