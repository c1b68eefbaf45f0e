"""End a command by a signal: once, and with the exit code of that signal."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PACKAGE = __name__.partition(".")[0]
AGAIN_S = 0.05  # until a signal that nobody could hear comes again
HELD_S = 10.0  # how long a first signal waits before a further one ends what holds it


class Terminated(KeyboardInterrupt):
    """A signal asked the command to end. What it has open is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def is_command() -> bool:
    """Return whether this process was started as one of our commands, by ``python -m``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name.partition(".")[0] == PACKAGE


def end_while_loading() -> None:
    """Let these signals end the process with one sentence, as long as nothing was begun."""
    _hear(_end_before_work)


def end_once() -> None:
    """Raise `Terminated` at the first of these signals; later ones cannot cut short what closes a run.

    Where a library has swallowed it, the next signal raises it again. A signal that the caller of the command
    ignores, as nohup does with SIGHUP, stays ignored.
    """
    _hear(_raise)
    sys.unraisablehook = _unraisable_hook(sys.unraisablehook)
    sys.excepthook = _except_hook(sys.excepthook)
    atexit.register(_hear, signal.SIG_IGN)  # as it exits, Python would let them kill the process


@contextmanager
def held() -> Iterator[None]:
    """Let a signal wait for the end of the block, so that whoever closes what it opens knows of it.

    Where that takes longer than `HELD_S`, a further signal ends it.
    """
    _held.blocks += 1
    try:
        yield
    finally:
        _held.blocks -= 1
        number = _held.number
        if not _held.blocks:
            _held.number = None
    if number is not None and not _held.blocks:
        raise Terminated(number)


class _Held:
    """A signal that waits."""

    blocks = 0  # that are open, one in another
    number: int | None = None
    since_s = 0.0


_held = _Held()


def end_with_parent() -> None:
    """Let a worker process leave Ctrl-C to its parent and exit with it, even if that is killed; otherwise it
    would wait for work for ever."""
    import multiprocessing  # not needed by most commands

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end_quietly() -> None:
    """Let these signals end the process without a word: everything is done and said."""
    _hear(_end)


def leave(code: int) -> NoReturn:
    """Exit with this code, also while threads work in the background: to end them, Python unwinds the code of
    libraries that they are in, and some of those abort the process then (openTSNE: exit code -6)."""
    if is_command() and any(one.daemon for one in threading.enumerate()):
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # nobody reads it any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _hear(end: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for one in ENDING:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, end)


def _end_before_work(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"Interrupted before any work was begun.\n")
    _end(number, frame)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_ending():
        return
    if _is_in_hook(frame):
        _send_again(number)
    elif _held.blocks and _held.number is None:
        _held.number, _held.since_s = number, time.monotonic()
    elif not _held.blocks or time.monotonic() - _held.since_s > HELD_S:
        raise Terminated(number)


def _unraisable_hook(report: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a hook that lets a signal come again if it met a finalizer (``__del__``) or compiled code that
    cannot pass it on: what is raised there goes no further, and Python would print a traceback of it."""

    def signal_hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Terminated):
            _send_again(unraisable.exc_value.exit_code - 128)
        else:
            report(unraisable)

    return signal_hook


def _except_hook(report: Callable[..., object]) -> Callable[..., object]:
    """Return the same for compiled code that prints an error before it drops it, as Cython's does."""

    def signal_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Terminated):
            _send_again(error.exit_code - 128)
        else:
            report(kind, error, trace)

    return signal_hook


def _send_again(number: int) -> None:
    again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _is_in_hook(frame: FrameType | None) -> bool:
    """Return whether a signal met one of our hooks: Python would print what is raised there."""
    while frame is not None and frame.f_code.co_name != "signal_hook":
        frame = frame.f_back
    return frame is not None


def _is_ending() -> bool:
    """Return whether what the signal met is on its way out because of an earlier one."""
    error = sys.exception()
    while error is not None and not isinstance(error, Terminated):
        error = error.__context__
    return error is not None
