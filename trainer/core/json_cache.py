"""JSON cache of measured values, such as the best batch size."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.stand_ins import refuse_stand_in


def read_cache(path: Path) -> dict[str, Any]:
    """Return the cached values by name; empty if the file is missing or damaged."""
    with suppress(InputError):
        return read_json(path) if path.is_file() else {}
    return {}


def write_cache(path: Path, values: dict[str, Any]) -> None:
    """Write the values; does nothing if the cache is read-only."""
    with suppress(OSError):
        atomic.write_bytes(path, json.dumps(values, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises InputError if it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if path.is_file():
            refuse_stand_in(path)
        raise InputError(f"{path} cannot be read as JSON: {error}. Fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object. Fetch or save the model again.")
    return value
