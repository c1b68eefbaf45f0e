"""Find the files of a saved model."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError, first_line
from trainer.core.json_cache import read_json
from trainer.core.stand_ins import refuse_stand_in
from trainer.core.untrusted_json import parse_json
from trainer.features.families import family_of
from trainer.features.model_schema import OBJECT, Rule, check, refuse_code

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
)


USUAL_SIDE = 224  # pixels
IMAGE_PARTS = ("vision_config", "vision_config_dict")  # of config.json; the second is older
OTHER_FORMATS = {  # files of a model that transformers does not load here, and what holds it
    "flax_model.msgpack": "Flax",
    "tf_model.h5": "TensorFlow",
    "adapter_model.safetensors": "an adapter (PEFT): merge it into its model first",
    "open_clip_pytorch_model.bin": "open_clip",
    "open_clip_model.safetensors": "open_clip",
    "model.fp16.safetensors": "a variant: rename it to model.safetensors",
    "pytorch_model.fp16.bin": "a variant: rename it to pytorch_model.bin",
}
MOST_HEADER_BYTES = 100_000_000  # as the safetensors library has it
_UNSCALED = re.compile(r"I8|U8|I4|U4|F8_|F4")  # of safetensors: numbers that mean nothing without a scale


def unread(error: Exception) -> str:
    """Return why weights could not be read, without torch's advice to run what is in a pickle."""
    reason = first_line(error)
    if "weights_only" in reason:
        return "it holds something else than plain tensors, or is damaged"
    if "ignore_mismatched_sizes" in reason:
        return "its tensors have other shapes than config.json describes"
    if reason.startswith(("Validation error", "Class validation error")):  # of a configuration's own class
        return str(error).strip().splitlines()[-1].strip().rstrip(".")
    return reason.rstrip(".")


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files that transformers would load: one, or the shards of an index.

    Raises:
        InputError: there are no weights, or a shard is missing; a file was not fetched; they are quantised.
    """
    found = find_weights(folder)
    for file in found:
        refuse_stand_in(file)
        if file.suffix == ".safetensors":
            _refuse_unscaled(file)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    for part in (config, *(one for one in config.values() if isinstance(one, dict))):
        if part.get("quantization_config"):
            method = _method(part["quantization_config"])
            raise InputError(
                f"{folder} is quantised ({method}, by its config.json), and Headroom computes with plain "
                "weights. Pass the model that it was made of."
            )
    return found


def _method(quantisation: Any) -> str:
    return str(quantisation.get("quant_method", "no method named") if isinstance(quantisation, dict) else "")


def _refuse_unscaled(file: Path) -> None:
    """Raise InputError for integers or 8-bit floats that stand for weights."""
    for name, tensor in _header(file).items():
        if isinstance(tensor, dict) and name.endswith(("weight", "bias", "weight_packed")):
            dtype = str(tensor.get("dtype"))
            if _UNSCALED.match(dtype):
                raise InputError(
                    f"{file} is quantised: {name} is stored as {dtype}. Headroom computes with plain "
                    "weights. Pass the model that it was made of."
                )


def _header(file: Path) -> dict[str, Any]:
    """Return the names, types and shapes in a safetensors file; {} of a damaged one, refused on loading."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > min(file.stat().st_size, MOST_HEADER_BYTES):
            return {}
        with suppress(ValueError):
            header = parse_json(opened.read(length), max_bytes=MOST_HEADER_BYTES)
            return header if isinstance(header, dict) else {}
    return {}


def find_weights(folder: Path) -> list[Path]:
    """Return the same without looking into them. Raises InputError: there are none, or a shard is missing."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            parts = [folder / part for part in sorted(_shard_names(index))]
            absent = [part.name for part in parts if not part.is_file()]
            if absent:
                raise InputError(
                    f"{folder} lacks {absent[0]}, a part of its weights. Download the model again."
                )
            return parts
    other = [f"{name} is {kind}" for name, kind in OTHER_FORMATS.items() if (folder / name).is_file()]
    raise InputError(
        f"{folder} has no weights: neither model.safetensors nor pytorch_model.bin, whole or sharded"
        f"{' (' + '; '.join(other) + ')' if other else ''}. Pass a folder made with save_pretrained."
    )


def _shard_names(index: Path) -> set[str]:
    """Return the files that an index names. Raises InputError for what is none beside it, of its format."""
    names = read_json(index).get("weight_map")
    check(index, "weight_map", names, OBJECT)
    assert isinstance(names, dict)
    ending = Path(index.name.removesuffix(".index.json")).suffix
    beside = Rule(
        f"the name of a {ending} file in the same folder",
        lambda name: isinstance(name, str) and Path(name).name == name and name.endswith(ending),
    )
    for tensor, name in names.items():
        check(index, f"file of {tensor}", name, beside)
    return set(names.values())


def image_settings(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings of the image processor and their file ("defaults" if there is none).

    Without a file only the input size of the model is known.
    """
    own = folder / "preprocessor_config.json"
    if own.is_file():
        settings = read_json(own)
        refuse_code(own, settings)
        return settings, own.name
    combined = folder / "processor_config.json"
    if combined.is_file() and "image_processor" in (settings := read_json(combined)):
        refuse_code(combined, settings)
        check(combined, "image_processor", settings["image_processor"], OBJECT)
        return settings["image_processor"], combined.name
    height, width = image_size(folder) or (USUAL_SIDE, USUAL_SIDE)
    side: Any = height if height == width else [height, width]
    return {"size": side, "crop_size": {"height": height, "width": width}}, "defaults"


def image_size(folder: Path) -> tuple[int, int] | None:
    """Return height and width of a model's images by its config.json, which leaves out what is usual.

    None where it names none and the family takes any. Raises InputError as `families.family_of`.
    """
    family = family_of(folder)
    config = read_json(folder / "config.json")
    part = next((config[name] for name in IMAGE_PARTS if isinstance(config.get(name), dict)), config)
    size = part.get("image_size", family.side)
    if size is None:
        return None
    height, width = [size, size] if isinstance(size, int) else size
    return height, width


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the tokenizer files of a model; may be empty."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
