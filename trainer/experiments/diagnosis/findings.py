"""What a check says: fine, or what is the matter and how to mend it. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

Status = Literal["fine", "advice", "broken"]
Answer = TypeVar("Answer")


class Diagnosis(NamedTuple):
    """What was found, and how to mend it."""

    status: Status  # advice: commands work, with something missing or slower; broken: some do not
    found: str
    fix: str = ""  # one line; "" where nothing is to be done


def fine(found: str) -> Diagnosis:
    """Return that nothing is to be done."""
    return Diagnosis("fine", found)


def advice(found: str, fix: str) -> Diagnosis:
    """Return what could be better, though commands work."""
    return Diagnosis("advice", found, fix)


def broken(found: str, fix: str) -> Diagnosis:
    """Return what keeps commands, or hardware that is there, from working."""
    return Diagnosis("broken", found, fix)


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """Return what ``ask`` returns, in a thread of its own: some calls of the system cannot be interrupted.

    Raises:
        TimeoutError: it has not returned yet. The thread is left behind, and ends with the process.
        Exception: what ``ask`` raises.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # SystemExit of a library, too
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return answers[0]
