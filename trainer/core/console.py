"""What people see on stderr while a command works: bars with rate and time left, plain lines in logs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
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
from rich.text import Text

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line for the person, exactly as written."""
    console.print(text, markup=False, soft_wrap=True)


def rate(per_s: float) -> str:
    """So many units a second, or a minute where that is the larger number to read."""
    return f"{per_s:,.3g}/s" if per_s >= 1 else f"{60 * per_s:.3g}/min"


def left(seconds: float) -> str:
    """``2:05 left``, with hours where there are some."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02} left" if hours else f"{minutes}:{whole:02} left"


class RateColumn(ProgressColumn):
    """`rate` of the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(rate(task.speed) if task.speed else "")


class Bar:
    """A progress bar on a terminal; where stderr is a file or a CI log, a line every tenth of the way."""

    def __init__(self, title: str, unit: str, progress: Progress | None, task: TaskID | None) -> None:
        self._title, self._unit, self._progress, self._task = title, unit, progress, task
        self._tenths = 0
        self._first: tuple[float, int] | None = None  # when, and how much was done: what is resumed has some

    def update(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` units; ``note`` stands behind them."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        tenths = math.floor(10 * done / total) if total else 10
        if tenths > self._tenths:
            self._tenths = tenths
            began, had = self._first
            pace = (done - had) / (now - began) if done > had and now > began else None
            behind = [note] if note else []
            if pace and done < total:
                behind.append(f"({rate(pace)}, {left((total - done) / pace)})")
            say("  ".join([f"{self._title}: {done}/{total} {self._unit}", *behind]))


@contextmanager
def bar(title: str, unit: str) -> Iterator[Bar]:
    """A bar that lives as long as the block."""
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
