"""Parse JSON that others wrote. Its size and its depth are bounded. Standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError

MAX_BYTES = 16 << 20  # parsed JSON takes up to 25 times its size: 400 MB
MAX_DEPTH = 64  # lists and objects inside one another; code that walks a value may recurse


class DuplicateName(InputError):
    """An object has a name twice; of the two JSON would keep the last value."""


def parse_json(text: str | bytes, *, max_bytes: int = MAX_BYTES, unique_names: bool = False) -> Any:
    """Return the value that a JSON text holds.

    Args:
        max_bytes: longer texts are refused before they are parsed.
        unique_names: refuse objects that have a name twice.

    Raises:
        DuplicateName: a name is there twice, and must not be.
        ValueError: too long, too deep, not JSON, or not UTF-8.
    """
    if len(text) > max_bytes:
        raise ValueError(f"it has {len(text):,} bytes, the limit is {max_bytes:,}")
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = (_UNIQUE if unique_names else _PLAIN).decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    # As many brackets as that are rare, and only they can be too deep.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def read_json_file(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value in a JSON file. Raises as :func:`parse_json`, and OSError."""
    with path.open("rb") as file:
        return parse_json(file.read(max_bytes + 1), max_bytes=max_bytes)


_TOO_DEEP = f"lists and objects are nested more than {MAX_DEPTH} deep"


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]  # one level of the tree at a time, without recursion
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DuplicateName(f"has the name {twice!r} twice. Rename or remove one of them.")
    return found


_PLAIN = json.JSONDecoder()  # json.loads would make one for each text
_UNIQUE = json.JSONDecoder(object_pairs_hook=_distinct)
