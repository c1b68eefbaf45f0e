"""Errors shown to the user: raised anywhere, caught only in `trainer.cli`."""

from typing import Any


class InputError(ValueError):
    """Invalid input: flags, files or data (exit code 2).

    The message names the input, says what was expected and what to do.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class TooManyBadFiles(RuntimeError):
    """More files were quarantined than ``--max-bad`` allows (exit code 1)."""


class NoResultError(RuntimeError):
    """The command ran and has no usable result (exit code 1). ``figures`` are printed anyway."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures
