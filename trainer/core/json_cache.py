"""JSON cache of measured values, such as the best batch size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.core import atomic
from trainer.core.errors import InputError
from trainer.core.stand_ins import refuse_stand_in
from trainer.core.untrusted_json import read_json_file


def read_cache(path: Path, is_valid: Callable[[Any], bool]) -> dict[str, Any]:
    """Return the cached values by name: those that can be used. Empty if the file is missing or damaged."""
    with suppress(InputError):
        values = read_json(path) if path.is_file() else {}
        return {name: value for name, value in values.items() if is_valid(value)}
    return {}


def is_number(value: object, *, least: float = -math.inf) -> bool:
    """Return whether a value of a JSON file is a finite number, and not too small."""
    return type(value) in (int, float) and least <= value < math.inf  # type: ignore[operator]


def write_cache(path: Path, values: dict[str, Any]) -> None:
    """Write the values; does nothing if the cache is read-only."""
    with suppress(OSError):
        atomic.write_bytes(path, json.dumps(values, indent=1).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises InputError if it is not one."""
    try:
        value = read_json_file(path)
    except (OSError, ValueError) as error:
        if path.is_file():
            refuse_stand_in(path)
        raise InputError(f"{path} cannot be read as JSON: {error}. Fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object. Fetch or save the model again.")
    return value
