"""The name of a vector: everything that it depends on besides the picture. No torch, no transformers."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer import atomic
from trainer.data.decode import DECODE_POLICY
from trainer.errors import InputError

FEATURES_VERSION = "1"  # raise it when the code of this room changes what comes out
STORED_DTYPE = "float16"
POOLING = "vision_model.pooler_output"
DTYPES = ("float32", "bfloat16")

# Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision": the
# numbers of the published code.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class EncoderKey:
    """What an encoder's vectors depend on."""

    fields: dict[str, Any]  # JSON: written beside the vectors, for people
    digest: str  # SHA-256 hex of the fields


def identity(folder: Path, *, dtype: str, cache_dir: Path) -> EncoderKey:
    """The key of the CLIP model in ``folder``, computing in ``dtype``.

    The weights' SHA-256 is remembered in ``cache_dir`` by path, size and time of change, so that
    gigabytes are read once.

    Raises:
        InputError: an unknown ``dtype``; a folder without weights.
    """
    if dtype not in DTYPES:
        raise InputError(f"There is no dtype {dtype!r} to encode with. Choose one of {', '.join(DTYPES)}.")
    processing, source = preprocessing(folder)
    fields = {
        "weights": {file.name: _remembered_sha256(file, cache_dir) for file in weight_files(folder)},
        "config": read_json(folder / "config.json"),
        "preprocessing": processing,
        "preprocessing_source": source,
        "pooling": POOLING,
        "compute_dtype": dtype,
        "stored_dtype": STORED_DTYPE,
        "decode_policy": DECODE_POLICY,
        "view": "0",  # no augmentation
        "features_version": FEATURES_VERSION,
    }
    text = json.dumps(fields, sort_keys=True)
    return EncoderKey(fields=json.loads(text), digest=hashlib.sha256(text.encode()).hexdigest())


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


def preprocessing(folder: Path) -> tuple[dict[str, Any], str]:
    """The image processor's settings, and the file they are from ("defaults" where there is none).

    Defaults are CLIP's published ones at the size of the model's own input.
    """
    own = folder / "preprocessor_config.json"
    if own.is_file():
        return read_json(own), own.name
    combined = folder / "processor_config.json"
    if combined.is_file() and "image_processor" in read_json(combined):
        return read_json(combined)["image_processor"], combined.name
    config = read_json(folder / "config.json")
    side = config.get("vision_config", config).get("image_size", 224)
    defaults = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
    }
    return defaults, "defaults"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; InputError where it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}. Fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object. Fetch or save the model again.")
    return value


def _remembered_sha256(file: Path, cache_dir: Path) -> str:
    file = file.resolve()
    status = file.stat()
    memory = cache_dir / "weights.json"  # path → [size, mtime_ns, sha256]
    known: dict[str, list] = {}
    with suppress(InputError):  # a damaged memory is an empty one
        known = read_json(memory) if memory.is_file() else {}
    stamp = [status.st_size, status.st_mtime_ns]
    if known.get(str(file), [])[:2] == stamp:
        return known[str(file)][2]
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    known[str(file)] = [*stamp, sha256]
    with suppress(OSError):  # a full cache may be read-only; if it has to be written, the store will say
        atomic.write_bytes(memory, json.dumps(known, indent=1).encode())
    return sha256
