"""Small facts that took long to find, kept in the cache as JSON: at worst they are found again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.core import atomic
from trainer.core.errors import InputError


def read_cache(memory: Path) -> dict[str, Any]:
    """What is remembered, by name; a memory that is absent or damaged is an empty one."""
    with suppress(InputError):
        return read_json(memory) if memory.is_file() else {}
    return {}


def write_cache(memory: Path, known: dict[str, Any]) -> None:
    """Keep it, if the cache can be written: a full one may be read-only, else the store will say so."""
    with suppress(OSError):
        atomic.write_bytes(memory, json.dumps(known, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; InputError where it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}. Fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object. Fetch or save the model again.")
    return value
