"""What people read while a command works."""

from __future__ import annotations

import io
import string

import pytest
from rich.table import Table

from trainer.core import console, text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the bar believes to have passed."""
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are printed."""
    lines: list[str] = []
    monkeypatch.setattr(console, "say", lines.append)
    return lines


def test_a_log_has_a_line_every_tenth_with_the_rate_and_the_time_left(
    clock: list[float], said: list[str]
) -> None:
    shown = console.Bar("Encoding", "images", None, None)
    for done in range(0, 101):
        clock[0] = done / 4
        shown.update(done, 100, "best 0.9" if done == 50 else "")
    assert len(said) == 10
    assert said[0] == "Encoding: 10/100 images  (4/s, 0:22 left)"
    assert said[4] == "Encoding: 50/100 images  best 0.9  (4/s, 0:12 left)"
    assert said[-1] == "Encoding: 100/100 images"


def test_quick_work_has_no_more_than_a_line_per_second(clock: list[float], said: list[str]) -> None:
    shown = console.Bar("Reading", "images", None, None)
    for done in range(0, 101):
        clock[0] = done / 50
        shown.update(done, 100)
    assert said == [
        "Reading: 50/100 images  (50/s, 0:01 left)",
        "Reading: 100/100 images",
    ]


@pytest.mark.parametrize(
    ("per_s", "words"),
    [(135_210.0, "135,000/s"), (123.4, "123/s"), (48.0, "48/s"), (1.234, "1.23/s"), (0.5, "30/min")],
)
def test_a_rate_has_three_digits(per_s: float, words: str) -> None:
    assert text.rate(per_s) == words


def test_what_was_done_before_does_not_make_the_rate_better(clock: list[float], said: list[str]) -> None:
    resumed = console.Bar("Sweep", "trials", None, None)
    resumed.update(800, 1000)
    clock[0] = 1000.0
    resumed.update(900, 1000)
    assert said == ["Sweep: 900/1000 trials  (6/min, 16:40 left)"]


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0:00"), (59.6, "1:00"), (3661, "1:01:01")])
def test_the_time_left_is_as_on_a_clock(seconds: float, words: str) -> None:
    assert text.left(seconds) == f"{words} left"


HOSTILE = "cat\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://a\x1b\\ \x9b31m \u202egnp \r\b\x7f\u2028 \ud800"
STEERING = set(HOSTILE) - set(string.printable) | set("\x1b\x07\r\b\x7f")


@pytest.mark.parametrize("terminal", [True, False])
def test_text_of_others_is_harmless_in_lines_tables_and_bars(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    shown = console.SafeConsole(file=written, force_terminal=terminal, color_system=None, width=500)
    monkeypatch.setattr(console, "console", shown)
    console.say(HOSTILE)
    assert r"cat\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://a\x1b" in written.getvalue()
    assert r"\u202egnp \r\x08\x7f\u2028 \ud800" in written.getvalue()
    assert not STEERING & set(written.getvalue())
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row("[/red] :smile: [bold]x[/bold]")  # neither markup nor emoji
    shown.print(table)
    assert "[/red] :smile: [bold]x[/bold]" in written.getvalue()
    assert not STEERING & set(written.getvalue())
    written.truncate(0)
    with console.bar("Reading", "images") as bar:
        bar.update(1, 1, HOSTILE)
    written.getvalue().encode()  # no half of a surrogate
    assert "\x1b]" not in written.getvalue()
    assert "\u202e" not in written.getvalue()
