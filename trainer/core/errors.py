"""Errors shown to the user: raised anywhere, caught only in `trainer.cli`."""

from typing import Any


class InputError(ValueError):
    """What the person gave cannot be used (exit code 2).

    The message is one paragraph: it names the thing, says what was expected and what to do.
    """


def first_line(error: BaseException) -> str:
    """What another library's error says, without what follows it: a line for a message of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class TooManyBadFiles(RuntimeError):
    """More files were quarantined than ``--max-bad`` allows (exit code 1)."""


class NoResultError(RuntimeError):
    """The command ran as asked and found nothing good (exit code 1). ``figures`` are printed all the same."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures
