"""End a command by a signal: once, and with the exit code of that signal."""

from __future__ import annotations

import signal
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """A signal asked the command to end. What it has open is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def end_once() -> None:
    """Raise `Terminated` at the first of these signals; later ones cannot cut short what closes a run.

    A signal that the caller of the command ignores, as nohup does with SIGHUP, stays ignored.
    """
    heard = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]

    def end(number: int, frame: FrameType | None) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_IGN)
        raise Terminated(number)

    for one in heard:
        signal.signal(one, end)
