"""What lies in a saved model's folder."""

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
    """The files that transformers would load: one, or the parts that an index names.

    Raises:
        InputError: there are none, or a part is missing.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            parts = [folder / part for part in sorted(set(read_json(index)["weight_map"].values()))]
            absent = [part.name for part in parts if not part.is_file()]
            if absent:
                raise InputError(f"{folder} lacks {absent[0]}, a part of its weights. Fetch the model again.")
            return parts
    raise InputError(
        f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin, whole or in parts. "
        "Pass a folder made with save_pretrained."
    )


def image_settings(folder: Path) -> tuple[dict[str, Any], str]:
    """The image processor's settings, and the file they are from ("defaults" where there is none).

    Without settings nothing is known but the size of the model's own input.
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
    """The files that hold a model's words, [] where there are none."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
