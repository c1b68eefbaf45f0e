"""Let exactly one of several writers commit a task, and know afterwards who it was."""

from __future__ import annotations

import json
import secrets
from typing import Any, NamedTuple

from trainer.core.errors import InputError
from trainer.storing.location import Location

ATTEMPT = "attempt"  # field by which a writer knows its own marker again
LOOKS = 5  # at a marker that another process deletes
PROBES = "probes"  # folder of the files of the self-test


class Commit(NamedTuple):
    """A committed task."""

    won: bool  # by this call
    marker: dict[str, Any]  # that stands


def commit_once(location: Location, name: str, marker: dict[str, Any]) -> Commit:
    """Write the marker of a task unless there is one. What it names must have been written before.

    A retry of a request whose answer was lost is told that there is a marker. So the one that stands is read:
    its attempt tells whether it is this call's.

    Raises:
        InputError: the place cannot be written; the marker that stands cannot be read.
    """
    marker = marker | {ATTEMPT: secrets.token_hex(8)}
    data = json.dumps(marker).encode()
    for _ in range(LOOKS):
        if location.put_new(name, data):
            return Commit(True, marker)
        try:
            standing = parse_marker(location, name)
        except FileNotFoundError:
            continue
        return Commit(standing.get(ATTEMPT) == marker[ATTEMPT], standing)
    raise InputError(f"{location.address}: {name} is deleted again and again by another process.")


def parse_marker(location: Location, name: str) -> dict[str, Any]:
    """Return a marker.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is no JSON object.
    """
    try:
        marker = json.loads(location.get(name))
    except (ValueError, RecursionError):
        marker = None
    if not isinstance(marker, dict):
        raise InputError(f"{location.address}: {name} is no marker of a task. Delete it, then run again.")
    return marker


def check_store(location: Location) -> None:
    """Write a file twice, create-only: the second time must fail.

    Raises:
        InputError: the place cannot be used, or it ignores the condition, as some that speak S3 do. Two
            workers would then overwrite each other's commits.
    """
    name = f"{PROBES}/{secrets.token_hex(8)}"
    first, second = b"first", b"second"
    location.put_new(name, first)
    refused = not location.put_new(name, second)
    try:
        kept = location.get(name) == first
    except FileNotFoundError:
        kept = False
    location.delete(name)
    if not (refused and kept):
        raise InputError(
            f"--cache-dir {location.address}: the store overwrote a file that was to be written only if "
            "there is none (If-None-Match: *). Workers would destroy each other's results there. Use a store "
            "that honours conditional writes, as those of Amazon, Google and Azure do."
        )
