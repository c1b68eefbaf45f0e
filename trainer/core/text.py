"""Numbers as people read them: with intervals, p-values, durations; names in their natural order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NONE = "–"
LOW, HIGH = "_low", "_high"  # endings of the columns that hold the ends of a figure's interval


def score(value: float | None) -> str:
    """A share between 0 and 1: three decimals; an en dash where there is none."""
    return NONE if _missing(value) else f"{value:.3f}"


def change(value: float | None) -> str:
    """``+0.012``, ``-0.003``: `score` with its sign, for consoles, logs and files."""
    return NONE if _missing(value) else f"{value:+.3f}"


def signed(value: float | None) -> str:
    """``+0.012``, ``−0.003``, and ``0.000`` without a sign: `change` as it is set on a page."""
    words = change(value)
    return "0.000" if words in ("+0.000", "-0.000") else words.replace("-", "−")


def interval(
    value: float | None, ends: Sequence[float | None] | None, form: Callable[[float | None], str] = score
) -> str:
    """``0.873 [0.861, 0.884]``; without the brackets where no interval is known."""
    if _missing(value) or ends is None or _missing(ends[0]):
        return form(value)
    return f"{form(value)} [{form(ends[0])}, {form(ends[1])}]"


def figure(row: Mapping[Any, Any], name: str, form: Callable[[float | None], str] = score) -> str:
    """`interval` of the figure ``name`` of a row that has its ends beside it."""
    return interval(row.get(name), (row.get(name + LOW), row.get(name + HIGH)), form)


def p_value(p: float | None) -> str:
    """``0.012``, or ``< 0.001``."""
    return "< 0.001" if p is not None and p < 0.001 else score(p)


def p_equals(p: float) -> str:
    """``p = 0.012``, or ``p < 0.001``."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def duration(seconds: float | None, *, short: bool = False) -> str:
    """``850 ms``, ``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``; short: ``3.1 min``, ``2.2 h``."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size and short:
            return f"{seconds / size:.1f} {unit}"
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which "2" comes before "10" and "fold2" before "fold10"."""
    key = []
    for i, part in enumerate(re.split(r"([0-9]+)", name)):
        digits = part.lstrip("0")
        if part:
            key.append((1, len(digits), digits) if i % 2 else (2, 0, part))
    return [*key, (0, 0, name)]  # "01" and "1" are different names: the spelling breaks the tie


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
