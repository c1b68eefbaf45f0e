"""What a place must do in which processes on many machines store files."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """A stored file."""

    name: str  # relative to the location, with slashes
    size: int  # bytes
    modified: datetime  # with a time zone


class Location(Protocol):
    """A folder or a prefix of a bucket. A file appears whole or not at all.

    All methods raise InputError where the place cannot be used.
    """

    @property
    def address(self) -> str:
        """How people call it: a path or an address."""

    def entries(self, prefix: str = "") -> list[Stored]:
        """Return all files below a folder of the location, by name; none if there is no such folder."""

    def get(self, name: str) -> bytes:
        """Return a file. Raises FileNotFoundError."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, durably, or replace it."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Write a file, durably, unless there is one of this name. Of several writers exactly one is first.

        Returns:
            Whether it was written. False may be the answer to a retry of a write that succeeded, so that
            who must know reads the file: see `commit.commit_once`.
        """

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
