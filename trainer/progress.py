"""What people see on stderr while a command works: bars with rate and time left, plain lines in logs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line for the person, exactly as written."""
    console.print(text, markup=False, soft_wrap=True)


class Bar:
    """A progress bar on a terminal; where stderr is a file or a CI log, a line every tenth of the way."""

    def __init__(self, title: str, unit: str, progress: Progress | None, task: TaskID | None) -> None:
        self._title, self._unit, self._progress, self._task = title, unit, progress, task
        self._tenths = 0

    def update(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` units; ``note`` stands behind them."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
            return
        tenths = math.floor(10 * done / total) if total else 10
        if tenths > self._tenths:
            self._tenths = tenths
            say(f"{self._title}: {done}/{total} {self._unit}{'  ' + note if note else ''}")


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
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(title, unit, progress, progress.add_task(title, total=None, note=""))
