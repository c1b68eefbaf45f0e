"""Cache keys: everything that a vector depends on besides the image. No torch, no transformers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError
from trainer.core.json_cache import read_cache, read_json, write_cache
from trainer.data.decode import DECODE_POLICY
from trainer.features.families import Space, family_of
from trainer.features.image_augmentation import AugmentationSpec, augmentation_fields
from trainer.features.model_files import image_settings, tokenizer_files, weight_files

FEATURES_VERSION = "2"  # increase when this package changes its results
STORED_DTYPE = "float16"  # of an encoder's vectors
STORED_DTYPES = ("float16", "float32", "uint16")  # uint16: bits of bfloat16, which numpy lacks
DTYPES = ("float32", "bfloat16")
BETWEEN = " + "  # between the texts of encoders whose vectors are concatenated


@dataclass(frozen=True)
class EncoderKey:
    """Everything that an encoder's vectors, or image measures, depend on."""

    fields: dict[str, Any]  # JSON, written beside the vectors
    digest: str  # SHA-256 hex of the fields

    @property
    def stored_dtype(self) -> str:
        """Storage type of the vectors."""
        return self.fields.get("stored_dtype", STORED_DTYPE)

    @property
    def width(self) -> int | None:
        """Numbers of each vector, where the fields tell: those of image measures."""
        measures = self.fields.get("measures")
        return len(measures) if isinstance(measures, list) else None


def encoder_key(
    folder: Path,
    *,
    dtype: str,
    cache_dir: Path,
    space: Space = "pooled",
    view: int = 0,
    augmentation: AugmentationSpec | None = None,
) -> EncoderKey:
    """Return the key of the model in ``folder`` with compute type ``dtype``.

    View 0 is the original image, whatever ``augmentation``. The SHA-256 of the weights is cached in
    ``cache_dir`` by path, size and modification time.

    Raises:
        InputError: unknown ``dtype`` or model type; a folder without weights; no such space.
    """
    _check_dtype(dtype)
    tower = family_of(folder).tower(space)
    processing, source = image_settings(folder)
    fields = {
        "weights": {file.name: _cached_sha256(file, cache_dir) for file in weight_files(folder)},
        "config": read_json(folder / "config.json"),
        "preprocessing": processing,
        "preprocessing_source": source,
        "pooling": f"{tower.part}: {tower.vector}",
        "compute_dtype": dtype,
        "stored_dtype": STORED_DTYPE,
        "decode_policy": DECODE_POLICY,
        "view": "0"
        if view == 0 or augmentation is None
        else {"number": view, **augmentation_fields(augmentation)},
        "features_version": FEATURES_VERSION,
    }
    return EncoderKey(fields=json.loads(json.dumps(fields)), digest=digest_of(fields))


def text_encoder_key(folder: Path, *, dtype: str, cache_dir: Path) -> EncoderKey:
    """Return the key of the text tower of the model in ``folder``.

    Raises:
        InputError: unknown ``dtype`` or model type; a folder without weights.
    """
    _check_dtype(dtype)
    text = family_of(folder).text_tower()
    fields = {
        "weights": {file.name: _cached_sha256(file, cache_dir) for file in weight_files(folder)},
        "config": read_json(folder / "config.json"),
        "tokenizer": {file.name: _cached_sha256(file, cache_dir) for file in tokenizer_files(folder)},
        "pooling": f"{text.part}: {text.vector}",
        "compute_dtype": dtype,
        "stored_dtype": STORED_DTYPE,
        "features_version": FEATURES_VERSION,
    }
    return EncoderKey(fields=json.loads(json.dumps(fields)), digest=digest_of(fields))


def encoder_text(name: str, *, dtype: str, space: Space, digest: str) -> str:
    """Return how runs and heads record an encoder, such as ``demo (float32, cls4, key 0123456789abcdef)``."""
    named = f", {space}" if space in ("cls4", "cls4+patch") else ""
    return f"{name} ({dtype}{named}, key {digest[:16]})"


def digest_of(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of a key's fields in hex."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise InputError(f"There is no dtype {dtype!r} to encode with. Choose one of {', '.join(DTYPES)}.")


def _cached_sha256(file: Path, cache_dir: Path) -> str:
    file = file.resolve()
    status = file.stat()
    cache_file = cache_dir / "weights.json"  # path → [size, mtime_ns, sha256]
    known = read_cache(cache_file, _is_hashed)
    stamp = [status.st_size, status.st_mtime_ns]
    if str(file) in known and known[str(file)][:2] == stamp:
        return known[str(file)][2]
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    known[str(file)] = [*stamp, sha256]
    write_cache(cache_file, known)
    return sha256


def _is_hashed(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[2], str)
