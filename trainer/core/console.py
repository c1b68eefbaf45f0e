"""Progress on stderr: bars on a terminal, plain lines in logs."""

from __future__ import annotations

import io
import math
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from trainer.core.signals import Terminated
from trainer.core.text import harmless, left, rate


class SafeConsole(Console):
    """A console that shows the text of others `harmless`, wherever it stands: in a line, a table or a bar.

    Nothing in a text is markup: a folder may be called ``[/red]``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else harmless(text), style, control)


LOG_EVERY_S = 1.0  # between lines of progress in a log: quick work has only the last one


class _Stderr:
    """Standard error as it is now. What it cannot take is dropped: a log without room ends no work.

    Where its reader has gone (``2>&1 | head``), the command is interrupted, as by a signal.
    """

    @staticmethod
    def _stream() -> IO[str]:
        return io.StringIO() if sys.stderr is None else sys.stderr  # None: closed when Python started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    def write(self, text: str) -> int:
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        self._try("flush")

    def _try(self, method: str, *arguments: str) -> None:
        try:
            getattr(self._stream(), method)(*arguments)
        except BrokenPipeError as error:
            silence(2)
            raise Terminated(signal.SIGPIPE) from error
        except OSError:
            return


def silence(number: int) -> None:
    """Send what is still written to standard output (1) or error (2) nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


console = SafeConsole(file=cast(IO[str], _Stderr()))


def say(text: str) -> None:
    """Print a text to stderr, without markup, and `harmless` whatever is in it."""
    console.print(harmless(text), markup=False, soft_wrap=True)  # here, too: rich drops some of them


class RateColumn(ProgressColumn):
    """Show the `rate` of the last 30 s."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.speed) if task.speed else "")


class Bar:
    """Progress bar on a terminal; in a file or CI log, at most one line per 10 % and per second."""

    def __init__(self, title: str, unit: str, progress: Progress | None, task: TaskID | None) -> None:
        self._title, self._unit, self._progress, self._task = title, unit, progress, task
        self._tenths = 0
        self._last = 0.0  # time of the last line, or of the first update
        self._first: tuple[float, int] | None = (
            None  # time and count at the first update; resumed work starts above 0
        )

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show ``done`` of ``total`` units, followed by ``note``."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if self._first is None:
            self._first, self._last = (now, done), now
        tenths = math.floor(10 * done / total) if total else 10
        if tenths > self._tenths and (now >= self._last + LOG_EVERY_S or done >= total):
            self._tenths, self._last = tenths, now
            began, had = self._first
            pace = (done - had) / (now - began) if done > had and now > began else None
            behind = [note] if note else []
            if pace and done < total:
                behind.append(f"({rate(pace)}, {left((total - done) / pace)})")
            say("  ".join([f"{self._title}: {done}/{total} {self._unit}", *behind]))


@contextmanager
def bar(title: str, unit: str) -> Iterator[Bar]:
    """Show a progress bar during the block."""
    if not console.is_terminal:
        yield Bar(title, unit, None, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(title, unit, progress, progress.add_task(title, total=None, note=""))
